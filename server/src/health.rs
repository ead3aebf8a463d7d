//! What `grpc.health.v1` says of the services, of every model, and of liveness apart from readiness.

use crate::drain::Signal;
use crate::registry::Registry;
use cvm_proto::{Reason, Refusal};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::sync::watch::Receiver;
use tokio::task::JoinHandle;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// The process answers: true until its end, so that nobody restarts what is draining.
pub(crate) const LIVENESS: &str = "liveness";
/// Requests are welcome, and a model is there to answer them.
pub(crate) const READINESS: &str = "readiness";

/// Whether requests are welcome. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Readiness {
    pub(crate) registry: Arc<Registry>,
    /// Given when the folder has been looked at for the first time.
    pub(crate) looked: Signal,
    /// Given when the server has been told to stop.
    pub(crate) leaving: Signal,
}

impl Readiness {
    /// Why requests should go elsewhere; nothing if they are welcome.
    pub(crate) fn why_not(&self) -> Option<&'static str> {
        if self.leaving.is_given() {
            return Some("the server is shutting down");
        }
        if !self.looked.is_given() {
            return Some("the models are being loaded");
        }
        let models = self.registry.snapshot();
        let answers = models.values().any(|model| model.champion.is_some());
        (!answers).then_some("no model is loaded")
    }

    /// Waits until the models are loaded.
    ///
    /// # Errors
    /// The server is told to stop before.
    pub(crate) async fn loaded(self) -> Result<(), Refusal> {
        tokio::select! {
            () = self.looked.given() => Ok(()),
            () = self.leaving.given() => {
                Err(Refusal::new(Reason::Draining, "the server is shutting down"))
            }
        }
    }
}

/// Health of one port.
#[derive(Debug)]
pub(crate) struct Health {
    pub(crate) reporter: HealthReporter,
    /// Its services.
    pub(crate) services: &'static [&'static str],
}

impl Health {
    /// Tells what is so now, and from then on whenever it changes, until the server is told to stop;
    /// that is told before the task ends.
    pub(crate) async fn start(mut self, ready: Readiness) -> JoinHandle<()> {
        let changes = ready.registry.changes();
        let mut told = BTreeMap::new();
        self.tell(state(&ready, self.services), &mut told).await;
        tokio::spawn(self.follow(ready, changes, told))
    }

    async fn follow(mut self, ready: Readiness, mut changes: Receiver<u64>, mut told: Told) {
        loop {
            let loading = !ready.looked.is_given();
            tokio::select! {
                _ = changes.changed() => {}
                () = ready.looked.clone().given(), if loading => {}
                () = ready.leaving.clone().given() => {}
            }
            // Looked at first: what is told after it is then the last word.
            let leaving = ready.leaving.is_given();
            self.tell(state(&ready, self.services), &mut told).await;
            if leaving {
                return;
            }
        }
    }

    /// Tells what differs from what was told. A model that is gone is not serving, then not known.
    async fn tell(&mut self, now: Told, told: &mut Told) {
        let gone: Vec<_> = told
            .keys()
            .filter(|name| !now.contains_key(*name))
            .collect();
        for name in gone {
            let over = ServingStatus::NotServing;
            self.reporter.set_service_status(name, over).await;
            self.reporter.clear_service_status(name).await;
        }
        for (name, serves) in &now {
            if told.get(name) != Some(serves) {
                let status = match serves {
                    true => ServingStatus::Serving,
                    false => ServingStatus::NotServing,
                };
                self.reporter.set_service_status(name, status).await;
            }
        }
        *told = now;
    }
}

/// Names with whether they serve.
type Told = BTreeMap<String, bool>;

fn state(ready: &Readiness, services: &[&str]) -> Told {
    let stays = ready.looked.is_given() && !ready.leaving.is_given();
    let services = services.iter().chain([&""]);
    let services = services.map(|name| ((*name).to_owned(), stays));
    let own = [
        (LIVENESS.to_owned(), true),
        (READINESS.to_owned(), ready.why_not().is_none()),
    ];
    let models = ready.registry.snapshot();
    let models = models.iter().map(|(id, model)| {
        let answers = stays && model.champion.is_some();
        (format!("models/{id}"), answers)
    });
    services.chain(own).chain(models).collect()
}
