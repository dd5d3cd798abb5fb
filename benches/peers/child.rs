//! Child processes: bound to a processor, and with their processor time known to the end.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

/// What a client process came to.
#[derive(Debug, Clone)]
pub(crate) struct Finished {
    /// Standard output.
    pub(crate) stdout: String,
    /// User and system time of all its threads, to the clock tick (usually 10 ms).
    pub(crate) cpu: Duration,
}

/// Binds a command to one processor. `taskset` does it, so that no code of ours runs between fork and exec.
pub(crate) fn bound(cpu: usize, program: &str) -> Command {
    let mut command = Command::new("taskset");
    command.args(["-c", &cpu.to_string(), program]);
    command
}

/// Runs a client to its end.
///
/// # Errors
/// When it cannot be run or fails; with what it wrote to standard error.
pub(crate) fn run(command: &mut Command) -> anyhow::Result<Finished> {
    let program = match command.get_program() {
        bound if bound == "taskset" => command.get_args().nth(2).unwrap_or(bound),
        program => program,
    };
    let program = program.to_string_lossy().into_owned();
    let mut stderr = tempfile::tempfile()?;
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(stderr.try_clone()?)
        .spawn()
        .with_context(|| format!("cannot run {program}"))?;
    let stdout = std::io::read_to_string(child.stdout.take().context("it is piped")?)?;
    let pid = Pid::from_child(&child);
    // Ended but not yet reaped: only now do its accounts hold everything and still exist.
    waitid(WaitId::Pid(pid), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)?;
    let cpu = cpu_time(child.id())?;
    let status = child.wait()?;
    if !status.success() {
        use std::io::{Read as _, Seek as _};
        let mut text = String::new();
        stderr.rewind()?;
        stderr.read_to_string(&mut text)?;
        bail!("{program} ended with {status}: {text}{stdout}");
    }
    Ok(Finished { stdout, cpu })
}

/// User and system time of a process's threads, those that ended included (proc_pid_stat(5), fields 14 and 15).
///
/// # Errors
/// When there is no such process.
fn cpu_time(pid: u32) -> anyhow::Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The name, second, may hold anything but ends with the last parenthesis.
    let (_, rest) = stat.rsplit_once(')').context("no name in stat")?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    ensure!(fields.len() > 12, "too few fields in stat");
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64))
}

/// A server process of ours; ends when dropped, by the end of its standard input.
pub(crate) struct Server {
    child: Child,
    stdin: Option<ChildStdin>,
    /// Where it listens.
    pub(crate) port: u16,
}

impl Server {
    /// Starts one and waits until it listens.
    ///
    /// # Errors
    /// When it does not.
    pub(crate) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start the server")?;
        let stdin = child.stdin.take();
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("it is piped")?).read_line(&mut line)?;
        let port = line.trim().parse().with_context(|| format!("the server said {line:?}, not its port"))?;
        Ok(Self { child, stdin, port })
    }

    /// Its process identifier.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.stdin.take());
        let _ = self.child.wait();
    }
}
