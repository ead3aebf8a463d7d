//! Requests to change what is served, on their way to the one who looks at the folder.

use crate::routing::Change;
use cvm_proto::{Reason, Refusal};
use tokio::sync::{mpsc, oneshot};

/// Requests that may wait.
const WAITING: usize = 16;

/// What to do with a model; without a version it is about the model in whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Verb {
    Load { version: Option<String> },
    Unload { version: Option<String> },
    Change(Change),
}

impl Verb {
    /// What did not happen, for a message.
    fn participle(&self) -> &'static str {
        match self {
            Verb::Load { .. } => "loaded",
            Verb::Unload { .. } => "unloaded",
            Verb::Change(_) => "changed",
        }
    }
}

/// A request; what came of it goes to `done`.
#[derive(Debug)]
pub(crate) struct Command {
    pub(crate) verb: Verb,
    pub(crate) id: String,
    pub(crate) done: oneshot::Sender<Result<(), String>>,
}

/// Where requests are handed in; closed on a server that does not allow control.
#[derive(Debug, Clone)]
pub(crate) struct Control(Option<mpsc::Sender<Command>>);

/// The way for requests, and where they come out.
pub(crate) fn control() -> (Control, mpsc::Receiver<Command>) {
    let (sender, receiver) = mpsc::channel(WAITING);
    (Control(Some(sender)), receiver)
}

impl Control {
    /// The same way, closed unless requests are allowed.
    pub(crate) fn only_if(&self, allowed: bool) -> Control {
        Control(self.0.clone().filter(|_| allowed))
    }

    /// Asks, and waits for what came of it.
    ///
    /// # Errors
    /// `PERMISSION_DENIED` where control is not allowed; `FAILED_PRECONDITION` with why a model
    /// could not be loaded or unloaded.
    pub(crate) async fn ask(&self, verb: Verb, id: &str) -> Result<(), Refusal> {
        let Some(sender) = &self.0 else {
            let why = "models are not loaded or unloaded by request here: the folder decides; the \
                       server's --allow-model-control changes that";
            return Err(Refusal::new(Reason::NotAllowed, why));
        };
        let (done, outcome) = oneshot::channel();
        let (id, verb_done) = (id.to_owned(), verb.participle());
        let command = Command {
            verb,
            id: id.clone(),
            done,
        };
        let stopping = |_| Refusal::new(Reason::Draining, "the server is shutting down");
        sender.send(command).await.map_err(|_| stopping(()))?;
        let outcome = outcome.await.map_err(|_| stopping(()))?;
        outcome.map_err(|why| {
            let why = format!("models/{id} cannot be {verb_done}: {why}");
            Refusal::new(Reason::ModelUnavailable, why)
        })
    }
}
