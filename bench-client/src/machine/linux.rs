//! Linux: what /proc and /sys tell (proc(5)), and the scheduler's system calls.

mod awake;
mod perf;
mod task;
mod tcp;

use std::fs;
use std::io;
use std::path::Path;

use super::family::Entry;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

pub(super) use awake::{cpu_quota, leave_group, may_leave_group, set_idle_policy};
pub(super) use perf::{Instructions, available as instructions_available};
pub(super) use task::{cpu_ns, own_sampled_cpu, own_switches, peak_rss_bytes, sampled_cpu, switches};
pub(super) use tcp::tcp_counts;

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
    field(&text, "MemTotal").and_then(task::kib).unwrap_or(0)
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

/// The processor's hypervisor flag says whether, and `/sys/hypervisor` or the device tree where processors have no such
/// flag; firmware tables and the guest's clock sources say which.
pub(super) fn hypervisor() -> Option<String> {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let by_system = || Path::new("/sys/hypervisor/type").exists() || Path::new("/proc/device-tree/hypervisor").exists();
    if !has_hypervisor_flag(&text) && !by_system() {
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

fn has_hypervisor_flag(cpuinfo: &str) -> bool {
    field(cpuinfo, "flags").is_some_and(|flags| flags.split_ascii_whitespace().any(|flag| flag == "hypervisor"))
}

/// The value of the first `key : value` line.
fn field<'t>(text: &'t str, key: &str) -> Option<&'t str> {
    text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        (name.trim() == key).then(|| value.trim())
    })
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
    fn a_virtual_machine_is_told_by_a_whole_flag() {
        assert!(has_hypervisor_flag("processor\t: 0\nflags\t\t: fpu x2apic hypervisor lahf_lm\n"));
        assert!(!has_hypervisor_flag("flags\t\t: fpu nohypervisor\n"));
        assert!(!has_hypervisor_flag("Features\t: fp asimd\n"));
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
