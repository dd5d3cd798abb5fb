//! Accounts of processes and threads: `/proc/PID` and `/proc/PID/task/TID` (proc_pid_stat(5), proc_pid_status(5), and
//! Documentation/scheduler/sched-stats.rst of the kernel for `schedstat`).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use super::super::account::{SampledCpu, Threads};
use super::field;

/// The calling thread's folder.
const OWN_THREAD: &str = "/proc/thread-self";

/// Processor time of a process's threads, from their scheduler accounts; where the kernel keeps none (then the file is
/// missing or all zeros) the process's sampled account, under the thread id that is the process's own.
pub(in crate::machine) fn cpu_ns(pid: u32) -> Result<Threads<1>, String> {
    let exact = threads(pid, "schedstat", |text| Some([text.split_ascii_whitespace().next()?.parse().ok()?]));
    match exact {
        Ok(Threads(threads)) if threads.values().any(|[ns]| *ns > 0) => Ok(Threads(threads)),
        _ => {
            let sampled = sampled_cpu(pid)?;
            Ok(Threads(BTreeMap::from([(pid, [sampled.user_ns + sampled.system_ns])])))
        }
    }
}

/// Context switches of a process's threads: voluntary, involuntary.
pub(in crate::machine) fn switches(pid: u32) -> Result<Threads<2>, String> {
    threads(pid, "status", parse_switches)
}

/// The same of the calling thread.
pub(in crate::machine) fn own_switches() -> Result<[u64; 2], String> {
    read(&Path::new(OWN_THREAD).join("status"), parse_switches)
}

/// Processor time by mode of a whole process, of the threads that ended too.
pub(in crate::machine) fn sampled_cpu(pid: u32) -> Result<SampledCpu, String> {
    read(&process(pid).join("stat"), parse_stat)
}

/// The same of the calling thread.
pub(in crate::machine) fn own_sampled_cpu() -> Result<SampledCpu, String> {
    read(&Path::new(OWN_THREAD).join("stat"), parse_stat)
}

/// Largest resident memory of a process so far, in bytes.
pub(in crate::machine) fn peak_rss_bytes(pid: u32) -> Result<u64, String> {
    read(&process(pid).join("status"), |text| kib(field(text, "VmHWM")?))
}

/// The ids of a process's threads at this moment.
pub(super) fn thread_ids(pid: u32) -> Result<Vec<u32>, String> {
    let folder = process(pid).join("task");
    let entries = fs::read_dir(&folder).map_err(|error| unreadable(&folder, &error))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

fn process(pid: u32) -> std::path::PathBuf {
    Path::new("/proc").join(pid.to_string())
}

/// One file of each of a process's threads. A thread that ends while this looks is left out.
fn threads<const N: usize>(
    pid: u32,
    file: &str,
    parse: impl Fn(&str) -> Option<[u64; N]>,
) -> Result<Threads<N>, String> {
    let mut counts = BTreeMap::new();
    let mut trouble = Err(format!("{} lists no thread", process(pid).join("task").display()));
    for thread in thread_ids(pid)? {
        match read(&process(pid).join("task").join(thread.to_string()).join(file), &parse) {
            Ok(of_thread) => drop(counts.insert(thread, of_thread)),
            Err(error) => trouble = Err(error),
        }
    }
    if counts.is_empty() { trouble } else { Ok(Threads(counts)) }
}

fn read<T>(path: &Path, parse: impl Fn(&str) -> Option<T>) -> Result<T, String> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    parse(&text).ok_or_else(|| format!("{} does not say it", path.display()))
}

fn unreadable(path: &Path, error: &io::Error) -> String {
    format!("cannot read {}: {error}", path.display())
}

/// `1234 kB` in bytes.
pub(super) fn kib(value: &str) -> Option<u64> {
    Some(value.strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

fn parse_switches(status: &str) -> Option<[u64; 2]> {
    let count = |key| field(status, key)?.parse().ok();
    Some([count("voluntary_ctxt_switches")?, count("nonvoluntary_ctxt_switches")?])
}

/// `utime` and `stime`, fields 14 and 15 of `stat`. Field 2 is the program's name in brackets and may itself hold blanks
/// and brackets, so counting begins behind the last one.
fn parse_stat(stat: &str) -> Option<SampledCpu> {
    let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second();
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let mut ns = || Some(fields.next()?.parse::<u64>().ok()? * tick_ns);
    Some(SampledCpu { user_ns: ns()?, system_ns: ns()? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_blanks_and_brackets_does_not_move_the_fields() {
        let tick_ns = 1_000_000_000 / rustix::param::clock_ticks_per_second();
        let stat = "42 (a b) (c)) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 12345 0 0\n";
        assert_eq!(parse_stat(stat), Some(SampledCpu { user_ns: 250 * tick_ns, system_ns: 50 * tick_ns }));
        assert_eq!(parse_stat("42 (x) S 1 2"), None);
    }

    #[test]
    fn switches_are_the_two_lines_that_end_a_status() {
        let status = "Name:\tvoluntary_ctxt_switches: 9\nThreads:\t3\nVmHWM:\t   10568 kB\n\
                      voluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t545\n";
        assert_eq!(parse_switches(status), Some([150, 545]));
        assert_eq!(parse_switches("Name:\tx\n"), None);
        assert_eq!(field(status, "VmHWM").and_then(kib), Some(10_568 * 1024));
        assert_eq!(kib("10568"), None);
    }

    #[test]
    fn what_is_not_there_is_told_by_its_path() {
        let error = switches(u32::MAX).expect_err("no such process");
        assert!(error.contains("/proc/4294967295/task"), "{error}");
        let error = read(Path::new("/proc/self/status"), |_| None::<u64>).expect_err("not found in it");
        assert!(error.contains("/proc/self/status"), "{error}");
    }

    #[test]
    fn own_accounts_can_be_read() {
        assert!(own_switches().is_ok() && own_sampled_cpu().is_ok());
        let own = std::process::id();
        assert!(thread_ids(own).is_ok_and(|threads| threads.contains(&own)));
        assert!(cpu_ns(own).is_ok_and(|Threads(threads)| !threads.is_empty()));
        assert!(peak_rss_bytes(own).is_ok_and(|bytes| bytes > 0));
    }
}
