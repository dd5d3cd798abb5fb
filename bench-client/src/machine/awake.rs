//! Keeping cores awake: a thread on each core that is used, which runs only when nothing else wants to (SCHED_IDLE,
//! sched(7)).
//!
//! An idle core goes to sleep, and on a virtual machine waking it up takes the hypervisor tens of microseconds: most of the
//! latency of a request that finds everybody idle. Between microseconds of authentication that is noise.
//!
//! SCHED_IDLE ranks threads within one scheduling group. Where the kernel groups by session (sched(7), "The autogroup
//! feature") the threads have a session of their own, of the least weight there is. In the client's session they would
//! use up the share of processor time that it is owed beside other sessions, which halves throughput on a machine that
//! is busy with other work.
//!
//! The threads are a process of their own, so that neither the client's nor the servers' processor time has them in it,
//! and so that they end with the client however it ends: their stdin closes. They never run with normal priority: where
//! the policy cannot be had, cores are left to sleep and every report says so.

use std::io::{self, BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde::{Deserialize, Serialize};

use super::{Machine, pin_current_thread, platform};

/// Whether cores are to be kept awake.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeepAwake {
    /// On a virtual machine, when latency is measured.
    #[default]
    Auto,
    /// Wherever it can be had.
    On,
    /// Never.
    Off,
}

/// `true` and `false` as scenarios write them.
impl From<bool> for KeepAwake {
    fn from(on: bool) -> Self {
        if on { Self::On } else { Self::Off }
    }
}

impl KeepAwake {
    /// Whether it is left to the machine.
    pub fn is_auto(&self) -> bool {
        *self == Self::Auto
    }
}

/// Whether cores were kept awake.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "lowercase")]
pub enum KeptAwake {
    /// All that are used.
    On,
    /// None.
    Off {
        /// Why not.
        reason: String,
    },
}

impl KeptAwake {
    /// Off for that reason.
    pub fn off(reason: impl Into<String>) -> Self {
        Self::Off { reason: reason.into() }
    }

    /// What runs from before there was a choice say.
    pub(super) fn not_recorded() -> Self {
        Self::off("the version of authbench that made this run could not")
    }

    /// In words, for reports.
    pub fn words(&self) -> String {
        match self {
            Self::On => "cores kept awake".to_owned(),
            Self::Off { reason } => format!("cores not kept awake: {reason}"),
        }
    }
}

impl Machine {
    /// Decides whether cores are kept awake here, and notes it. `latency`: whether that is measured.
    pub fn decide_keep_awake(&mut self, wish: KeepAwake, latency: bool) {
        let available = || {
            idle_policy()?;
            platform::may_leave_group()?;
            platform::cpu_quota().map_or(Ok(()), Err)
        };
        self.keep_awake = decide(wish, self.hypervisor.is_some(), latency, available);
    }

    /// The processors that are used: those that server and client are bound to, or all.
    pub fn used_cpus(&self) -> Vec<usize> {
        let mut cpus: Vec<usize> = self.server_cpus.iter().copied().chain(self.client_cpu).collect();
        if cpus.is_empty() {
            cpus = platform::allowed_cpus();
        }
        cpus.sort_unstable();
        cpus.dedup();
        cpus
    }
}

/// Whether SCHED_IDLE can be had here, or why not. Asked by a thread that ends: the way back is not always permitted.
///
/// # Errors
/// Why not.
pub fn idle_policy() -> Result<(), String> {
    std::thread::Builder::new()
        .spawn(platform::set_idle_policy)
        .map_err(|error| format!("no thread can be started: {error}"))?
        .join()
        .unwrap_or_else(|_| Err("asking for SCHED_IDLE failed".to_owned()))
}

fn decide(
    wish: KeepAwake,
    is_virtual: bool,
    latency: bool,
    available: impl FnOnce() -> Result<(), String>,
) -> KeptAwake {
    match wish {
        KeepAwake::Off => return KeptAwake::off("the scenario says keep_awake = false"),
        KeepAwake::Auto if !is_virtual => {
            return KeptAwake::off("this is no virtual machine; keep_awake = true turns it on");
        }
        KeepAwake::Auto if !latency => {
            return KeptAwake::off("no latency is measured; keep_awake = true turns it on");
        }
        KeepAwake::Auto | KeepAwake::On => {}
    }
    match available() {
        Ok(()) => KeptAwake::On,
        Err(reason) => KeptAwake::Off { reason },
    }
}

/// The process that keeps cores awake. It ends when this is dropped, and when this program ends in any other way.
#[derive(Debug)]
pub struct Spinners(Child);

/// What the process writes when all its threads spin.
const READY: &str = "ready\n";

impl Spinners {
    /// Starts `program keep-awake` and waits until a thread spins on each of these processors.
    ///
    /// # Errors
    /// What the process wrote to stderr, or the operating system's own.
    pub fn start(program: &Path, cpus: &[usize]) -> io::Result<Self> {
        let cpus: Vec<String> = cpus.iter().map(ToString::to_string).collect();
        let mut child = Command::new(program)
            .args(["keep-awake", "--cpus", &cpus.join(",")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
        let this = Self(child);
        let mut line = String::new();
        BufReader::new(stdout.expect("asked for as a pipe")).read_line(&mut line)?;
        if line == READY {
            return Ok(this);
        }
        let mut why = String::new();
        stderr.expect("asked for as a pipe").read_to_string(&mut why)?;
        Err(io::Error::other(why.trim().to_owned()))
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Spinners {
    fn drop(&mut self) {
        // Both fail only for a process that is gone and waited for.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Spins between two offers of the processor: some microseconds. Without any, a turn lasts until the next tick of the
/// kernel's clock, 4 ms, and at 20 000 requests per second some trials sent a hundredth of them 1 ms late or more.
const SPINS: u32 = 256;

/// The whole of that process: spins on each of the processors until stdin closes, which the operating system sees to
/// however the other end's process ends.
///
/// # Errors
/// When a thread cannot be bound to its processor or cannot have the policy. Then nothing spins any more once the caller
/// has ended the process.
pub fn spin_until_stdin_closes(cpus: &[usize], mut ready: impl io::Write) -> Result<(), String> {
    // Ctrl-C, too, is for the client's session only; the client ends this when it is done.
    platform::leave_group()?;
    let (told, tells) = std::sync::mpsc::channel();
    for &cpu in cpus {
        let told = told.clone();
        let spin = move || {
            let prepared =
                pin_current_thread(cpu).map_err(|error| error.to_string()).and_then(|()| platform::set_idle_policy());
            let goes_on = prepared.is_ok();
            let _ = told.send(prepared);
            if goes_on {
                loop {
                    (0..SPINS).for_each(|_| std::hint::spin_loop());
                    // Somebody may want to run after all: the kernel lets even this policy have its turn now and then.
                    std::thread::yield_now();
                }
            }
        };
        let name = format!("awake-{cpu}");
        std::thread::Builder::new().name(name).spawn(spin).map_err(|error| format!("no thread: {error}"))?;
    }
    drop(told);
    tells.iter().take(cpus.len()).collect::<Result<(), String>>()?;
    ready.write_all(READY.as_bytes()).and_then(|()| ready.flush()).map_err(|error| error.to_string())?;
    let mut ignored = [0; 64];
    while io::stdin().lock().read(&mut ignored).map_err(|error| error.to_string())? > 0 {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decided(wish: KeepAwake, is_virtual: bool, latency: bool) -> Result<(), String> {
        match decide(wish, is_virtual, latency, || Ok(())) {
            KeptAwake::On => Ok(()),
            KeptAwake::Off { reason } => Err(reason),
        }
    }

    #[test]
    fn by_itself_on_for_latency_on_a_virtual_machine_only() {
        assert_eq!(decided(KeepAwake::Auto, true, true), Ok(()));
        assert!(decided(KeepAwake::Auto, false, true).is_err_and(|reason| reason.contains("no virtual machine")));
        assert!(decided(KeepAwake::Auto, true, false).is_err_and(|reason| reason.contains("no latency")));
    }

    #[test]
    fn the_scenario_has_the_last_word_where_it_can_be_had() {
        assert_eq!(decided(KeepAwake::On, false, false), Ok(()));
        assert!(decided(KeepAwake::Off, true, true).is_err_and(|reason| reason.contains("keep_awake = false")));
        let refused = decide(KeepAwake::On, true, true, || Err("not permitted".to_owned()));
        assert_eq!(refused, KeptAwake::off("not permitted"));
        assert_eq!(refused.words(), "cores not kept awake: not permitted");
    }

    #[test]
    fn used_are_the_processors_that_are_bound_or_all() {
        let mut machine = Machine::detect(false);
        machine.server_cpus = vec![4, 2];
        machine.client_cpu = Some(4);
        assert_eq!(machine.used_cpus(), [2, 4]);
        (machine.server_cpus, machine.client_cpu) = (Vec::new(), None);
        assert_eq!(machine.used_cpus(), platform::allowed_cpus());
    }

    #[test]
    fn a_process_that_does_not_get_ready_is_told_with_its_stderr() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let program = folder.path().join("refuses");
        std::fs::write(&program, "#!/bin/sh\necho 'no such policy' >&2\nexit 3\n").expect("writable");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&program, mode).expect("it is ours");
        let error = Spinners::start(&program, &[0]).expect_err("it never says that it is ready");
        // "Text file busy": another test forked while the script was open for writing.
        let text = error.to_string();
        assert!(text.contains("no such policy") || error.kind() == io::ErrorKind::ExecutableFileBusy, "{text}");
        assert!(Spinners::start(Path::new("/nowhere/authbench"), &[0]).is_err());
    }
}
