//! The models being served: one immutable snapshot, swapped whole.

use crate::meter::Meter;
use arc_swap::ArcSwap;
use cvm_proto::{ModelCard, ModelName, ModelOutput, ModelParam, ModelStamp, Reason, Refusal};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Models by id.
pub(crate) type Models = BTreeMap<String, Arc<Served>>;

/// A model as it is served.
#[derive(Debug)]
pub(crate) struct Served {
    /// What answers are stamped with.
    pub(crate) stamp: ModelStamp,
    /// Version: the author's, or the start of the fingerprint.
    pub(crate) version: String,
    /// The model.
    pub(crate) model: cvm::Model,
    /// What it has done.
    pub(crate) meter: Meter,
    id: String,
}

impl Served {
    pub(crate) fn new(id: &str, model: cvm::Model) -> Served {
        let version = version_of(id, &model);
        let stamp = ModelStamp {
            model_version: format!("models/{id}/versions/{version}"),
            fingerprint: model.fingerprint().to_string(),
            kind: model.kind().to_owned(),
        };
        Served {
            stamp,
            version,
            model,
            meter: Meter::default(),
            id: id.to_owned(),
        }
    }

    /// What the model is, for callers.
    pub(crate) fn card(&self) -> ModelCard {
        let outputs = self.model.outputs().iter().map(|output| ModelOutput {
            name: output.name.to_owned(),
            unit: output.unit.to_owned(),
            meaning: output.meaning.to_owned(),
            needs_horizon: output.needs_horizon,
            on_request: output.on_request,
        });
        let params = self.model.params().into_iter();
        let params = params.map(|(spec, value)| ModelParam {
            name: spec.name.to_owned(),
            unit: spec.unit.to_owned(),
            meaning: spec.meaning.to_owned(),
            value,
        });
        ModelCard {
            name: format!("models/{}", self.id),
            version: self.version.clone(),
            kind: self.stamp.kind.clone(),
            fingerprint: self.stamp.fingerprint.clone(),
            schema: self.model.schema().clone(),
            outputs: outputs.collect(),
            params: params.collect(),
            metadata_json: json(self.model.metadata()),
            training_json: json(self.model.training()),
        }
    }
}

fn json(facts: &serde_json::Map<String, serde_json::Value>) -> String {
    serde_json::to_string(facts).unwrap_or_else(|_| "{}".to_owned())
}

/// The author's `version` if it can be part of a resource name; else the fingerprint's start.
fn version_of(id: &str, model: &cvm::Model) -> String {
    match model.metadata().get("version").and_then(|v| v.as_str()) {
        Some(version) if ModelName::is_version(version) => return version.to_owned(),
        Some(version) => tracing::warn!(
            model = id,
            version = ?version.chars().take(80).collect::<String>(),
            "the version in the metadata cannot be part of a name; the fingerprint stands in"
        ),
        None => {}
    }
    model.fingerprint().short()
}

/// The models being served.
#[derive(Debug, Default)]
pub(crate) struct Registry {
    models: ArcSwap<Models>,
    refused: ArcSwap<BTreeMap<String, String>>,
    swaps: AtomicU64,
}

impl Registry {
    /// The current snapshot.
    pub(crate) fn snapshot(&self) -> Arc<Models> {
        self.models.load_full()
    }

    /// Replaces the snapshot; requests in flight keep the models they hold.
    pub(crate) fn publish(&self, models: Models) {
        self.models.store(Arc::new(models));
        self.swaps.fetch_add(1, Ordering::Relaxed);
    }

    /// How often the set of models changed.
    pub(crate) fn swap_count(&self) -> u64 {
        self.swaps.load(Ordering::Relaxed)
    }

    /// Why the newest file of a model is not served, by id.
    pub(crate) fn refusals(&self) -> Arc<BTreeMap<String, String>> {
        self.refused.load_full()
    }

    /// Replaces the refusals.
    pub(crate) fn refuse(&self, refused: BTreeMap<String, String>) {
        self.refused.store(Arc::new(refused));
    }

    /// The model a request means.
    pub(crate) fn resolve(&self, name: &ModelName) -> Result<Arc<Served>, Refusal> {
        let models = self.models.load();
        match name {
            ModelName::Only => only(&models),
            ModelName::Served { id } => find(&models, id),
            ModelName::Pinned { id, version } => {
                let served = find(&models, id)?;
                if served.version == *version {
                    return Ok(served);
                }
                let has = &served.version;
                let why = format!("models/{id} is served in version {has}, not in {version}");
                Err(Refusal::new(Reason::ModelNotFound, why))
            }
        }
    }
}

fn only(models: &Models) -> Result<Arc<Served>, Refusal> {
    let mut all = models.values();
    match (all.next(), all.next()) {
        (Some(served), None) => Ok(Arc::clone(served)),
        (None, _) => Err(Refusal::new(Reason::ModelNotFound, "no model is loaded")),
        (Some(_), Some(_)) => {
            let field = "model".to_owned();
            let count = models.len();
            let description = format!(
                "is empty; it must name one of the {count} models: {}",
                names(models)
            );
            Err(Refusal::fields(vec![cvm::Violation { field, description }]))
        }
    }
}

fn find(models: &Models, id: &str) -> Result<Arc<Served>, Refusal> {
    models.get(id).cloned().ok_or_else(|| {
        let why = format!("models/{id} is not loaded; loaded: {}", names(models));
        Refusal::new(Reason::ModelNotFound, why)
    })
}

/// The first models' ids for a message.
fn names(models: &Models) -> String {
    if models.is_empty() {
        return "none".to_owned();
    }
    let shown: Vec<&str> = models.keys().take(8).map(String::as_str).collect();
    let more = if models.len() > shown.len() {
        ", …"
    } else {
        ""
    };
    format!("{}{more}", shown.join(", "))
}
