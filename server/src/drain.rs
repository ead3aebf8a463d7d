//! A signal that is given once and seen by everyone.

use tokio::sync::watch;

/// Gives the signal.
#[derive(Debug)]
pub(crate) struct Trigger(watch::Sender<bool>);

/// Waits for the signal.
#[derive(Debug, Clone)]
pub(crate) struct Signal(watch::Receiver<bool>);

/// A signal not yet given.
pub(crate) fn signal() -> (Trigger, Signal) {
    let (sender, receiver) = watch::channel(false);
    (Trigger(sender), Signal(receiver))
}

impl Trigger {
    /// Gives the signal.
    pub(crate) fn give(&self) {
        self.0.send_replace(true);
    }
}

impl Signal {
    /// Whether the signal is given.
    pub(crate) fn is_given(&self) -> bool {
        *self.0.borrow()
    }

    /// Ends when the signal is given, or when nobody can give it any more.
    pub(crate) async fn given(mut self) {
        let _ = self.0.wait_for(|given| *given).await;
    }
}
