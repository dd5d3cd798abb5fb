//! What is the platform's: fingerprint, processor time of processes, binding to cores, steal. Linux is first-class; a
//! portable fallback says what is missing.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
use linux as platform;

#[cfg(not(target_os = "linux"))]
mod portable;
#[cfg(not(target_os = "linux"))]
use portable as platform;

mod family;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, clock_gettime};
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

pub use family::Family;

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

/// Processor time, user and system, of a process's living threads at one moment, in nanoseconds by thread.
///
/// By thread, because a thread that ends takes its account along: in a sum over the process that would look like time
/// given back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProcessCpu(BTreeMap<u32, u64>);

impl ProcessCpu {
    /// Reads the accounts; `None` where the platform keeps none (or the process is gone).
    pub fn of(pid: u32) -> Option<Self> {
        platform::process_cpu_ns(pid).map(Self)
    }

    /// Time used between an earlier reading and this one, in nanoseconds. What a thread used that ended in between is not
    /// in it; the reference server's workers and hashing threads stay.
    pub fn since(&self, earlier: &Self) -> u64 {
        let used = |(thread, ns): (&u32, &u64)| ns.saturating_sub(earlier.0.get(thread).copied().unwrap_or(0));
        self.0.iter().map(used).sum()
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
    platform::pin_current_thread(cpu)
}

/// Jiffies that the hypervisor took, and jiffies in all, since boot; the share between two readings is the steal.
/// `None` where the platform does not tell.
pub fn steal_jiffies() -> Option<(u64, u64)> {
    platform::steal_jiffies()
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
    fn burn() -> u64 {
        let start = thread_cpu_ns();
        let mut x = 0_u64;
        while thread_cpu_ns() - start < 20_000_000 {
            x = std::hint::black_box(x.wrapping_mul(31).wrapping_add(7));
        }
        20_000_000
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn processor_time_of_another_process_grows_while_it_works() {
        // Another process: the threads of other tests end in this one, and take their time with them.
        let mut child = std::process::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .expect("every Linux has a shell");
        let before = ProcessCpu::of(child.id()).expect("Linux tells");
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        let mut used = 0;
        while used < 10_000_000 && std::time::Instant::now() < deadline {
            used = ProcessCpu::of(child.id()).expect("it still runs").since(&before);
        }
        child.kill().expect("it still runs");
        child.wait().expect("it is this process's child");
        assert!(used >= 10_000_000, "{used}");
    }

    #[test]
    fn threads_that_ended_give_no_time_back_and_new_ones_count_in_full() {
        let before = ProcessCpu(BTreeMap::from([(1, 1_000), (2, 50_000)]));
        let after = ProcessCpu(BTreeMap::from([(1, 1_300), (3, 40)]));
        assert_eq!(after.since(&before), 340);
    }

    #[test]
    fn a_process_that_does_not_exist_has_no_processor_time() {
        assert_eq!(ProcessCpu::of(u32::MAX), None); // beyond the largest pid that any Linux hands out
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
