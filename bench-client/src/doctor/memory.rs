//! Memory: room for the pools, swap, and transparent huge pages.

use super::{Finding, line_value, system_file};
use crate::machine::Machine;

/// Room for the processes of the scenarios that ship, with their pools.
const AVAILABLE_WANTED: u64 = 2 << 30;

pub(super) fn look(machine: &Machine) -> Vec<Finding> {
    let meminfo = system_file("/proc/meminfo");
    let huge_pages = system_file("/sys/kernel/mm/transparent_hugepage/enabled");
    vec![memory(machine, meminfo.as_deref()), thp(huge_pages.as_deref())]
}

fn gib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 30)
}

fn memory(machine: &Machine, meminfo: Option<&str>) -> Finding {
    const NAME: &str = "memory";
    let bytes = |key| {
        let value = line_value(meminfo?, key)?;
        Some(value.strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
    };
    let available = bytes("MemAvailable");
    let swapped = bytes("SwapTotal").zip(bytes("SwapFree")).map(|(total, free)| total.saturating_sub(free));
    let mut found = format!("{:.1} GiB", gib(machine.memory_bytes));
    if let Some(available) = available {
        found += &format!(", {:.1} GiB available", gib(available));
    }
    let finding = match (available, swapped) {
        (Some(available), _) if available < AVAILABLE_WANTED => Finding::warning(
            NAME,
            found,
            format!("{:.0} GiB should be available: large pools would be swapped or refused", gib(AVAILABLE_WANTED)),
        ),
        (_, Some(swapped)) if swapped > 0 => Finding::warning(
            NAME,
            format!("{found}, {:.1} GiB swapped out", gib(swapped)),
            "what was swapped out comes back in the middle of a trial: `swapoff -a` while measuring",
        ),
        _ => Finding::ok(NAME, found),
    };
    finding
        .figure("total_bytes", machine.memory_bytes)
        .figure("available_bytes", available)
        .figure("swapped_bytes", swapped)
}

/// `always [madvise] never`: the choice stands in brackets.
fn thp(enabled: Option<&str>) -> Finding {
    const NAME: &str = "huge pages";
    let chosen = enabled.and_then(|text| Some(text.split_once('[')?.1.split_once(']')?.0));
    let finding = match chosen {
        Some(chosen) => Finding::ok(NAME, format!("transparent: {chosen}")),
        None => Finding::not_told(NAME),
    };
    finding.figure("transparent", chosen)
}

#[cfg(test)]
mod tests {
    use super::super::Grade;
    use super::*;

    fn meminfo(available_kib: u64, swap_free_kib: u64) -> Finding {
        let text = format!(
            "MemTotal:       24683736 kB\nMemAvailable:   {available_kib} kB\nSwapTotal: 1000 kB\nSwapFree: {swap_free_kib} kB"
        );
        memory(&Machine::detect(false), Some(&text))
    }

    #[test]
    fn little_room_and_used_swap_are_warnings() {
        assert_eq!(meminfo(23_000_000, 1_000).grade, Grade::Ok);
        assert_eq!(meminfo(2_000_000, 1_000).grade, Grade::Warning);
        let swapped = meminfo(23_000_000, 400);
        assert_eq!((swapped.grade, swapped.figures["swapped_bytes"].as_u64()), (Grade::Warning, Some(600 * 1024)));
        let untold = memory(&Machine::detect(false), None);
        assert!(untold.figures["available_bytes"].is_null());
    }

    #[test]
    fn the_choice_of_huge_pages_stands_in_brackets() {
        assert!(thp(Some("always [madvise] never")).found.contains("madvise"));
        assert_eq!(thp(None).found, "not told by this system");
        assert_eq!(thp(Some("always")).figures["transparent"], serde_json::Value::Null);
    }
}
