//! The models being served: one immutable snapshot, swapped whole.

use crate::background::Verified;
use crate::drift::{Drift, Every};
use crate::meter::Meter;
use crate::pace::Pace;
use crate::routing::{CHAMPION, Routing};
use crate::shadow::Shadow;
use crate::split::LiveSplit;
use crate::trust::Signed;
use arc_swap::{ArcSwap, ArcSwapOption};
use cvm::ScoreOptions;
use cvm_proto::{ModelCard, ModelName, ModelOutput, ModelParam, ModelStamp, Reason, Refusal};
use std::collections::{BTreeMap, HashSet};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;
use tokio::sync::watch;

/// Models by id.
pub(crate) type Models = BTreeMap<String, Arc<Deployment>>;

/// Loaded versions of a model, by name.
pub(crate) type Versions = BTreeMap<String, Arc<Served>>;

/// Why something is not served, by model and version; what is about no version under "".
pub(crate) type Refused = BTreeMap<(String, String), String>;

/// A model: its loaded versions, and who of them answers.
#[derive(Debug)]
pub(crate) struct Deployment {
    /// Loaded versions.
    pub(crate) versions: Versions,
    /// Who answers; points at loaded versions only.
    pub(crate) routing: Routing,
    /// Who answers for the model named alone.
    pub(crate) champion: Option<Arc<Served>>,
    /// The split of traffic, if there is one.
    pub(crate) split: Option<LiveSplit>,
    /// Versions scored beside the champion.
    pub(crate) shadows: Vec<Arc<Shadow>>,
    /// When the champion last became another.
    pub(crate) moved: SystemTime,
}

impl Deployment {
    /// A deployment that follows on `before`.
    pub(crate) fn new(
        id: &str,
        versions: Versions,
        routing: Routing,
        before: Option<&Deployment>,
    ) -> Deployment {
        let champion = routing.champion().and_then(|version| versions.get(version));
        let champion = champion.cloned();
        let fingerprint = |served: &Arc<Served>| served.stamp.fingerprint.clone();
        let was = before.and_then(|before| before.champion.as_ref());
        let same = before.filter(|_| was.map(fingerprint) == champion.as_ref().map(fingerprint));
        let known = before
            .map(|before| before.shadows.as_slice())
            .unwrap_or_default();
        Deployment {
            moved: same.map_or_else(SystemTime::now, |before| before.moved),
            split: LiveSplit::of(id, &routing, &versions),
            shadows: shadows_of(&routing, &versions, champion.as_ref(), known),
            versions,
            routing,
            champion,
        }
    }

    /// The deployment of a single file: its version is the champion.
    pub(crate) fn single(id: &str, served: Served, before: Option<&Deployment>) -> Deployment {
        let version = served.version.clone();
        let mut routing = Routing::default();
        routing.aliases.insert(CHAMPION.to_owned(), version.clone());
        let versions = [(version, Arc::new(served))].into();
        Deployment::new(id, versions, routing, before)
    }
}

/// The shadows of a routing; one that compared the same two versions before goes on.
fn shadows_of(
    routing: &Routing,
    versions: &Versions,
    champion: Option<&Arc<Served>>,
    known: &[Arc<Shadow>],
) -> Vec<Arc<Shadow>> {
    let named = routing.shadows.iter();
    let named = named.filter_map(|to| versions.get(routing.target(to)?));
    let pairs = named.filter_map(|served| Some((served, champion?)));
    let shadows = pairs.filter(|(served, base)| !Arc::ptr_eq(served, base));
    let shadows = shadows.map(|(served, base)| {
        let before = known.iter().find(|shadow| shadow.is_of(served, base));
        let new = || Arc::new(Shadow::new(Arc::clone(served), Arc::clone(base)));
        before.map_or_else(new, Arc::clone)
    });
    shadows.collect()
}

/// Who answers a request: a version, or, for a model named alone, whoever its deployment says.
#[derive(Debug)]
pub(crate) struct Route {
    /// The version, or the champion.
    pub(crate) served: Arc<Served>,
    deployment: Option<Arc<Deployment>>,
}

impl Route {
    /// The split that deals the rows.
    pub(crate) fn split(&self) -> Option<&LiveSplit> {
        self.deployment.as_ref()?.split.as_ref()
    }

    /// The deployment whose shadows are compared with the champion.
    pub(crate) fn compared(&self) -> Option<&Deployment> {
        let deployment = self.deployment.as_deref()?;
        (!deployment.shadows.is_empty()).then_some(deployment)
    }
}

/// A version of a model as it is served.
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
    /// How far the rows it scores are from those of training.
    pub(crate) drift: Drift,
    /// What a row counts as.
    pace: Pace,
    /// When it was loaded.
    pub(crate) loaded: SystemTime,
    /// Who signed its file.
    pub(crate) signed: Option<Signed>,
    id: String,
}

impl Served {
    /// The model of a single file, under the author's version or the start of the fingerprint.
    pub(crate) fn new(id: &str, verified: Verified, every: Every) -> Served {
        let version = version_of(id, &verified.model);
        Served::version(id, &version, verified, every)
    }

    /// A model under a version that a manifest gives it.
    pub(crate) fn version(id: &str, version: &str, verified: Verified, every: Every) -> Served {
        let Verified { model, pace } = verified;
        let version = version.to_owned();
        let stamp = ModelStamp {
            model_version: format!("models/{id}/versions/{version}"),
            fingerprint: model.fingerprint().to_string(),
            kind: model.kind().to_owned(),
        };
        Served {
            stamp,
            version,
            drift: Drift::new(&model, every),
            pace,
            model,
            meter: Meter::default(),
            loaded: SystemTime::now(),
            signed: None,
            id: id.to_owned(),
        }
    }

    /// The same with who signed its file.
    pub(crate) fn signed(self, signed: Option<Signed>) -> Served {
        Served { signed, ..self }
    }

    /// What a row counts as under these options.
    pub(crate) fn weight(&self, options: &ScoreOptions) -> usize {
        self.pace.weight(&self.model, options)
    }

    /// Tells the log that it is loaded.
    pub(crate) fn announce(&self) {
        tracing::info!(
            model = %self.stamp.model_version,
            kind = %self.stamp.kind,
            fingerprint = %self.stamp.fingerprint,
            signed_by = self.signed.as_ref().map_or("nobody", |signed| &signed.key),
            "model loaded"
        );
        for note in self.model.notes() {
            tracing::warn!(model = %self.stamp.model_version, note, "model note");
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
    refused: ArcSwap<Refused>,
    refusals: AtomicU64,
    /// Why the folder cannot be looked at.
    folder_problem: ArcSwapOption<String>,
    /// How often the set of models changed; whoever follows it is told.
    swaps: watch::Sender<u64>,
    /// Versions taken out of service; held here so that no thread that serves has to free one.
    retired: Mutex<Vec<Arc<Served>>>,
}

impl Registry {
    /// The current snapshot.
    pub(crate) fn snapshot(&self) -> Arc<Models> {
        self.models.load_full()
    }

    /// Replaces the snapshot; requests in flight keep the models they hold.
    pub(crate) fn publish(&self, models: Models) {
        let kept: HashSet<*const Served> = versions(&models).map(Arc::as_ptr).collect();
        let old = self.models.swap(Arc::new(models));
        self.swaps.send_modify(|count| *count += 1);
        let gone = versions(&old).filter(|served| !kept.contains(&Arc::as_ptr(served)));
        if let Ok(mut retired) = self.retired.lock() {
            retired.extend(gone.cloned());
        }
    }

    /// Frees versions out of service that no request holds any more, on the calling thread; returns
    /// how many are left.
    pub(crate) fn sweep(&self) -> usize {
        let Ok(mut retired) = self.retired.lock() else {
            return 0;
        };
        retired.retain(|served| Arc::strong_count(served) > 1);
        retired.len()
    }

    /// Versions out of service whose memory is still held.
    pub(crate) fn retired_count(&self) -> usize {
        self.retired.lock().map_or(0, |retired| retired.len())
    }

    /// How often the set of models changed.
    pub(crate) fn swap_count(&self) -> u64 {
        *self.swaps.borrow()
    }

    /// Tells of every change of the set of models.
    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.swaps.subscribe()
    }

    /// Why the newest file of a model, or a version, is not served.
    pub(crate) fn refusals(&self) -> Arc<Refused> {
        self.refused.load_full()
    }

    /// Replaces the refusals, and counts those that are new.
    pub(crate) fn refuse(&self, refused: Refused) {
        let before = self.refused.load();
        let new = refused
            .iter()
            .filter(|(key, why)| before.get(*key) != Some(*why));
        self.refusals
            .fetch_add(new.count() as u64, Ordering::Relaxed);
        self.refused.store(Arc::new(refused));
    }

    /// Says why the folder cannot be looked at, or that it can.
    pub(crate) fn tell_of_folder(&self, problem: Option<String>) {
        self.folder_problem.store(problem.map(Arc::new));
    }

    /// Why the folder cannot be looked at; its models stay.
    pub(crate) fn folder_problem(&self) -> Option<Arc<String>> {
        self.folder_problem.load_full()
    }

    /// Refusals so far.
    pub(crate) fn refusal_count(&self) -> u64 {
        self.refusals.load(Ordering::Relaxed)
    }

    /// The version of a model that a name means.
    pub(crate) fn resolve(&self, name: &ModelName) -> Result<Arc<Served>, Refusal> {
        self.route(name).map(|route| route.served)
    }

    /// Who answers a request for a name.
    pub(crate) fn route(&self, name: &ModelName) -> Result<Route, Refusal> {
        let models = self.models.load();
        match name {
            ModelName::Only => champion(&only(&models)?),
            ModelName::Served { id } => champion(&(id, find(&models, id)?)),
            ModelName::Pinned { .. } | ModelName::Aliased { .. } => {
                let served = pinned(&models, name)?;
                let deployment = None;
                Ok(Route { served, deployment })
            }
        }
    }
}

/// The version that a name with a version or an alias means.
fn pinned(models: &Models, name: &ModelName) -> Result<Arc<Served>, Refusal> {
    match name {
        ModelName::Only | ModelName::Served { .. } => Err(absent("no version is named")),
        ModelName::Pinned { id, version } => {
            let deployment = find(models, id)?;
            let served = deployment.versions.get(version).cloned();
            served.ok_or_else(|| {
                let has = list(deployment.versions.keys());
                absent(format!(
                    "models/{id} is served in version {has}, not in {version}"
                ))
            })
        }
        ModelName::Aliased { id, alias } => {
            let deployment = find(models, id)?;
            let version = deployment.routing.aliases.get(alias);
            let served = version.and_then(|version| deployment.versions.get(version));
            served.cloned().ok_or_else(|| {
                let has = list(deployment.routing.aliases.keys());
                absent(format!(
                    "models/{id} has no alias {alias}; its aliases: {has}"
                ))
            })
        }
    }
}

/// All versions of all models.
fn versions(models: &Models) -> impl Iterator<Item = &Arc<Served>> {
    models
        .values()
        .flat_map(|deployment| deployment.versions.values())
}

fn absent(why: impl Into<String>) -> Refusal {
    Refusal::new(Reason::ModelNotFound, why)
}

/// A model with its id.
type Found<'a> = (&'a String, &'a Arc<Deployment>);

fn champion((id, deployment): &Found<'_>) -> Result<Route, Refusal> {
    let served = deployment.champion.clone().ok_or_else(|| {
        let has = list(deployment.versions.keys());
        absent(format!("models/{id} has no champion; its versions: {has}"))
    })?;
    let deployment = Some(Arc::clone(deployment));
    Ok(Route { served, deployment })
}

fn only(models: &Models) -> Result<Found<'_>, Refusal> {
    let mut all = models.iter();
    match (all.next(), all.next()) {
        (Some(found), None) => Ok(found),
        (None, _) => Err(absent("no model is loaded")),
        (Some(_), Some(_)) => {
            let field = "model".to_owned();
            let count = models.len();
            let description = format!(
                "is empty; it must name one of the {count} models: {}",
                list(models.keys())
            );
            Err(Refusal::fields(vec![cvm::Violation { field, description }]))
        }
    }
}

fn find<'a>(models: &'a Models, id: &str) -> Result<&'a Arc<Deployment>, Refusal> {
    models.get(id).ok_or_else(|| {
        let has = list(models.keys());
        absent(format!("models/{id} is not loaded; loaded: {has}"))
    })
}

/// The first names for a message.
fn list<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let count = names.len();
    let shown: Vec<&str> = names.take(8).map(String::as_str).collect();
    match count {
        0 => "none".to_owned(),
        count if count > shown.len() => format!("{}, …", shown.join(", ")),
        _ => shown.join(", "),
    }
}

#[cfg(test)]
mod tests {
    use super::{Deployment, Every, Models, Registry, Served};
    use crate::background::Verified;
    use cvm_proto::ModelName;
    use std::sync::Arc;

    fn models(r: f64) -> Models {
        let params = [("r", r), ("alpha", 4.4136), ("a", 0.7929), ("b", 2.4259)];
        let params = params.map(|(name, value)| (name.to_owned(), value));
        let model = cvm::from_params("clv.bg_nbd", &params, None).unwrap();
        let deployment = Deployment::single(
            "retail",
            Served::new("retail", Verified::of(model), Every(1)),
            None,
        );
        Models::from([("retail".to_owned(), Arc::new(deployment))])
    }

    #[test]
    fn a_version_out_of_service_is_freed_by_who_sweeps_and_only_when_nobody_holds_it() {
        let registry = Registry::default();
        registry.publish(models(0.2));
        let route = registry.route(&ModelName::Only).unwrap();
        let version = Arc::downgrade(&route.served);
        // The same version in a new snapshot is not out of service.
        let again = Models::clone(&registry.snapshot());
        registry.publish(again);
        assert_eq!((registry.sweep(), registry.retired_count()), (0, 0));
        registry.publish(models(0.3));
        assert_eq!((registry.sweep(), registry.retired_count()), (1, 1));
        drop(route);
        assert!(version.upgrade().is_some(), "a request freed it");
        assert_eq!((registry.sweep(), registry.retired_count()), (0, 0));
        assert!(version.upgrade().is_none());
    }
}
