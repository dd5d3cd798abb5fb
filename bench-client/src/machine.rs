//! What is the platform's: fingerprint, processor time of processes, binding to cores, steal. Linux is first-class; a
//! portable fallback says what is missing.

use serde::{Deserialize, Serialize};

/// The machine that a run was made on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// Processor model.
    pub cpu_model: String,
    /// Logical processors.
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
    /// use for the servers, the last for the client; none with fewer than two.
    pub fn detect(_pin: bool) -> Self {
        unimplemented!()
    }
}

/// Processor time, user and system, that a process has used since it began, in nanoseconds, all threads; `None` where
/// the platform does not tell (or the process is gone).
pub fn process_cpu_ns(_pid: u32) -> Option<u64> {
    unimplemented!()
}

/// Processor time of the calling thread in nanoseconds.
pub fn thread_cpu_ns() -> u64 {
    unimplemented!()
}

/// Binds the calling thread to one processor.
///
/// # Errors
/// The operating system's.
pub fn pin_current_thread(_cpu: usize) -> std::io::Result<()> {
    unimplemented!()
}

/// Jiffies that the hypervisor took, and jiffies in all, since boot; the share between two readings is the steal.
pub fn steal_jiffies() -> Option<(u64, u64)> {
    unimplemented!()
}

/// Raises the limit of open files to what the system allows and returns it.
///
/// # Errors
/// The operating system's.
pub fn raise_open_files_limit() -> std::io::Result<u64> {
    unimplemented!()
}
