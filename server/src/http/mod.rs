//! The HTTP face: scoring in JSON, metrics, health, and a page that shows the server's state.
//!
//! | path | answer |
//! |---|---|
//! | `POST /v1/models/{model}:score` | scores in JSON |
//! | `GET /metrics` | OpenMetrics |
//! | `GET /livez`, `GET /readyz` | whether the process lives, and takes requests |
//! | `POST /{service}/{method}` | gRPC-Web, for browsers |
//! | `GET /`, `GET /status.json` | the state for people and for machines |
//!
//! Where callers are told apart, scoring needs the role `score`, the state and the metrics `read`.
//! Another address may tell `/livez`, `/readyz` and `/metrics` alone, to everyone.

mod listen;
mod metrics;
mod score;
mod status;

use crate::admission::Own;
use crate::calls::{Calls, code_name};
use crate::drain::Signal;
use crate::health::Readiness;
use crate::identity::{Access, Caller, Identity, Role};
use crate::journal;
use crate::plane::Plane;
use crate::web::Web;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use cvm_proto::Refusal;
use serde_json::json;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::net::TcpListener;
use tonic::Code;
use tower_http::cors::CorsLayer;
use tracing::Instrument;

/// Limits of the HTTP face.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) max_body_bytes: usize,
    pub(crate) max_connections: usize,
    /// How long a peer may take to send the head of a request.
    pub(crate) head_timeout: Duration,
}

/// What the HTTP face needs. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Http {
    pub(crate) plane: Arc<Plane>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) identity: Identity,
    pub(crate) ready: Readiness,
    /// Whose pages may read the answers.
    pub(crate) cors: CorsLayer,
    pub(crate) started: Instant,
    /// What all of HTTP has in flight: it counts as one connection.
    pub(crate) own: Own,
}

/// Serves on a thread of its own until `cut`; after `drain` open requests finish.
///
/// # Errors
/// The thread or its runtime cannot be made.
pub(crate) fn start(
    thread: &'static str,
    listener: TcpListener,
    app: Router,
    limits: Limits,
    drain: Signal,
    cut: Signal,
) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let listener = listener.into_std()?;
    std::thread::Builder::new()
        .name(thread.to_owned())
        .spawn(move || {
            let ended = runtime.block_on(async move {
                let listener = TcpListener::from_std(listener)?;
                tokio::select! {
                    () = listen::serve(listener, app, limits, drain) => {}
                    () = cut.given() => {}
                }
                io::Result::Ok(())
            });
            runtime.shutdown_background();
            if let Err(error) = ended {
                tracing::error!(%error, thread, "HTTP is no longer served");
            }
        })?;
    Ok(())
}

/// Probes and metrics, and nothing else: what is open to everyone must not be able to score.
pub(crate) fn probes(http: Http) -> Router {
    lives()
        .route("/metrics", get(metrics::get))
        .layer(middleware::from_fn_with_state(http.clone(), counted))
        .with_state(http)
}

fn lives() -> Router<Http> {
    Router::new()
        .route("/livez", get(|| async { "ok" }))
        .route("/readyz", get(ready))
}

/// All that is served over HTTP.
pub(crate) fn router(http: Http, web: Web, max_body_bytes: usize) -> Router {
    let needs = |role| middleware::from_fn_with_state((http.clone(), role), admit);
    let score = Router::new()
        .route("/v1/models/{model}", post(score::post))
        .layer(needs(Role::Score));
    let read = Router::new()
        .route("/status.json", get(status::json))
        .route("/metrics", get(metrics::get))
        .layer(needs(Role::Read));
    // The page itself says nothing: it asks for the state with the reader's token.
    let open = lives().route("/", get(status::page));
    open.merge(read)
        .merge(score)
        .layer(middleware::from_fn_with_state(http.clone(), counted))
        .layer(DefaultBodyLimit::max(max_body_bytes))
        .layer(http.cors.clone())
        .with_state(http)
        // Calls of gRPC-Web count themselves, as those of gRPC do.
        .route_service("/{service}/{method}", web)
}

/// Counts a request among the calls, under the code that gRPC would have answered with.
async fn counted(State(http): State<Http>, request: Request, next: Next) -> Response {
    let (begun, place) = (Instant::now(), Calls::http_place(request.uri().path()));
    let answer = next.run(request).await;
    let told = answer.extensions().get::<Code>().copied();
    let code = told.unwrap_or_else(|| code_of(answer.status()));
    http.calls.answered(place, code, begun.elapsed());
    answer
}

/// The code of an answer that is no refusal of ours.
fn code_of(status: StatusCode) -> Code {
    match status {
        status if status.is_success() => Code::Ok,
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::METHOD_NOT_ALLOWED => Code::Unimplemented,
        StatusCode::PAYLOAD_TOO_LARGE => Code::OutOfRange,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        _ => Code::Unknown,
    }
}

/// Lets a request through if its caller has the role.
async fn admit(
    State((http, role)): State<(Http, Role)>,
    mut request: Request,
    next: Next,
) -> Response {
    match http.identity.check(Access::Needs(role), request.headers()) {
        Ok(who) => {
            let name = who.as_ref().map(|caller| caller.name.as_str());
            let own = http.plane.admission.own_of(name, &http.own);
            request.extensions_mut().insert(own);
            if role == Role::Score
                && let Err(refusal) = http.ready.clone().loaded().await
            {
                return refused(refusal);
            }
            told(&http, who.as_deref(), request, next).await
        }
        Err(refusal) => refused(refusal),
    }
}

/// Answers under a span of the call, where calls are told of.
async fn told(http: &Http, who: Option<&Caller>, request: Request, next: Next) -> Response {
    if http.plane.journal.is_none() {
        return next.run(request).await;
    }
    let name = Calls::http_name(request.uri().path());
    let span = journal::span(name, who.map(|who| who.name.as_str()), request.headers());
    let answer = next.run(request).instrument(span.clone()).await;
    let code = answer.extensions().get::<Code>().copied();
    journal::end(&span, code.unwrap_or_else(|| code_of(answer.status())));
    answer
}

async fn ready(State(http): State<Http>) -> Response {
    match http.ready.why_not() {
        None => "ok".into_response(),
        Some(why) => unavailable(why),
    }
}

fn unavailable(why: &'static str) -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, why).into_response()
}

/// A refusal in JSON, under the HTTP status that gRPC's own mapping gives its code.
fn refused(refusal: Refusal) -> Response {
    let status = match refusal.code {
        Code::InvalidArgument | Code::FailedPrecondition | Code::OutOfRange => {
            StatusCode::BAD_REQUEST
        }
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let fields = refusal.violations.iter();
    let fields = fields.map(|v| json!({ "field": v.field, "description": v.description }));
    let error = json!({
        "code": code_name(refusal.code),
        "reason": refusal.reason,
        "message": refusal.message,
        "fields": fields.collect::<Vec<_>>(),
    });
    let mut answer = (status, Json(json!({ "error": error }))).into_response();
    answer.extensions_mut().insert(refusal.code);
    answer
}
