//! The HTTP side of a call: its deadline, and the service it goes to.

use crate::calls::Calls;
use crate::control::Control;
use crate::deadline::{self, Deadline};
use crate::drain::Signal;
use crate::identity::{Identity, access};
use crate::plane::Plane;
use crate::services::{Inference, Models, Scoring};
use cvm_proto::inference::grpc_inference_service_server::{
    GrpcInferenceServiceServer, SERVICE_NAME as INFERENCE,
};
use cvm_proto::v1::model_service_server::{ModelServiceServer, SERVICE_NAME as MODELS};
use cvm_proto::v1::scoring_service_server::{SERVICE_NAME as SCORING, ScoringServiceServer};
use futures_util::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Instant;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;
use tower_service::Service;

type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// Every service of the server. Cheap to clone: one per connection.
#[derive(Clone)]
pub(crate) struct Api {
    /// Scoring goes past the router: it is the one path that is hot.
    scoring: ScoringServiceServer<Scoring>,
    /// So does scoring by the Open Inference Protocol.
    inference: GrpcInferenceServiceServer<Inference>,
    routes: Routes,
    calls: Arc<Calls>,
    identity: Identity,
}

impl Api {
    /// The services over one plane, and the handle that says whether they serve.
    ///
    /// # Errors
    /// The compiled descriptors cannot be read: a defect.
    pub(crate) async fn new(
        plane: Arc<Plane>,
        control: Control,
        calls: Arc<Calls>,
        identity: Identity,
        max_message_bytes: usize,
        drain: Signal,
    ) -> Result<(Api, HealthReporter), tonic_reflection::server::Error> {
        let registry = Arc::clone(&plane.registry);
        let inference = GrpcInferenceServiceServer::new(Inference {
            plane: Arc::clone(&plane),
            control,
            drain: drain.clone(),
        })
        .max_decoding_message_size(max_message_bytes);
        let scoring = ScoringServiceServer::new(Scoring { plane, drain })
            .max_decoding_message_size(max_message_bytes);
        let models = ModelServiceServer::new(Models { registry });
        let (reporter, health) = tonic_health::server::health_reporter();
        serving(&reporter, ServingStatus::Serving).await;
        let routes = Routes::new(models)
            .add_service(health)
            .add_service(reflection().build_v1()?)
            .add_service(reflection().build_v1alpha()?)
            .prepare();
        let api = Api {
            scoring,
            inference,
            routes,
            calls,
            identity,
        };
        Ok((api, reporter))
    }
}

/// Says of every service, and of the server as a whole, whether it serves.
pub(crate) async fn serving(reporter: &HealthReporter, status: ServingStatus) {
    for service in ["", SCORING, MODELS, INFERENCE] {
        reporter.set_service_status(service, status).await;
    }
}

fn reflection() -> tonic_reflection::server::Builder<'static> {
    tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(cvm_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

impl hyper::service::Service<Request<Incoming>> for Api {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, mut request: Request<Incoming>) -> Answer {
        let deadline = Deadline::of(request.headers());
        request.extensions_mut().insert(deadline);
        let (begun, place) = (Instant::now(), self.calls.place(request.uri().path()));
        let access = access(place, request.uri().path());
        let answer = match self.identity.check(access, request.headers()) {
            Ok(()) => self.route(request),
            Err(refusal) => Box::pin(async { Ok(Status::from(refusal).into_http()) }),
        };
        let answer = match deadline.0 {
            None => answer,
            Some(_) => Box::pin(by(deadline, answer)),
        };
        let calls = Arc::clone(&self.calls);
        Box::pin(async move {
            let answer = answer.await?;
            calls.answered(place, code_of(&answer), begun.elapsed());
            Ok(answer)
        })
    }
}

impl Api {
    fn route(&self, request: Request<Incoming>) -> Answer {
        let path = request.uri().path();
        let service = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        match service.map(|(service, _)| service) {
            Some(SCORING) => return self.scoring.clone().call(request),
            Some(INFERENCE) => return self.inference.clone().call(request),
            _ => {}
        }
        let mut routes = self.routes.clone();
        let request = request.map(Body::new);
        Box::pin(async move {
            let answer = routes.call(request).await;
            Ok(answer.unwrap_or_else(|error| Status::internal(error.to_string()).into_http()))
        })
    }
}

/// The status an answer begins with: one that fails has no body, and its status is in the head.
fn code_of(answer: &Response<Body>) -> Code {
    let status = answer.headers().get("grpc-status");
    status.map_or(Code::Ok, |status| Code::from_bytes(status.as_bytes()))
}

/// The answer, or `DEADLINE_EXCEEDED` when the caller's deadline comes first.
async fn by(deadline: Deadline, answer: Answer) -> Result<Response<Body>, Infallible> {
    tokio::select! {
        // A finished answer wins over a deadline that passed while it was made.
        biased;
        answer = answer => answer,
        () = deadline.passed() => Ok(Status::from(deadline::exceeded()).into_http()),
    }
}
