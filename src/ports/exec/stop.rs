//! Cancellation: the signal that all ports watch, and how a child process is stopped.

use std::time::Duration;

use rustix::process::{Pid, Signal};
use tokio::process::Child;
use tokio::sync::watch;

/// Tells why the run is to stop; `None` while it is not.
pub(crate) type CancelSignal = watch::Receiver<Option<Stop>>;

/// Why to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// SIGINT, which the runner sends first on cancellation.
    Interrupt,
    /// SIGTERM.
    Terminate,
    /// The `timeout` input.
    Timeout,
}

/// Waits until the run is to stop.
pub(crate) async fn cancelled(signal: &CancelSignal) -> Stop {
    let mut signal = signal.clone();
    loop {
        if let Some(stop) = *signal.borrow_and_update() {
            return stop;
        }
        if signal.changed().await.is_err() {
            // Without a sender no cancellation can come.
            std::future::pending::<()>().await;
        }
    }
}

/// How long a child has to end after SIGINT, and then after SIGTERM. The runner kills everything 10 s after its first signal
/// (actions/runner, `ProcessInvoker`); so a child that ignores both leaves time to remove its builder.
const AFTER_INTERRUPT: Duration = Duration::from_millis(3500);
const AFTER_TERMINATE: Duration = Duration::from_secs(1);

/// A child's process group; each child is started as the leader of its own. When it is dropped, all that is left of the group
/// is killed: a plug-in or a helper may outlive the process that was started. Not so after [`Self::release`].
#[derive(Debug)]
pub(super) struct Group(Option<Pid>);

impl Group {
    pub(super) fn of(child: &Child) -> Self {
        Self(child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw))
    }

    /// Notes that the child ended by itself: processes that it left running are meant to run.
    pub(super) fn release(&mut self) {
        self.0 = None;
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.0 {
            // That fails only if the group has ended.
            let _ = rustix::process::kill_process_group(group, signal);
        }
    }

    /// Stops the child: by SIGINT, then SIGTERM, then SIGKILL to the whole group.
    pub(super) async fn stop(&self, child: &mut Child) {
        // The docker CLI stops its plugin on the first signal and gives up on it on the third.
        for (signal, patience) in [(Signal::INT, AFTER_INTERRUPT), (Signal::TERM, AFTER_TERMINATE)] {
            self.signal(signal);
            if tokio::time::timeout(patience, child.wait()).await.is_ok() {
                break;
            }
        }
        self.kill(child).await;
    }

    pub(super) async fn kill(&self, child: &mut Child) {
        self.signal(Signal::KILL);
        // That fails only if the child has ended.
        let _ = child.kill().await;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
    }
}
