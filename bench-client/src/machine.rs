//! What is the platform's: fingerprint, accounts of processes and connections, binding to cores, keeping them awake,
//! steal. Linux is first-class; a portable fallback says what is missing.

mod account;
mod awake;
mod tcp;

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as platform;

#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(not(target_os = "linux"))]
use portable as platform;

mod family;
mod timer;

use std::cell::Cell;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use serde::{Deserialize, Serialize};

pub use account::{Account, SampledCpu, Switches, Usage};
pub use awake::{KeepAwake, KeptAwake, Spinners, idle_policy, spin_until_stdin_closes};
pub use family::Family;
pub use tcp::{Ends, TcpCounts, TcpReading};
pub use timer::Timer;

/// The machine that a run was made on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Processor model.
    pub cpu_model: String,
    /// Logical processors that this process may use.
    pub cpus: usize,
    /// Memory in bytes.
    pub memory_bytes: u64,
    /// Operating system and kernel.
    pub os: String,
    /// Architecture.
    pub arch: String,
    /// Hypervisor, where one is seen.
    pub hypervisor: Option<String>,
    /// Processors that the server processes were bound to; empty when not bound.
    pub server_cpus: Vec<usize>,
    /// Processor that the load client was bound to.
    pub client_cpu: Option<usize>,
    /// Whether the processors that are used were kept from sleeping.
    #[serde(default = "KeptAwake::not_recorded")]
    pub keep_awake: KeptAwake,
}

impl Machine {
    /// Looks at this machine. `pin` decides `server_cpus` and `client_cpu`: the first processor that this process may
    /// use for the servers, the last for the client; none with fewer than two, or where the platform cannot bind.
    pub fn detect(pin: bool) -> Self {
        let allowed = platform::allowed_cpus();
        let (server_cpus, client_cpu) = if pin { split(&allowed) } else { (Vec::new(), None) };
        Self {
            cpu_model: platform::cpu_model(),
            cpus: match allowed.len() {
                0 => std::thread::available_parallelism().map_or(1, usize::from),
                n => n,
            },
            memory_bytes: platform::memory_bytes(),
            os: platform::os(),
            arch: std::env::consts::ARCH.to_owned(),
            hypervisor: platform::hypervisor(),
            server_cpus,
            client_cpu,
            keep_awake: KeptAwake::off("it was not asked for"),
        }
    }
}

/// The first processor for the servers, the last for the client: they share neither a core nor, usually, its sibling
/// thread.
fn split(allowed: &[usize]) -> (Vec<usize>, Option<usize>) {
    match allowed {
        [first, .., last] => (vec![*first], Some(*last)),
        _ => (Vec::new(), None),
    }
}

/// Processor time of the calling thread in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64 // neither is negative for a processor-time clock
}

/// Binds the calling thread, and the processes and threads it starts from now on, to one processor.
///
/// # Errors
/// The operating system's; `Unsupported` where a thread cannot be bound.
pub fn pin_current_thread(cpu: usize) -> std::io::Result<()> {
    platform::pin_current_thread(cpu)?;
    BOUND.set(true);
    Ok(())
}

/// Whether [`pin_current_thread`] has bound the calling thread: no other of ours wants its processor.
pub fn has_own_processor() -> bool {
    BOUND.get()
}

thread_local! {
    /// Whether [`pin_current_thread`] has bound this thread.
    static BOUND: Cell<bool> = const { Cell::new(false) };
}

/// Jiffies that the hypervisor took, and jiffies in all, since boot; the share between two readings is the steal.
/// `None` where the platform does not tell.
pub fn steal_jiffies() -> Option<(u64, u64)> {
    platform::steal_jiffies()
}

/// Fewest jiffies whose stolen share is worth telling: one more or less then changes it by less than one per cent.
const STEAL_JIFFIES_MIN: u64 = 100;

/// The share of the machine's time that the hypervisor took between two readings of [`steal_jiffies`], from 0 to 1. Taken
/// over whole trials, for over single slices the account is too coarse: one jiffy is 10 ms. For the same reason that of a
/// short time is unknown.
pub fn steal_share(before: Option<(u64, u64)>, after: Option<(u64, u64)>) -> Option<f64> {
    let ((taken_before, all_before), (taken, all)) = before.zip(after)?;
    let all = all.saturating_sub(all_before);
    (all >= STEAL_JIFFIES_MIN).then(|| taken.saturating_sub(taken_before) as f64 / all as f64)
}

/// Whether instructions can be counted here.
///
/// # Errors
/// Why not.
pub fn instructions_available() -> Result<(), String> {
    platform::instructions_available()
}

/// Raises the limit of open files to what the system allows and returns it (`u64::MAX`: no limit). Processes started
/// afterwards inherit it.
///
/// # Errors
/// The operating system's.
pub fn raise_open_files_limit() -> std::io::Result<u64> {
    let limit = getrlimit(Resource::Nofile);
    if limit.current != limit.maximum {
        // Without a hard limit macOS refuses "unlimited" but takes its own constant OPEN_MAX.
        let raised = limit.maximum.or(if cfg!(target_os = "macos") { Some(10_240) } else { None });
        setrlimit(Resource::Nofile, Rlimit { current: raised, maximum: limit.maximum })?;
        return Ok(raised.unwrap_or(u64::MAX));
    }
    Ok(limit.current.unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_get_the_first_processor_and_the_client_the_last() {
        assert_eq!(split(&[2, 5, 7]), (vec![2], Some(7)));
        assert_eq!(split(&[0, 1]), (vec![0], Some(1)));
        assert_eq!(split(&[3]), (vec![], None));
        assert_eq!(split(&[]), (vec![], None));
    }

    #[test]
    fn without_pinning_nothing_is_bound() {
        let machine = Machine::detect(false);
        assert_eq!((machine.server_cpus, machine.client_cpu), (vec![], None));
        assert!(machine.cpus >= 1);
        assert!(!machine.os.is_empty() && !machine.cpu_model.is_empty());
    }

    #[test]
    fn work_costs_processor_time_of_its_thread_only() {
        let before = thread_cpu_ns();
        std::thread::spawn(burn).join().expect("the thread does not panic");
        let idle = thread_cpu_ns() - before;
        let before = thread_cpu_ns();
        let spent = burn();
        let busy = thread_cpu_ns() - before;
        assert!(busy >= spent, "{busy} ns counted, {spent} ns spent");
        assert!(idle < busy, "waiting cost {idle} ns, working {busy} ns");
    }

    /// Works until the thread's own clock has moved by 20 ms, and returns by how much it did.
    pub(super) fn burn() -> u64 {
        let start = thread_cpu_ns();
        let mut x = 0_u64;
        while thread_cpu_ns() - start < 20_000_000 {
            x = std::hint::black_box(x.wrapping_mul(31).wrapping_add(7));
        }
        20_000_000
    }

    #[test]
    fn steal_is_a_share_of_the_time_between_and_unknown_over_a_short_one() {
        assert_eq!(steal_share(Some((5, 1000)), Some((8, 1200))), Some(0.015));
        assert_eq!(steal_share(Some((5, 1000)), Some((6, 1099))), None);
        assert_eq!(steal_share(Some((5, 1000)), Some((5, 1100))), Some(0.0));
        assert_eq!(steal_share(None, Some((5, 1200))), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn binding_takes_effect_and_an_unknown_processor_is_refused() {
        std::thread::spawn(|| {
            let allowed = linux::allowed_cpus();
            let last = *allowed.last().expect("at least one processor");
            pin_current_thread(last).expect("it is allowed");
            assert_eq!(linux::allowed_cpus(), [last]);
            let error = pin_current_thread(1_000_000).expect_err("no such processor");
            assert!(error.to_string().contains("1000000"), "{error}");
        })
        .join()
        .expect("the assertions hold");
    }

    #[test]
    fn the_limit_of_open_files_is_at_its_maximum_afterwards() {
        let limit = raise_open_files_limit().expect("raising within the hard limit is allowed");
        assert!(limit > 0);
        assert_eq!(raise_open_files_limit().expect("again"), limit);
    }
}
