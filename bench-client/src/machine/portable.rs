//! Everything but Linux: a run works, and its report says what is missing.

use std::collections::BTreeMap;
use std::io;

pub(super) fn allowed_cpus() -> Vec<usize> {
    Vec::new()
}

pub(super) fn cpu_model() -> String {
    "unknown (not looked up on this platform)".to_owned()
}

pub(super) fn memory_bytes() -> u64 {
    0
}

pub(super) fn os() -> String {
    let kernel = rustix::system::uname();
    format!("{} {}", kernel.sysname().to_string_lossy(), kernel.release().to_string_lossy())
}

pub(super) fn hypervisor() -> Option<String> {
    None
}

pub(super) fn process_cpu_ns(_pid: u32) -> Option<BTreeMap<u32, u64>> {
    None
}

pub(super) fn pin_current_thread(cpu: usize) -> io::Result<()> {
    Err(io::Error::new(
        io::ErrorKind::Unsupported,
        format!("cannot bind a thread to processor {cpu} on {}", std::env::consts::OS),
    ))
}

pub(super) fn steal_jiffies() -> Option<(u64, u64)> {
    None
}

pub(super) fn processes() -> io::Result<Vec<super::family::Entry>> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}
