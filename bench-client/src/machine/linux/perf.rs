//! Counters of `perf_event_open(2)`: instructions executed in user space.

use std::fs;
use std::io;

use perf_event::events::{Event, Hardware};
use perf_event::{Builder, Counter};

use super::task::thread_ids;

const PARANOID: &str = "/proc/sys/kernel/perf_event_paranoid";

/// The largest value of `perf_event_paranoid` with which a user may count the user space of processes of his own
/// (perf_event_open(2), "/proc/sys/kernel/perf_event_paranoid").
const PARANOID_ALLOWED: i32 = 2;

/// Counters of instructions in user space, one per thread that lives when they are opened; threads begun by those are
/// counted with them.
pub(in crate::machine) struct Instructions(Vec<Counter>);

impl Instructions {
    /// Of all threads of these processes.
    pub(in crate::machine) fn of_processes(pids: &[u32]) -> Result<Self, String> {
        of_processes(Hardware::INSTRUCTIONS, pids).map(Self)
    }

    /// Of the calling thread.
    pub(in crate::machine) fn of_calling_thread() -> Result<Self, String> {
        open(Builder::new(Hardware::INSTRUCTIONS).observe_self()).map(|counter| Self(vec![counter]))
    }

    /// Counted since the counters were opened, by threads that ended meanwhile too.
    pub(in crate::machine) fn read(&mut self) -> Result<u64, String> {
        self.0.iter_mut().try_fold(0, |sum, counter| Ok(sum + read(counter)?))
    }
}

/// Whether instructions can be counted here, or why not.
pub(in crate::machine) fn available() -> Result<(), String> {
    Instructions::of_calling_thread()?.read().map(drop)
}

fn of_processes(event: impl Event + Copy, pids: &[u32]) -> Result<Vec<Counter>, String> {
    let mut counters = Vec::new();
    for pid in pids {
        for thread in thread_ids(*pid)? {
            let thread = i32::try_from(thread).map_err(|_| format!("{thread} is no thread id"))?;
            counters.push(open(Builder::new(event).observe_pid(thread).inherit(true))?);
        }
    }
    Ok(counters)
}

/// Opens a counter that counts at once. The crate's defaults leave out the kernel and the hypervisor.
fn open(builder: &mut Builder<'_>) -> Result<Counter, String> {
    let opened = builder.any_cpu().enabled(true).build();
    opened.map_err(|error| reason(&error, &fs::read_to_string(PARANOID).unwrap_or_default()))
}

fn read(counter: &mut Counter) -> Result<u64, String> {
    let read =
        counter.read_count_and_time().map_err(|error| format!("a performance counter cannot be read: {error}"))?;
    // Where there are more events than counters the kernel lets them take turns and leaves it to the reader to scale:
    // that would be an estimate.
    if read.time_running < read.time_enabled {
        return Err("the processor's counters were shared with another program, for instance perf".to_owned());
    }
    Ok(read.count)
}

/// What an error of `perf_event_open` means, and what can be done (perf_event_open(2), "ERRORS").
fn reason(error: &io::Error, paranoid: &str) -> String {
    use rustix::io::Errno;
    let paranoid = paranoid.trim();
    match Errno::from_io_error(error) {
        Some(Errno::NOENT | Errno::NODEV | Errno::OPNOTSUPP) => {
            "the processor offers no hardware counters here, as is usual in a virtual machine".to_owned()
        }
        Some(Errno::ACCESS | Errno::PERM) => {
            let allowed = paranoid.parse().is_ok_and(|level: i32| level <= PARANOID_ALLOWED);
            let remedy = if allowed || paranoid.is_empty() {
                "allow perf_event_open in the sandbox or container".to_owned()
            } else {
                format!("{PARANOID} is {paranoid}: set it to {PARANOID_ALLOWED}, or grant CAP_PERFMON")
            };
            format!("performance counters are not permitted; {remedy}")
        }
        Some(Errno::NOSYS) => "the kernel has no perf_event_open".to_owned(),
        _ => format!("performance counters cannot be opened: {error}"),
    }
}

#[cfg(test)]
mod tests {
    use perf_event::events::Software;

    use super::*;

    fn told(errno: rustix::io::Errno, paranoid: &str) -> String {
        reason(&errno.into(), paranoid)
    }

    #[test]
    fn every_refusal_has_its_reason_and_remedy() {
        use rustix::io::Errno;
        assert!(told(Errno::NOENT, "2\n").contains("no hardware counters"));
        let level = told(Errno::ACCESS, "4\n");
        assert!(level.contains("is 4: set it to 2"), "{level}");
        for (paranoid, errno) in [("2\n", Errno::PERM), ("-1\n", Errno::ACCESS), ("", Errno::ACCESS)] {
            assert!(told(errno, paranoid).contains("sandbox"), "{paranoid}");
        }
        assert!(told(Errno::NOSYS, "").contains("kernel has no"));
        assert!(told(Errno::MFILE, "").contains("cannot be opened"));
    }

    /// The same path with an event that needs no hardware. Where a sandbox forbids even that, the reason is what there is
    /// to test.
    #[test]
    fn a_software_event_counts_what_a_process_does() {
        let mut child = std::process::Command::new("sh")
            .args(["-c", "while :; do :; done"])
            .spawn()
            .expect("every Linux has a shell");
        let opened = of_processes(Software::TASK_CLOCK, &[child.id()]).map(Instructions);
        let counted = opened.and_then(|mut counters| {
            let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
            let mut last = 0;
            while last < 10_000_000 && std::time::Instant::now() < deadline {
                let now = counters.read()?;
                assert!(now >= last, "a counter never runs backwards: {last}, then {now}");
                last = now;
            }
            Ok(last)
        });
        child.kill().expect("it still runs");
        child.wait().expect("it is this process's child");
        match counted {
            Ok(ns) => assert!(ns >= 10_000_000, "{ns}"),
            Err(reason) => assert!(reason.contains("not permitted") || reason.contains("kernel has no"), "{reason}"),
        }
    }

    #[test]
    fn instructions_are_counted_or_refused_with_a_reason() {
        match Instructions::of_calling_thread() {
            Ok(mut counters) => {
                let before = counters.read().expect("it was opened");
                std::hint::black_box((0..10_000_u64).fold(0, |sum, x| std::hint::black_box(sum ^ x)));
                let after = counters.read().expect("it was opened");
                assert!(after - before > 10_000, "{before}, then {after}");
            }
            Err(reason) => assert!(!reason.is_empty()),
        }
        assert_eq!(available().is_ok(), Instructions::of_calling_thread().is_ok());
    }
}
