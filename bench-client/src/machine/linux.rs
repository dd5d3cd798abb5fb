//! Linux: what /proc and /sys tell (proc(5)), and the scheduler's system calls.

use std::collections::BTreeMap;
use std::fs;
use std::io;

use super::family::Entry;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Processors that the calling thread may use, in rising order.
pub(super) fn allowed_cpus() -> Vec<usize> {
    match sched_getaffinity(None) {
        Ok(set) => (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect(),
        Err(_) => Vec::new(),
    }
}

pub(super) fn cpu_model() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    // x86 says "model name"; ARM boards "Model" or "Hardware", when they say anything.
    ["model name", "Model", "Hardware"]
        .iter()
        .find_map(|key| field(&text, key))
        .unwrap_or("unknown (not in /proc/cpuinfo)")
        .to_owned()
}

pub(super) fn memory_bytes() -> u64 {
    let text = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    field(&text, "MemTotal")
        .and_then(|value| value.trim_end_matches("kB").trim().parse::<u64>().ok())
        .map_or(0, |kib| kib * 1024)
}

pub(super) fn os() -> String {
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .map_or("Linux", |value| value.trim_matches('"'));
    let kernel = rustix::system::uname();
    format!("{name}, {} {}", kernel.sysname().to_string_lossy(), kernel.release().to_string_lossy())
}

/// The processor's hypervisor flag says whether; firmware tables and the guest's clock sources say which.
pub(super) fn hypervisor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    if !field(&text, "flags")?.split_ascii_whitespace().any(|flag| flag == "hypervisor") {
        return None;
    }
    let clocks =
        fs::read_to_string("/sys/devices/system/clocksource/clocksource0/available_clocksource").unwrap_or_default();
    let kind = [("kvm", "KVM"), ("hyperv", "Hyper-V"), ("xen", "Xen")]
        .iter()
        .find_map(|(word, name)| clocks.contains(word).then_some(*name));
    let maker = fs::read_to_string("/sys/class/dmi/id/sys_vendor").unwrap_or_default();
    let parts: Vec<&str> = kind.into_iter().chain(Some(maker.trim()).filter(|maker| !maker.is_empty())).collect();
    Some(if parts.is_empty() { "unknown".to_owned() } else { parts.join(", ") })
}

/// The value of the first `key : value` line.
fn field<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
}

/// The threads' scheduler accounts, in nanoseconds; where the kernel keeps none (then the file is missing or all zeros)
/// the process's account, in clock ticks, under the thread id that is the process's own.
pub(super) fn process_cpu_ns(pid: u32) -> Option<BTreeMap<u32, u64>> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).ok()?;
    let exact: BTreeMap<u32, u64> = threads
        .flatten() // a thread that ended while its folder was listed
        .filter_map(|thread| {
            let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
            let ns = text.split_ascii_whitespace().next()?.parse().ok()?;
            Some((thread.file_name().to_str()?.parse().ok()?, ns))
        })
        .collect();
    if exact.values().any(|ns| *ns > 0) {
        return Some(exact);
    }
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let ns = stat_ticks(&stat)? * (1_000_000_000 / rustix::param::clock_ticks_per_second());
    Some(BTreeMap::from([(pid, ns)]))
}

/// All processes that can be seen, those left out that have ended and wait to be reaped.
pub(super) fn processes() -> io::Result<Vec<Entry>> {
    let folders = fs::read_dir("/proc")?.flatten();
    let numbered = folders.filter_map(|folder| folder.file_name().to_str()?.parse::<u32>().ok());
    // One may end while the list is read.
    Ok(numbered.filter_map(|pid| parse_entry(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)).collect())
}

/// Fields 2 (name), 3 (state), 4 (parent) and 22 (begin) of `/proc/PID/stat`.
fn parse_entry(pid: u32, stat: &str) -> Option<Entry> {
    let (before, after) = stat.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    let fields: Vec<&str> = after.split_ascii_whitespace().collect();
    let ended = matches!(*fields.first()?, "Z" | "X");
    let entry = Entry { pid, parent: fields.get(1)?.parse().ok()?, began: fields.get(19)?.parse().ok()?, name };
    (!ended).then_some(entry)
}

/// `utime` + `stime`, fields 14 and 15 of `/proc/PID/stat`. Field 2 is the program's name in brackets and may itself
/// hold blanks and brackets, so counting begins behind the last one.
fn stat_ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace().skip(11);
    let user: u64 = fields.next()?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

pub(super) fn pin_current_thread(cpu: usize) -> io::Result<()> {
    let refused = |source: io::Error| {
        io::Error::new(source.kind(), format!("cannot bind the calling thread to processor {cpu}: {source}"))
    };
    if cpu >= CpuSet::MAX_CPU {
        return Err(refused(io::Error::from(io::ErrorKind::InvalidInput)));
    }
    let mut set = CpuSet::new();
    set.set(cpu);
    sched_setaffinity(None, &set).map_err(|error| refused(error.into()))
}

pub(super) fn steal_jiffies() -> Option<(u64, u64)> {
    parse_steal(&fs::read_to_string("/proc/stat").ok()?)
}

/// `user nice system idle iowait irq softirq steal` of the first line; the guest columns behind them are already in
/// `user` and `nice`.
fn parse_steal(text: &str) -> Option<(u64, u64)> {
    let columns: Vec<u64> = text
        .lines()
        .next()?
        .strip_prefix("cpu ")?
        .split_ascii_whitespace()
        .take(8)
        .map(str::parse)
        .collect::<Result<_, _>>()
        .ok()?;
    Some((*columns.get(7)?, columns.iter().sum()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_the_eighth_column_and_guests_are_not_counted_twice() {
        let text = "cpu  10 20 30 40 50 60 70 80 1000 2000\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(parse_steal(text), Some((80, 360)));
        assert_eq!(parse_steal("cpu  10 20 30 40\n"), None); // a kernel too old to tell
        assert_eq!(parse_steal("intr 5\n"), None);
    }

    #[test]
    fn a_program_name_with_blanks_and_brackets_does_not_move_the_fields() {
        let stat = "42 (a b) (c)) S 1 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 12345 0 0\n";
        assert_eq!(stat_ticks(stat), Some(300));
        assert_eq!(stat_ticks("42 (x) S 1 2"), None);
    }

    #[test]
    fn a_process_is_read_with_its_parent_and_begin() {
        let fields = "S 7 42 42 0 -1 4194304 100 0 0 0 250 50 0 0 20 0 4 0 12345 0 0";
        let entry = parse_entry(42, &format!("42 (a b) (c)) {fields}\n")).expect("complete");
        assert_eq!((entry.pid, entry.parent, entry.began, entry.name.as_str()), (42, 7, 12345, "a b) (c)"));
        assert!(parse_entry(42, &format!("42 (x) {}\n", fields.replace('S', "Z"))).is_none(), "it has ended");
        assert!(parse_entry(42, "42 (x) S 1 2").is_none());
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "processor\t: 0\nmodel name\t: A: B\nmodel\t: 17\n";
        assert_eq!(field(text, "model name"), Some("A: B"));
        assert_eq!(field(text, "model"), Some("17"));
        assert_eq!(field(text, "name"), None);
    }
}
