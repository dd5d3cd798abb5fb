//! Everything but Linux: a run works, and its report says what is missing.

use std::io;

use super::account::{SampledCpu, Threads};
use super::tcp::{Ends, TcpCounts};

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

/// The reason for all that is missing here.
fn missing<T>(what: &str) -> Result<T, String> {
    Err(format!("{what} on {}", std::env::consts::OS))
}

pub(super) fn cpu_ns(_pid: u32) -> Result<Threads<1>, String> {
    missing("processor time of processes is not looked up")
}

pub(super) fn switches(_pid: u32) -> Result<Threads<2>, String> {
    missing("context switches are not looked up")
}

pub(super) fn own_switches() -> Result<[u64; 2], String> {
    missing("context switches are not looked up")
}

pub(super) fn sampled_cpu(_pid: u32) -> Result<SampledCpu, String> {
    missing("user and system time are not looked up")
}

pub(super) fn own_sampled_cpu() -> Result<SampledCpu, String> {
    missing("user and system time are not looked up")
}

pub(super) fn peak_rss_bytes(_pid: u32) -> Result<u64, String> {
    missing("resident memory is not looked up")
}

pub(super) fn tcp_counts(_connections: &[Ends]) -> Result<Vec<Option<TcpCounts>>, String> {
    missing("the kernel's counts of TCP connections are not looked up")
}

pub(super) fn set_idle_policy() -> Result<(), String> {
    missing("there is no SCHED_IDLE")
}

pub(super) fn may_leave_group() -> Result<(), String> {
    Ok(())
}

pub(super) fn leave_group() -> Result<(), String> {
    Ok(())
}

pub(super) fn cpu_quota() -> Option<String> {
    None
}

pub(super) fn instructions_available() -> Result<(), String> {
    missing("instructions are not counted")
}

/// There are none.
pub(super) enum Instructions {}

impl Instructions {
    pub(super) fn of_processes(_pids: &[u32]) -> Result<Self, String> {
        missing("instructions are not counted")
    }

    pub(super) fn of_calling_thread() -> Result<Self, String> {
        missing("instructions are not counted")
    }

    pub(super) fn read(&mut self) -> Result<u64, String> {
        match *self {}
    }
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
