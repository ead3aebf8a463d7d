//! The HTTP side of a call: its deadline, and the service it goes to.

use crate::admission::{Admission, Asker, Own, Ticket};
use crate::calls::{Calls, METHODS, method_name};
use crate::cancelled::{Cancelled, Open};
use crate::control::Control;
use crate::deadline::{self, Deadline};
use crate::drain::Signal;
use crate::health::{Health, Readiness};
use crate::identity::{Access, Identity, Who, access};
use crate::journal;
use crate::plane::Plane;
use crate::services::{Admin, Inference, Models, Scoring};
use crate::taken::Taken;
use crate::turn::Line;
use crate::web::{is_from_browser, web};
use cvm_proto::admin::v1::admin_service_server::{AdminServiceServer, SERVICE_NAME as ADMIN};
use cvm_proto::inference::grpc_inference_service_server::{
    GrpcInferenceServiceServer, SERVICE_NAME as INFERENCE,
};
use cvm_proto::v1::model_service_server::{ModelServiceServer, SERVICE_NAME as MODELS};
use cvm_proto::v1::scoring_service_server::{SERVICE_NAME as SCORING, ScoringServiceServer};
use cvm_proto::{Gate, Refusal, infer_rows, score_rows};
use futures_util::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use hyper::body::{Bytes, Incoming};
use std::convert::Infallible;
use std::future::poll_fn;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Instant;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::{Code, Status};
use tower_http::cors::CorsLayer;
use tower_service::Service;
use tracing::{Instrument, Span};

pub(crate) type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// The services of one port. Cheap to clone: one per connection.
#[derive(Clone)]
pub(crate) struct Api {
    /// Scoring goes past the router: it is the one path that is hot.
    hot: Option<Hot>,
    routes: Routes,
    pub(crate) calls: Arc<Calls>,
    identity: Identity,
    admission: Arc<Admission>,
    own: Own,
    /// Its requests that wait for their turn.
    line: Line,
    ready: Readiness,
    /// What its connection owes of cancelled calls, and may owe.
    pub(crate) cancelled: Cancelled,
    max_cancelled_calls: u32,
    cors: Arc<CorsLayer>,
    /// Whether calls are told of.
    told: bool,
}

/// Scoring, typed and by the Open Inference Protocol.
#[derive(Clone)]
struct Hot {
    scoring: ScoringServiceServer<Scoring>,
    inference: GrpcInferenceServiceServer<Inference>,
}

/// What the services of every port share.
#[derive(Debug, Clone)]
pub(crate) struct Shared {
    pub(crate) plane: Arc<Plane>,
    pub(crate) control: Control,
    pub(crate) calls: Arc<Calls>,
    pub(crate) identity: Identity,
    pub(crate) max_message_bytes: usize,
    /// What a connection may owe of cancelled calls.
    pub(crate) max_cancelled_calls: u32,
    pub(crate) drain: Signal,
    pub(crate) ready: Readiness,
    pub(crate) cors: Arc<CorsLayer>,
}

impl Api {
    /// Scoring, and the handle that says whether it is served; control as `control` allows.
    ///
    /// # Errors
    /// The compiled descriptors cannot be read: a defect.
    pub(crate) fn scoring(
        shared: &Shared,
        control: Control,
    ) -> Result<(Api, Health), tonic_reflection::server::Error> {
        let size = shared.max_message_bytes;
        let plane = &shared.plane;
        let inference = GrpcInferenceServiceServer::new(Inference {
            plane: Arc::clone(plane),
            control,
            drain: shared.drain.clone(),
            ready: shared.ready.clone(),
        });
        let scoring = ScoringServiceServer::new(Scoring {
            plane: Arc::clone(plane),
            drain: shared.drain.clone(),
        });
        let registry = Arc::clone(&plane.registry);
        let models = Routes::new(ModelServiceServer::new(Models { registry }));
        let hot = Hot {
            scoring: scoring.max_decoding_message_size(size),
            inference: inference.max_decoding_message_size(size),
        };
        let (routes, health) = described(models, &[SCORING, MODELS, INFERENCE])?;
        let api = Api::of(shared, Some(hot), routes);
        Ok((api, health))
    }

    /// Administration.
    ///
    /// # Errors
    /// The compiled descriptors cannot be read: a defect.
    pub(crate) fn admin(shared: &Shared) -> Result<(Api, Health), tonic_reflection::server::Error> {
        let admin = AdminServiceServer::new(Admin {
            plane: Arc::clone(&shared.plane),
            control: shared.control.clone(),
        });
        let admin = admin.max_decoding_message_size(shared.max_message_bytes);
        let (routes, health) = described(Routes::new(admin), &[ADMIN])?;
        Ok((Api::of(shared, None, routes), health))
    }

    /// The same services for a new connection.
    pub(crate) fn connection(&self) -> Api {
        self.of_caller(Own::default())
    }

    /// The same services for a caller that has in flight what `own` says.
    pub(crate) fn of_caller(&self, own: Own) -> Api {
        Api {
            own,
            line: Line::default(),
            cancelled: Cancelled::new(self.max_cancelled_calls),
            ..self.clone()
        }
    }

    fn of(shared: &Shared, hot: Option<Hot>, routes: Routes) -> Api {
        Api {
            hot,
            routes,
            calls: Arc::clone(&shared.calls),
            identity: shared.identity.clone(),
            admission: Arc::clone(&shared.plane.admission),
            own: Own::default(),
            line: Line::default(),
            ready: shared.ready.clone(),
            cancelled: Cancelled::default(),
            max_cancelled_calls: shared.max_cancelled_calls,
            cors: Arc::clone(&shared.cors),
            told: shared.plane.journal.is_some(),
        }
    }
}

/// Routes with health of `services` and reflection of them.
fn described(
    routes: Routes,
    services: &'static [&'static str],
) -> Result<(Routes, Health), tonic_reflection::server::Error> {
    let (reporter, health) = tonic_health::server::health_reporter();
    let routes = routes
        .add_service(health)
        .add_service(reflection(services).build_v1()?)
        .add_service(reflection(services).build_v1alpha()?)
        .prepare();
    Ok((routes, Health { reporter, services }))
}

fn reflection(services: &[&'static str]) -> tonic_reflection::server::Builder<'static> {
    let builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(cvm_proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET);
    let named = services.iter().chain(&REFLECTED);
    named.fold(builder, |builder, name| builder.with_service_name(*name))
}

/// Services of every port.
const REFLECTED: [&str; 3] = [
    "grpc.health.v1.Health",
    "grpc.reflection.v1.ServerReflection",
    "grpc.reflection.v1alpha.ServerReflection",
];

impl hyper::service::Service<Request<Incoming>> for Api {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn call(&self, request: Request<Incoming>) -> Answer {
        match is_from_browser(request.method(), request.headers()) {
            false => self.answer(request),
            true => Box::pin(web(self.clone(), &self.cors).call(request)),
        }
    }
}

impl Api {
    /// The answer to one call of gRPC.
    pub(crate) fn answer<B>(&self, mut request: Request<B>) -> Answer
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let deadline = Deadline::of(request.headers());
        let (begun, place) = (Instant::now(), self.calls.place(request.uri().path()));
        let access = access(place, request.uri().path());
        let who = self.identity.check(access, request.headers());
        let span = self.span(place, &who, request.headers());
        let answer = match who {
            Ok(who) => {
                let name = who.as_ref().map(|caller| caller.name.as_str());
                let own = self.admission.own_of(name, &self.own);
                let asker = Asker::new(own.clone(), deadline);
                request.extensions_mut().insert(asker);
                let about_models = place < METHODS.len() && access != Access::Open;
                match about_models && !self.ready.looked.is_given() {
                    false => self.route(request, own),
                    true => self.once_loaded(request, own),
                }
            }
            Err(refusal) => Box::pin(async { Ok(Status::from(refusal).into_http()) }),
        };
        let answer = match deadline.0 {
            None => answer,
            Some(_) => Box::pin(by(deadline, answer)),
        };
        let open = Open::new(&self.calls, place, begun, deadline, &self.cancelled);
        Box::pin(async move {
            let answer = match &span {
                None => answer.await?,
                Some(span) => answer.instrument(span.clone()).await?,
            };
            let code = code_of(&answer);
            if let Some(span) = span {
                journal::end(&span, code);
            }
            open.answered(code, is_cut(&answer, code));
            Ok(answer)
        })
    }

    /// The span of a call, where calls are told of.
    fn span(&self, place: usize, who: &Result<Who, Refusal>, headers: &HeaderMap) -> Option<Span> {
        let caller = who.as_ref().ok().and_then(Option::as_ref);
        let caller = caller.map(|caller| caller.name.as_str());
        self.told
            .then(|| journal::span(method_name(place), caller, headers))
    }

    /// The answer of a call about models, which are being loaded.
    fn once_loaded<B>(&self, request: Request<B>, own: Own) -> Answer
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let api = self.clone();
        Box::pin(async move {
            match api.ready.clone().loaded().await {
                Ok(()) => api.route(request, own).await,
                Err(refusal) => Ok(Status::from(refusal).into_http()),
            }
        })
    }

    /// The answer, unless too many wait already; its one message is let in by its rows before it is
    /// decoded. Messages of streams are decoded later, and let in one by one where they are answered.
    fn admitted(&self, own: Own, rows: fn(&[u8]) -> u64, call: impl FnOnce() -> Answer) -> Answer {
        let waiting = match self.admission.queue(&self.line) {
            Ok(waiting) => waiting,
            Err(refusal) => return Box::pin(async { Ok(Status::from(refusal).into_http()) }),
        };
        let (admission, answer) = (Arc::clone(&self.admission), call());
        Box::pin(async move {
            let turn = waiting.turn();
            let held = Arc::new(Mutex::new(None));
            let place = Arc::clone(&held);
            let gate = Gate::new(move |message| {
                let ticket = admission.admit(&own, rows(message), message.len())?;
                *place.lock().unwrap_or_else(PoisonError::into_inner) = Some(ticket);
                Ok(())
            });
            let mut answer = pin!(gate.before(answer));
            let at_once = poll_fn(|context| Poll::Ready(answer.as_mut().poll(context))).await;
            let answer = match at_once {
                Poll::Ready(answer) => {
                    turn.done();
                    answer?
                }
                Poll::Pending => answer.await?,
            };
            let ticket = held.lock().unwrap_or_else(PoisonError::into_inner).take();
            Ok(match ticket.filter(Ticket::is_large) {
                Some(ticket) => answer.map(|body| Taken::body(body, ticket)),
                None => answer,
            })
        })
    }

    fn route<B>(&self, request: Request<B>, own: Own) -> Answer
    where
        B: hyper::body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
    {
        let path = request.uri().path();
        let service = path.strip_prefix('/').and_then(|path| path.split_once('/'));
        match (&self.hot, service.map(|(service, _)| service)) {
            (Some(hot), Some(SCORING)) => {
                return self.admitted(own, score_rows, || hot.scoring.clone().call(request));
            }
            (Some(hot), Some(INFERENCE)) => {
                return self.admitted(own, infer_rows, || hot.inference.clone().call(request));
            }
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

/// Whether an answer says only that the call's message broke off: refusals of ours have details.
fn is_cut(answer: &Response<Body>, code: Code) -> bool {
    let broken = [
        Code::Cancelled,
        Code::Unknown,
        Code::Internal,
        Code::Unavailable,
        Code::ResourceExhausted,
    ];
    broken.contains(&code) && !answer.headers().contains_key("grpc-status-details-bin")
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
