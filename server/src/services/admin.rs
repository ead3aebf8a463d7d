//! `cvm.admin.v1.AdminService`: what is served, and its changes.

use super::replay::replay;
use super::scoring::asker_of;
use crate::admission::Asker;
use crate::control::{Control, Verb};
use crate::plane::Plane;
use crate::registry::{Deployment, Models, Refused, Served};
use crate::routing::Change;
use crate::shadow::Shadow;
use crate::shelf::HELD;
use crate::split::{Share, Split};
use cvm::compare::{Comparison, compare};
use cvm::{FieldDrift, Scores};
use cvm_proto::admin::v1 as pb;
use cvm_proto::admin::v1::admin_service_server::AdminService;
use cvm_proto::{ConvertError, ModelName, Reason, Refusal, ScoreJob, v1};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::SystemTime;
use tonic::{Request, Response, Status};

/// The service.
#[derive(Debug)]
pub(crate) struct Admin {
    pub(crate) plane: Arc<Plane>,
    pub(crate) control: Control,
}

#[tonic::async_trait]
impl AdminService for Admin {
    async fn list_versions(
        &self,
        request: Request<pb::ListVersionsRequest>,
    ) -> Result<Response<pb::ListVersionsResponse>, Status> {
        let pb::ListVersionsRequest { model } = request.into_inner();
        let models = match model.as_str() {
            "" => self.all(),
            name => vec![self.one(&id_of("model", name)?)?],
        };
        let state = self.plane.store.state();
        let store = state.and_then(|state| state.problem);
        let folder = self.plane.registry.folder_problem();
        let folder = folder.map(|why| why.to_string());
        let problems: Vec<String> = store.into_iter().chain(folder).collect();
        Ok(Response::new(pb::ListVersionsResponse {
            models,
            store_error: problems.join("; "),
        }))
    }

    async fn load_version(
        &self,
        request: Request<pb::LoadVersionRequest>,
    ) -> Result<Response<pb::LoadVersionResponse>, Status> {
        let (id, version) = version_of(&request.into_inner().name)?;
        let model = self.ask(&id, Verb::Load { version }).await?;
        Ok(Response::new(pb::LoadVersionResponse { model }))
    }

    async fn unload_version(
        &self,
        request: Request<pb::UnloadVersionRequest>,
    ) -> Result<Response<pb::UnloadVersionResponse>, Status> {
        let (id, version) = version_of(&request.into_inner().name)?;
        let model = self.ask(&id, Verb::Unload { version }).await?;
        Ok(Response::new(pb::UnloadVersionResponse { model }))
    }

    async fn set_alias(
        &self,
        request: Request<pb::SetAliasRequest>,
    ) -> Result<Response<pb::SetAliasResponse>, Status> {
        let pb::SetAliasRequest {
            model,
            alias,
            version,
        } = request.into_inner();
        let id = id_of("model", &model)?;
        checked("alias", &alias, ModelName::is_id(&alias))?;
        checked("version", &version, ModelName::is_version(&version))?;
        let change = Change::SetAlias { alias, version };
        let model = self.ask(&id, Verb::Change(change)).await?;
        Ok(Response::new(pb::SetAliasResponse { model }))
    }

    async fn delete_alias(
        &self,
        request: Request<pb::DeleteAliasRequest>,
    ) -> Result<Response<pb::DeleteAliasResponse>, Status> {
        let pb::DeleteAliasRequest { model, alias } = request.into_inner();
        let id = id_of("model", &model)?;
        let verb = Verb::Change(Change::DeleteAlias { alias });
        let model = self.ask(&id, verb).await?;
        Ok(Response::new(pb::DeleteAliasResponse { model }))
    }

    async fn rollback(
        &self,
        request: Request<pb::RollbackRequest>,
    ) -> Result<Response<pb::RollbackResponse>, Status> {
        let id = id_of("model", &request.into_inner().model)?;
        let model = self.ask(&id, Verb::Change(Change::Rollback)).await?;
        Ok(Response::new(pb::RollbackResponse { model }))
    }

    async fn set_split(
        &self,
        request: Request<pb::SetSplitRequest>,
    ) -> Result<Response<pb::SetSplitResponse>, Status> {
        let pb::SetSplitRequest {
            model,
            shares,
            salt,
        } = request.into_inner();
        let id = id_of("model", &model)?;
        let shares = shares.into_iter().map(|share| Share {
            to: share.to,
            weight: share.weight,
        });
        let shares = shares.collect();
        let split = Split { salt, shares };
        split.check().map_err(|why| wrong("shares", &why))?;
        let verb = Verb::Change(Change::SetSplit(split));
        let model = self.ask(&id, verb).await?;
        Ok(Response::new(pb::SetSplitResponse { model }))
    }

    async fn set_shadows(
        &self,
        request: Request<pb::SetShadowsRequest>,
    ) -> Result<Response<pb::SetShadowsResponse>, Status> {
        let pb::SetShadowsRequest { model, versions } = request.into_inner();
        let id = id_of("model", &model)?;
        let verb = Verb::Change(Change::SetShadows(versions));
        let model = self.ask(&id, verb).await?;
        Ok(Response::new(pb::SetShadowsResponse { model }))
    }

    async fn compare_shadows(
        &self,
        request: Request<pb::CompareShadowsRequest>,
    ) -> Result<Response<pb::CompareShadowsResponse>, Status> {
        let id = id_of("model", &request.into_inner().model)?;
        let models = self.plane.registry.snapshot();
        let found = models.get(&id).ok_or_else(|| absent(&id))?;
        let shadows = found.shadows.iter().map(|shadow| shadow_comparison(shadow));
        let shadows = shadows.collect();
        Ok(Response::new(pb::CompareShadowsResponse { shadows }))
    }

    async fn diff_model_versions(
        &self,
        request: Request<pb::DiffModelVersionsRequest>,
    ) -> Result<Response<pb::DiffModelVersionsResponse>, Status> {
        let asker = asker_of(&request);
        let difference = self.difference(request.into_inner(), &asker).await?;
        Ok(Response::new(difference))
    }

    async fn replay_score(
        &self,
        request: Request<pb::ReplayScoreRequest>,
    ) -> Result<Response<pb::ReplayScoreResponse>, Status> {
        let asker = asker_of(&request);
        let answer = replay(&self.plane, request.into_inner(), &asker).await?;
        Ok(Response::new(answer))
    }
}

impl Admin {
    /// Scores rows with two versions and compares.
    async fn difference(
        &self,
        request: pb::DiffModelVersionsRequest,
        asker: &Asker,
    ) -> Result<pb::DiffModelVersionsResponse, Refusal> {
        let pb::DiffModelVersionsRequest {
            base,
            candidate,
            frame,
            options,
        } = request;
        let served = |field: &str, name: &str| {
            let name: Result<ModelName, ConvertError> = name.parse();
            let name = name.map_err(|error| wrong(field, &error.description))?;
            self.plane.registry.resolve(&name)
        };
        let versions = [served("base", &base)?, served("candidate", &candidate)?];
        // Checked and read as any request for scores is.
        let ask = v1::ScoreRequest {
            frame,
            options,
            ..Default::default()
        };
        let claimed = ask.frame.as_ref().map_or(0, |frame| frame.row_count);
        self.plane.check_rows("frame.row_count", claimed.into())?;
        let job = ScoreJob::try_from(ask).map_err(|error| Refusal::fields(vec![error.into()]))?;
        let (frame, options) = (Arc::new(job.frame), job.options);
        let [base, candidate] = versions;
        let score = |served: &Arc<Served>| {
            let (served, frame) = (Arc::clone(served), Arc::clone(&frame));
            self.plane.scores(served, frame, options.clone(), asker)
        };
        let (base_scores, scores) = (score(&base).await?, score(&candidate).await?);
        Ok(difference_of(&base, base_scores, &candidate, scores))
    }

    /// Asks for a change, and says what is served after it.
    async fn ask(&self, id: &str, verb: Verb) -> Result<Option<pb::Deployment>, Refusal> {
        self.control.ask(verb, id).await?;
        Ok(Some(self.one(id)?))
    }

    fn all(&self) -> Vec<pb::Deployment> {
        let (models, refused) = (
            self.plane.registry.snapshot(),
            self.plane.registry.refusals(),
        );
        let ids: BTreeSet<&String> = models
            .keys()
            .chain(refused.keys().map(|(id, _)| id))
            .collect();
        let ids = ids.into_iter();
        ids.map(|id| deployment(id, &models, &refused)).collect()
    }

    fn one(&self, id: &str) -> Result<pb::Deployment, Refusal> {
        let (models, refused) = (
            self.plane.registry.snapshot(),
            self.plane.registry.refusals(),
        );
        if !models.contains_key(id) && !refused.keys().any(|(own, _)| own == id) {
            return Err(absent(id));
        }
        Ok(deployment(id, &models, &refused))
    }
}

/// A model as it is, with what is wrong about it.
fn deployment(id: &str, models: &Models, refused: &Refused) -> pb::Deployment {
    let found = models.get(id);
    let error_of = |version: &str| {
        let why = refused.get(&(id.to_owned(), version.to_owned()));
        why.cloned().unwrap_or_default()
    };
    let loaded = found.into_iter().flat_map(|found| found.versions.values());
    let loaded = loaded.map(|served| version(served, error_of(&served.version)));
    let has = |version: &str| found.is_some_and(|found| found.versions.contains_key(version));
    let absent = refused
        .iter()
        .filter(|((own, version), _)| own == id && !version.is_empty() && !has(version));
    let absent = absent.map(|((_, version), why)| absent_version(id, version, why));
    let mut versions: Vec<pb::Version> = loaded.chain(absent).collect();
    versions.sort_by(|a, b| a.version.cmp(&b.version));
    pb::Deployment {
        name: format!("models/{id}"),
        aliases: found.map(|found| aliases(found)).unwrap_or_default(),
        champion_move_time: found
            .filter(|found| found.champion.is_some())
            .map(|found| time(found.moved)),
        error: error_of(""),
        versions,
        shares: found.map(|found| shares(found)).unwrap_or_default(),
        salt: found
            .map(|found| found.routing.split.salt.clone())
            .unwrap_or_default(),
        shadows: found
            .map(|found| found.routing.shadows.clone())
            .unwrap_or_default(),
    }
}

fn aliases(deployment: &Deployment) -> Vec<pb::Alias> {
    let aliases = deployment.routing.aliases.iter();
    let aliases = aliases.map(|(alias, version)| pb::Alias {
        alias: alias.clone(),
        version: version.clone(),
    });
    aliases.collect()
}

fn shares(deployment: &Deployment) -> Vec<pb::Share> {
    let shares = deployment.routing.split.shares.iter();
    let shares = shares.map(|share| pb::Share {
        to: share.to.clone(),
        weight: share.weight,
    });
    shares.collect()
}

fn shadow_comparison(shadow: &Shadow) -> pb::ShadowComparison {
    let rows = shadow.rows();
    let outputs = shadow.compared().into_iter();
    let outputs = outputs.map(|(name, found)| output_comparison(name, &found));
    pb::ShadowComparison {
        base: Some(shadow.base.stamp.clone().into()),
        candidate: Some(shadow.served.stamp.clone().into()),
        row_count: count(rows.scored),
        shed_row_count: count(rows.shed),
        failed_row_count: count(rows.failed),
        outputs: outputs.collect(),
    }
}

fn output_comparison(name: &str, found: &Comparison) -> pb::OutputComparison {
    let counts = found.migration.iter().flatten();
    pb::OutputComparison {
        output: name.to_owned(),
        row_count: count(found.row_count as u64),
        unlike_row_count: count(found.unlike_count as u64),
        delta_mean: found.delta_mean,
        delta_abs_mean: found.delta_abs_mean,
        delta_abs_max: found.delta_abs_max,
        rank_correlation: found.rank_correlation,
        migration: counts.map(|rows| count(*rows)).collect(),
        psi: found.psi,
    }
}

fn difference_of(
    base: &Served,
    base_scores: Scores,
    candidate: &Served,
    scores: Scores,
) -> pb::DiffModelVersionsResponse {
    let statuses = base_scores.status.iter().zip(&scores.status);
    let changed = statuses.filter(|(before, now)| before.code != now.code);
    let changed = changed.count() as u64;
    let outputs = base_scores.outputs.iter().filter_map(|(name, before)| {
        let now = scores.outputs.iter().find(|(own, _)| own == name);
        let (_, now) = now?;
        Some(output_comparison(name, &compare(before, now)))
    });
    pb::DiffModelVersionsResponse {
        base: Some(base.stamp.clone().into()),
        candidate: Some(candidate.stamp.clone().into()),
        outputs: outputs.collect(),
        status_change_count: count(changed),
    }
}

fn absent(id: &str) -> Refusal {
    let why = format!("models/{id} is not there");
    Refusal::new(Reason::ModelNotFound, why)
}

fn version(served: &Served, error: String) -> pb::Version {
    let (meter, signed) = (&served.meter, served.signed.as_ref());
    pb::Version {
        name: served.stamp.model_version.clone(),
        version: served.version.clone(),
        state: pb::VersionState::Loaded.into(),
        error,
        kind: served.stamp.kind.clone(),
        fingerprint: served.stamp.fingerprint.clone(),
        load_time: Some(time(served.loaded)),
        row_count: count(meter.rows()),
        request_count: count(meter.success().read().0),
        failure_count: count(meter.fail().read().0),
        signing_key: signed.map(|signed| signed.key.clone()).unwrap_or_default(),
        signature_counter: signed.map_or(0, |signed| signed.counter),
        drift: Some(drift(served)),
    }
}

/// How far the newest rows are from those of training, or why that is not told.
fn drift(served: &Served) -> pb::Drift {
    match served.drift.report() {
        Err(why) => pb::Drift {
            note: why.to_owned(),
            ..Default::default()
        },
        Ok(None) => pb::Drift {
            note: "no rows yet".to_owned(),
            ..Default::default()
        },
        Ok(Some(report)) => pb::Drift {
            note: String::new(),
            row_count: count(report.row_count_now),
            training_row_count: count(report.row_count_before),
            score: report.score.as_ref().map(field_drift),
            inputs: report.fields.iter().map(field_drift).collect(),
        },
    }
}

fn field_drift(field: &FieldDrift) -> pb::FieldDrift {
    pb::FieldDrift {
        name: field.name.clone(),
        psi: field.psi,
        noise: field.noise,
        enough_rows: !field.is_uncertain(),
        training_missing_share: field.missing_before,
        missing_share: field.missing_now,
        training_other_share: field.other_before,
        other_share: field.other_now,
    }
}

fn absent_version(id: &str, version: &str, why: &str) -> pb::Version {
    let state = match why == HELD {
        true => pb::VersionState::Unloaded,
        false => pb::VersionState::Refused,
    };
    pb::Version {
        name: format!("models/{id}/versions/{version}"),
        version: version.to_owned(),
        state: state.into(),
        error: why.to_owned(),
        ..Default::default()
    }
}

/// A moment in the form of the protocol.
fn time(moment: SystemTime) -> prost_types::Timestamp {
    moment.into()
}

fn count(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The id of a model named whole.
fn id_of(field: &str, name: &str) -> Result<String, Refusal> {
    match name.parse() {
        Ok(ModelName::Served { id }) => Ok(id),
        _ => Err(wrong(field, "must be `models/{model}` or `{model}`")),
    }
}

/// A model, or one of its versions.
fn version_of(name: &str) -> Result<(String, Option<String>), Refusal> {
    match name.parse() {
        Ok(ModelName::Served { id }) => Ok((id, None)),
        Ok(ModelName::Pinned { id, version }) => Ok((id, Some(version))),
        _ => {
            let why = "must be `models/{model}/versions/{version}` or `models/{model}`";
            Err(wrong("name", why))
        }
    }
}

fn checked(field: &str, text: &str, legal: bool) -> Result<(), Refusal> {
    match legal {
        true => Ok(()),
        false => {
            let shown: String = text.chars().take(64).collect();
            Err(wrong(field, &format!("is {shown:?}: not a legal name")))
        }
    }
}

fn wrong(field: &str, why: &str) -> Refusal {
    Refusal::fields(vec![ConvertError::new(field, why).into()])
}
