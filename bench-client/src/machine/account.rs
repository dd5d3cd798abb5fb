//! What processes and the load client use while a trial runs: read close around its slices, added up over them.
//!
//! Sources of different grain, and each is used only for what it resolves:
//!
//! | what | source on Linux | grain |
//! | --- | --- | --- |
//! | processor time | `/proc/PID/task/TID/schedstat`; for the client its thread's own clock | nanoseconds |
//! | context switches | `/proc/PID/task/TID/status` | one |
//! | instructions in user space | `perf_event_open` | one |
//! | user and system time | `/proc/PID/stat` | 10 ms, sampled: good for a proportion over a run |
//! | peak of resident memory | `VmHWM` of `/proc/PID/status` | kilobytes, over the process's life |
//!
//! What cannot be had is absent with its reason, never 0.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{platform, thread_cpu_ns};
use crate::cell::Cell;

/// The part of a thread's processor time, 1 ÷ this, up to which polling does not blur the rest.
const POLLED_PART: u64 = 20;

/// What the processes of a role used during a trial, or the thread that is the load client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Times that a thread stopped running, within the slices.
    pub switches: Cell<Switches>,
    /// Instructions executed in user space, within the slices.
    pub instructions: Cell<u64>,
    /// Processor time in user and in system mode, within the slices.
    pub sampled: Cell<SampledCpu>,
    /// Largest resident memory since the process began (`VmHWM`), in bytes, read at the end of the trial; of several
    /// processes the sum. The load client's is that of its process, which has served all cases so far.
    pub peak_rss_bytes: Cell<u64>,
}

/// Context switches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Switches {
    /// The thread had to wait for something.
    pub voluntary: u64,
    /// Another thread was given the processor.
    pub involuntary: u64,
}

/// Processor time by mode.
///
/// Most kernels do not clock the change of mode: at every tick (1 to 10 ms) they look in which mode the processor is,
/// and share out the exact time in that proportion, in units of `sysconf(_SC_CLK_TCK)`, 10 ms as a rule. So the *sum*
/// says nothing new (processor time is exact), and the *proportion* is a sample with an error of about 0.5 ÷ √(ticks):
/// worthless over one slice, good over the slices of a run, whose errors of rounding cancel. Work that is in step with the
/// tick stays unseen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SampledCpu {
    /// In user mode.
    pub user_ns: u64,
    /// In the kernel.
    pub system_ns: u64,
}

/// Counts of threads at one moment, by thread id.
///
/// By thread, because a thread that ends takes its account along: in a sum over the process that would look like time
/// given back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Threads<const N: usize>(pub(super) BTreeMap<u32, [u64; N]>);

impl<const N: usize> Threads<N> {
    /// The growth since an earlier reading. What a thread used that ended in between is not in it; the reference server's
    /// workers and hashing threads stay.
    fn since(&self, earlier: &Self) -> [u64; N] {
        let mut sum = [0; N];
        for (thread, counts) in &self.0 {
            let before = earlier.0.get(thread).copied().unwrap_or([0; N]);
            for i in 0..N {
                sum[i] += counts[i].saturating_sub(before[i]);
            }
        }
        sum
    }
}

/// Whose account it is.
enum Whose {
    /// All threads of these processes.
    Processes(Vec<u32>),
    /// The thread that reads it.
    CallingThread,
}

impl Whose {
    /// The counts of all threads: `of_process` per process, or `of_thread`.
    fn threads<const N: usize>(
        &self,
        of_process: impl Fn(u32) -> Result<Threads<N>, String>,
        of_thread: impl Fn() -> Result<[u64; N], String>,
    ) -> Cell<Threads<N>> {
        let read = match self {
            // Thread ids are unique among all processes.
            Self::Processes(pids) => pids.iter().try_fold(Threads(BTreeMap::new()), |mut all, pid| {
                all.0.extend(of_process(*pid)?.0);
                Ok(all)
            }),
            Self::CallingThread => of_thread().map(|counts| Threads(BTreeMap::from([(0, counts)]))),
        };
        read.into()
    }

    fn cpu(&self) -> Cell<Threads<1>> {
        self.threads(platform::cpu_ns, || Ok([thread_cpu_ns()]))
    }

    fn switches(&self) -> Cell<Threads<2>> {
        self.threads(platform::switches, platform::own_switches)
    }

    fn sampled(&self) -> Cell<SampledCpu> {
        let read = match self {
            Self::Processes(pids) => pids.iter().try_fold(SampledCpu::default(), |sum, pid| {
                let one = platform::sampled_cpu(*pid)?;
                Ok(SampledCpu { user_ns: sum.user_ns + one.user_ns, system_ns: sum.system_ns + one.system_ns })
            }),
            Self::CallingThread => platform::own_sampled_cpu(),
        };
        read.into()
    }

    fn peak_rss_bytes(&self) -> Cell<u64> {
        let own = [std::process::id()];
        let pids = match self {
            Self::Processes(pids) => pids.as_slice(),
            Self::CallingThread => &own,
        };
        pids.iter().try_fold(0, |sum, pid| Ok(sum + platform::peak_rss_bytes(*pid)?)).into()
    }
}

/// The accounts of some processes, or of the calling thread, during one trial.
pub struct Account {
    whose: Whose,
    counters: Cell<platform::Instructions>,
    before: Option<Reading>,
    cpu_ns: Cell<u64>,
    switches: Cell<Switches>,
    instructions: Cell<u64>,
    sampled: Cell<SampledCpu>,
}

/// The accounts at one moment.
struct Reading {
    cpu: Cell<Threads<1>>,
    switches: Cell<Threads<2>>,
    instructions: Cell<u64>,
    sampled: Cell<SampledCpu>,
}

impl Account {
    /// Opens the accounts of all threads of these processes: of one role's, or of a foreign server's.
    pub fn of_processes(pids: &[u32]) -> Self {
        Self::open(Whose::Processes(pids.to_vec()), platform::Instructions::of_processes(pids))
    }

    /// Opens the accounts of the calling thread. It must be the one that reads them.
    pub fn of_calling_thread() -> Self {
        Self::open(Whose::CallingThread, platform::Instructions::of_calling_thread())
    }

    fn open(whose: Whose, counters: Result<platform::Instructions, String>) -> Self {
        Self {
            counters: counters.into(),
            whose,
            before: None,
            cpu_ns: Cell::Known(0),
            switches: Cell::Known(Switches::default()),
            instructions: Cell::Known(0),
            sampled: Cell::Known(SampledCpu::default()),
        }
    }

    /// A slice begins. Processor time is read last: reading the rest is not the slice's.
    pub fn begin_slice(&mut self) {
        let (sampled, switches) = (self.whose.sampled(), self.whose.switches());
        let instructions = self.instructions_now();
        self.before = Some(Reading { sampled, switches, instructions, cpu: self.whose.cpu() });
    }

    /// The slice has ended: what it used is added.
    pub fn end_slice(&mut self) {
        let cpu = self.whose.cpu();
        let instructions = self.instructions_now();
        let (switches, sampled) = (self.whose.switches(), self.whose.sampled());
        let Some(before) = self.before.take() else { return };
        add(&mut self.cpu_ns, before.cpu, cpu, |sum, before, after| *sum += after.since(&before)[0]);
        add(&mut self.instructions, before.instructions, instructions, |sum, before, after| *sum += after - before);
        add(&mut self.switches, before.switches, switches, |sum, before, after| {
            let [voluntary, involuntary] = after.since(&before);
            sum.voluntary += voluntary;
            sum.involuntary += involuntary;
        });
        add(&mut self.sampled, before.sampled, sampled, |sum, before, after| {
            sum.user_ns += after.user_ns.saturating_sub(before.user_ns);
            sum.system_ns += after.system_ns.saturating_sub(before.system_ns);
        });
    }

    /// Processor time of the slices so far, user and system, in nanoseconds.
    pub fn cpu_ns(&self) -> &Cell<u64> {
        &self.cpu_ns
    }

    /// Takes out processor time in which a thread only looked whether there was something to do. Where that is more than
    /// a small part, nobody can say any more how the rest divides into modes: ticks are not told apart.
    pub fn take_out(&mut self, polled: Duration) {
        let Cell::Known(cpu_ns) = &mut self.cpu_ns else { return };
        let polled_ns = polled.as_nanos() as u64;
        if polled_ns > *cpu_ns / POLLED_PART {
            self.sampled = Cell::blank("it looked for answers while it waited, and the clock tick counts that, too");
        }
        *cpu_ns = cpu_ns.saturating_sub(polled_ns);
    }

    /// The trial has ended.
    pub fn close(self) -> Usage {
        Usage {
            switches: self.switches,
            instructions: self.instructions,
            sampled: self.sampled,
            peak_rss_bytes: self.whose.peak_rss_bytes(),
        }
    }

    fn instructions_now(&mut self) -> Cell<u64> {
        match &mut self.counters {
            Cell::Known(counters) => counters.read().into(),
            Cell::Blank { blank } => Cell::blank(blank.clone()),
        }
    }
}

/// Adds what happened between two readings. Unknown once is unknown for the trial, for the first reason met.
fn add<T, R>(sum: &mut Cell<T>, before: Cell<R>, after: Cell<R>, spent: impl FnOnce(&mut T, R, R)) {
    let Cell::Known(known) = sum else { return };
    match (before, after) {
        (Cell::Known(before), Cell::Known(after)) => spent(known, before, after),
        (Cell::Blank { blank }, _) | (_, Cell::Blank { blank }) => *sum = Cell::blank(blank),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_that_ended_give_nothing_back_and_new_ones_count_in_full() {
        let before = Threads(BTreeMap::from([(1, [1_000, 5]), (2, [50_000, 7])]));
        let after = Threads(BTreeMap::from([(1, [1_300, 6]), (3, [40, 2])]));
        assert_eq!(after.since(&before), [340, 3]);
    }

    #[test]
    fn unknown_once_is_unknown_for_the_trial_with_the_first_reason() {
        let plus = |sum: &mut u64, before: u64, after: u64| *sum += after - before;
        let mut sum = Cell::Known(0);
        add(&mut sum, Cell::Known(1), Cell::Known(3), plus);
        assert_eq!(sum, Cell::Known(2));
        add(&mut sum, Cell::Known(3), Cell::blank("gone"), plus);
        add(&mut sum, Cell::blank("another reason"), Cell::Known(9), plus);
        add(&mut sum, Cell::Known(3), Cell::Known(9), plus);
        assert_eq!(sum, Cell::blank("gone"));
    }

    #[test]
    fn the_account_of_a_process_that_does_not_exist_is_blank_with_a_reason() {
        let mut account = Account::of_processes(&[u32::MAX]); // beyond the largest pid that any Linux hands out
        account.begin_slice();
        account.end_slice();
        assert!(account.cpu_ns().reason().is_some_and(|reason| !reason.is_empty()));
        let usage = account.close();
        for reason in [
            usage.switches.reason(),
            usage.instructions.reason(),
            usage.sampled.reason(),
            usage.peak_rss_bytes.reason(),
        ] {
            assert!(reason.is_some_and(|reason| !reason.is_empty()));
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn another_process_is_charged_for_its_slices_only() {
        // Another process: the threads of other tests come and go in this one.
        let mut child = std::process::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .expect("every Linux has a shell");
        let mut account = Account::of_processes(&[child.id()]);
        account.end_slice(); // nothing began, nothing is added
        assert_eq!(account.cpu_ns(), &Cell::Known(0));
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
        while account.cpu_ns().known().is_some_and(|ns| *ns < 50_000_000) && std::time::Instant::now() < deadline {
            account.begin_slice();
            account.end_slice();
        }
        let used = account.cpu_ns().known().copied();
        let usage = account.close();
        child.kill().expect("it still runs");
        child.wait().expect("it is this process's child");
        assert!(used.is_some_and(|ns| ns >= 50_000_000), "{used:?}");
        assert!(usage.switches.known().is_some(), "{usage:?}");
        assert!(usage.peak_rss_bytes.known().is_some_and(|bytes| *bytes > 100_000), "{usage:?}");
        assert!(usage.sampled.known().is_some(), "{usage:?}");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn the_calling_thread_is_charged_for_its_own_work_and_waits() {
        let mut account = Account::of_calling_thread();
        account.begin_slice();
        std::thread::spawn(super::super::tests::burn).join().expect("it does not panic"); // waits at least once
        account.end_slice();
        let waiting = *account.cpu_ns().known().expect("Linux tells");
        account.begin_slice();
        let spent = super::super::tests::burn();
        account.end_slice();
        let all = *account.cpu_ns().known().expect("Linux tells");
        assert!(all - waiting >= spent && waiting < spent, "{waiting} ns waiting, {all} ns in all, {spent} ns spent");
        let switches = *account.close().switches.known().expect("Linux tells");
        assert!(switches.voluntary >= 1, "{switches:?}");
    }
}
