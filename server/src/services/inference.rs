//! `inference.GRPCInferenceService`: the Open Inference Protocol with Triton's extensions.

use super::scoring::asker_of;
use crate::admission::Asker;
use crate::control::{Control, Verb};
use crate::drain::Signal;
use crate::health::Readiness;
use crate::meter::{Method, Tally};
use crate::plane::Plane;
use crate::registry::Served;
use crate::stream::{Ticketed, answers};
use cvm_proto::inference as oip;
use cvm_proto::inference::grpc_inference_service_server::GrpcInferenceService;
use cvm_proto::{
    ConvertError, InferJob, ModelName, Refusal, model_config, model_metadata, model_name,
};
use futures_util::stream::{BoxStream, StreamExt};
use std::sync::Arc;
use std::time::Instant;
use tonic::{Request, Response, Status, Streaming};

/// The service.
#[derive(Debug, Clone)]
pub(crate) struct Inference {
    pub(crate) plane: Arc<Plane>,
    pub(crate) control: Control,
    pub(crate) drain: Signal,
    pub(crate) ready: Readiness,
}

#[tonic::async_trait]
impl GrpcInferenceService for Inference {
    async fn server_live(
        &self,
        _request: Request<oip::ServerLiveRequest>,
    ) -> Result<Response<oip::ServerLiveResponse>, Status> {
        Ok(Response::new(oip::ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _request: Request<oip::ServerReadyRequest>,
    ) -> Result<Response<oip::ServerReadyResponse>, Status> {
        let ready = self.ready.why_not().is_none();
        Ok(Response::new(oip::ServerReadyResponse { ready }))
    }

    async fn model_ready(
        &self,
        request: Request<oip::ModelReadyRequest>,
    ) -> Result<Response<oip::ModelReadyResponse>, Status> {
        let oip::ModelReadyRequest { name, version } = request.into_inner();
        let name = model_name(&name, &version).map_err(refused)?;
        let ready = self.plane.registry.resolve(&name).is_ok();
        Ok(Response::new(oip::ModelReadyResponse { ready }))
    }

    async fn server_metadata(
        &self,
        _request: Request<oip::ServerMetadataRequest>,
    ) -> Result<Response<oip::ServerMetadataResponse>, Status> {
        let extensions = [
            "model_repository",
            "model_configuration",
            "statistics",
            "parameters",
        ];
        Ok(Response::new(oip::ServerMetadataResponse {
            name: env!("CARGO_PKG_NAME").to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            extensions: extensions.map(str::to_owned).to_vec(),
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<oip::ModelMetadataRequest>,
    ) -> Result<Response<oip::ModelMetadataResponse>, Status> {
        let oip::ModelMetadataRequest { name, version } = request.into_inner();
        let served = self.served(&name, &version)?;
        Ok(Response::new(model_metadata(&served.card())))
    }

    async fn model_infer(
        &self,
        request: Request<oip::ModelInferRequest>,
    ) -> Result<Response<oip::ModelInferResponse>, Status> {
        let asker = asker_of(&request);
        let answer = infer(
            &self.plane,
            request.into_inner(),
            Method::ModelInfer,
            &asker,
        )
        .await?;
        Ok(Response::new(answer))
    }

    type ModelStreamInferStream = BoxStream<'static, Result<oip::ModelStreamInferResponse, Status>>;

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<oip::ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        let (plane, asker) = (Arc::clone(&self.plane), asker_of(&request).streaming());
        let deadline = asker.deadline;
        let one = move |message| in_band(Arc::clone(&plane), message, asker.clone());
        let stream = answers(request.into_inner(), deadline, self.drain.clone(), one);
        Ok(Response::new(stream.boxed()))
    }

    async fn model_config(
        &self,
        request: Request<oip::ModelConfigRequest>,
    ) -> Result<Response<oip::ModelConfigResponse>, Status> {
        let oip::ModelConfigRequest { name, version } = request.into_inner();
        let served = self.served(&name, &version)?;
        let config = Some(model_config(&served.card(), self.plane.max_rows));
        Ok(Response::new(oip::ModelConfigResponse { config }))
    }

    async fn model_statistics(
        &self,
        request: Request<oip::ModelStatisticsRequest>,
    ) -> Result<Response<oip::ModelStatisticsResponse>, Status> {
        let oip::ModelStatisticsRequest { name, version } = request.into_inner();
        let model_stats = match name.as_str() {
            "" => {
                let models = self.plane.registry.snapshot();
                let each = models.iter().flat_map(|(id, deployment)| {
                    let versions = deployment.versions.values();
                    versions.map(|served| statistics(id, served))
                });
                each.collect()
            }
            name => vec![statistics(name, &*self.served(name, &version)?)],
        };
        Ok(Response::new(oip::ModelStatisticsResponse { model_stats }))
    }

    async fn repository_index(
        &self,
        request: Request<oip::RepositoryIndexRequest>,
    ) -> Result<Response<oip::RepositoryIndexResponse>, Status> {
        let oip::RepositoryIndexRequest {
            repository_name,
            ready,
        } = request.into_inner();
        only_folder(&repository_name)?;
        let models = self.index(ready);
        Ok(Response::new(oip::RepositoryIndexResponse { models }))
    }

    async fn repository_model_load(
        &self,
        request: Request<oip::RepositoryModelLoadRequest>,
    ) -> Result<Response<oip::RepositoryModelLoadResponse>, Status> {
        let oip::RepositoryModelLoadRequest {
            repository_name,
            model_name: name,
            parameters,
        } = request.into_inner();
        only_folder(&repository_name)?;
        if let Some(parameter) = parameters.keys().next() {
            let why = "is not understood: a model is what its file says";
            let field = format!("parameters.{parameter}");
            return Err(refused(ConvertError::new(field, why)).into());
        }
        whole_model(&name)?;
        self.control
            .ask(Verb::Load { version: None }, &name)
            .await?;
        Ok(Response::new(oip::RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<oip::RepositoryModelUnloadRequest>,
    ) -> Result<Response<oip::RepositoryModelUnloadResponse>, Status> {
        let oip::RepositoryModelUnloadRequest {
            repository_name,
            model_name: name,
            parameters: _,
        } = request.into_inner();
        only_folder(&repository_name)?;
        whole_model(&name)?;
        let verb = Verb::Unload { version: None };
        self.control.ask(verb, &name).await?;
        Ok(Response::new(oip::RepositoryModelUnloadResponse {}))
    }
}

impl Inference {
    fn served(&self, name: &str, version: &str) -> Result<Arc<Served>, Refusal> {
        let name = model_name(name, version).map_err(refused)?;
        self.plane.registry.resolve(&name)
    }

    /// Versions of the folder: those served, and those refused with the reason.
    fn index(&self, ready_only: bool) -> Vec<oip::repository_index_response::ModelIndex> {
        let models = self.plane.registry.snapshot();
        let refusals = self.plane.registry.refusals();
        let entry = |name: &str, version: &str, state: &str, reason: Option<&String>| {
            oip::repository_index_response::ModelIndex {
                name: name.to_owned(),
                version: version.to_owned(),
                state: state.to_owned(),
                reason: reason.cloned().unwrap_or_default(),
            }
        };
        let key = |id: &str, version: &str| (id.to_owned(), version.to_owned());
        let served = models.iter().flat_map(|(id, deployment)| {
            deployment.versions.keys().map(|version| {
                let reason = refusals.get(&key(id, version));
                let reason = reason.or_else(|| refusals.get(&key(id, "")));
                entry(id, version, "READY", reason)
            })
        });
        let loaded = |id: &str, version: &str| {
            let deployment = models.get(id);
            deployment.is_some_and(|d| version.is_empty() || d.versions.contains_key(version))
        };
        let absent = refusals
            .iter()
            .filter(|((id, version), _)| !loaded(id, version));
        let absent = absent.filter(|_| !ready_only);
        let absent =
            absent.map(|((id, version), why)| entry(id, version, "UNAVAILABLE", Some(why)));
        let mut all: Vec<_> = served.chain(absent).collect();
        all.sort_by(|a, b| (&a.name, &a.version).cmp(&(&b.name, &b.version)));
        all
    }
}

/// Models are loaded and unloaded in whole here; the admin API knows versions.
fn whole_model(name: &str) -> Result<(), Refusal> {
    if ModelName::is_id(name) {
        return Ok(());
    }
    let why = "must be the name of a model";
    Err(refused(ConvertError::new("model_name", why)))
}

fn refused(error: ConvertError) -> Refusal {
    Refusal::fields(vec![error.into()])
}

fn only_folder(repository: &str) -> Result<(), Refusal> {
    if repository.is_empty() {
        return Ok(());
    }
    let why = "must be empty: there is one folder of models";
    Err(refused(ConvertError::new("repository_name", why)))
}

/// Scores one request.
async fn infer(
    plane: &Plane,
    request: oip::ModelInferRequest,
    method: Method,
    asker: &Asker,
) -> Result<oip::ModelInferResponse, Refusal> {
    let begun = Instant::now();
    asker.deadline.check()?;
    let first = request.inputs.first();
    let claimed = first.and_then(|input| input.shape.first()).copied();
    plane.check_rows("inputs[0].shape", claimed.unwrap_or(0))?;
    let (job, render) = InferJob::try_from(request).map_err(refused)?.split();
    plane.answer(job, (method, begun), asker, render).await
}

/// The answer to one request of a stream; a failure is told in band and carries the request's id.
async fn in_band(
    plane: Arc<Plane>,
    request: oip::ModelInferRequest,
    asker: Asker,
) -> Ticketed<oip::ModelStreamInferResponse> {
    let id = request.id.clone();
    let shape = request.inputs.first().and_then(|input| input.shape.first());
    let rows = shape.and_then(|rows| u64::try_from(*rows).ok());
    let (answer, ticket) = match plane.admission.admit(&asker.own, rows.unwrap_or(0), 0) {
        Ok(ticket) => {
            let answer = infer(&plane, request, Method::ModelStreamInfer, &asker).await;
            (answer, Some(ticket))
        }
        Err(refusal) => (Err(refusal), None),
    };
    let answer = match answer {
        Ok(response) => oip::ModelStreamInferResponse {
            error_message: String::new(),
            infer_response: Some(response),
        },
        Err(refusal) => oip::ModelStreamInferResponse {
            error_message: format!("{}: {}", refusal.reason, refusal.message),
            infer_response: Some(oip::ModelInferResponse {
                id,
                ..Default::default()
            }),
        },
    };
    (answer, ticket)
}

fn statistics(id: &str, served: &Served) -> oip::ModelStatistics {
    let meter = &served.meter;
    let duration = |tally: Tally| {
        let (count, ns) = tally.read();
        Some(oip::StatisticDuration { count, ns })
    };
    let [decode, queue, score, encode] = meter.stages().map(|(_, tally)| tally);
    let (execution_count, _) = score.read();
    oip::ModelStatistics {
        name: id.to_owned(),
        version: served.version.clone(),
        last_inference: meter.last_ms(),
        inference_count: meter.rows(),
        execution_count,
        inference_stats: Some(oip::InferStatistics {
            success: duration(meter.success()),
            fail: duration(meter.fail()),
            queue: duration(queue),
            compute_input: duration(decode),
            compute_infer: duration(score),
            compute_output: duration(encode),
        }),
    }
}
