//! Ctrl-C: the first one asks the run to end cleanly, the second ends the program.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::{Exit, remark};

/// A flag that becomes true when the user interrupts (SIGINT) or someone terminates (SIGTERM) the program. A thread of its
/// own waits for the signal, so that the measuring thread only ever looks at the flag.
///
/// # Errors
/// When the operating system refuses a thread or a signal handler.
pub(super) fn flag() -> io::Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let raised = flag.clone();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let mut signals = {
        let _context = runtime.enter(); // signal handlers belong to a runtime
        Signals::listen()?
    };
    std::thread::Builder::new().name("interrupt".to_owned()).spawn(move || {
        runtime.block_on(async {
            signals.next().await;
            raised.store(true, Ordering::Relaxed);
            remark("\ninterrupted: the run ends after this slice; once more ends it at once");
            signals.next().await;
        });
        // Records are whole lines on disk, and the servers end with their parent.
        std::process::exit(Exit::Measurement as i32);
    })?;
    Ok(flag)
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { interrupt: signal(SignalKind::interrupt())?, terminate: signal(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn listen() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
