//! Callers in browsers: gRPC-Web turned into gRPC, and whose pages may read the answers (CORS).

use crate::api::{Answer, Api};
use http::header::{AUTHORIZATION, CONTENT_TYPE};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response};
use hyper::body::Bytes;
use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;
use tonic::body::Body;
use tonic_web::{GrpcWebLayer, GrpcWebService};
use tower_http::cors::{AllowOrigin, Cors, CorsLayer};
use tower_layer::Layer;
use tower_service::Service;

/// How long a browser may remember what it was allowed.
const ALLOWED_FOR: Duration = Duration::from_secs(7200);

const fn name(text: &'static str) -> HeaderName {
    HeaderName::from_static(text)
}

/// What pages of other origins may ask and see. Without origins: nothing.
pub(crate) fn cors(origins: &[String]) -> CorsLayer {
    let values = origins
        .iter()
        .filter_map(|origin| HeaderValue::from_str(origin).ok());
    let allowed = match origins.iter().any(|origin| origin == "*") {
        true => AllowOrigin::any(),
        false => AllowOrigin::list(values),
    };
    CorsLayer::new()
        .allow_origin(allowed)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            CONTENT_TYPE,
            AUTHORIZATION,
            name("x-grpc-web"),
            name("x-user-agent"),
            name("grpc-timeout"),
            name("traceparent"),
            name("tracestate"),
        ])
        .expose_headers([
            name("grpc-status"),
            name("grpc-message"),
            name("grpc-status-details-bin"),
        ])
        .max_age(ALLOWED_FOR)
}

/// Whether a call is a browser's, or its question before one.
pub(crate) fn is_from_browser(method: &Method, headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE);
    kind.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc-web"))
        || method == Method::OPTIONS
}

/// The services as a browser calls them.
pub(crate) type Web = Cors<GrpcWebService<Behind>>;

/// Puts gRPC-Web and the rules of origins before the services.
pub(crate) fn web(api: Api, cors: &CorsLayer) -> Web {
    cors.layer(GrpcWebLayer::new().layer(Behind(api)))
}

/// The services as they are.
#[derive(Clone)]
pub(crate) struct Behind(Api);

impl<B> Service<Request<B>> for Behind
where
    B: hyper::body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>> + Send,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Answer {
        self.0.answer(request)
    }
}

/// An origin as a setting: `*`, or scheme and host (and port) as a browser sends them.
pub(crate) fn origin(text: &str) -> Result<String, String> {
    let host = text.split_once("://").map(|(_, host)| host);
    let plain = |host: &str| !host.is_empty() && !host.contains(['/', ' ', '@', '*']);
    match text == "*" || host.is_some_and(plain) {
        true => Ok(text.to_owned()),
        false => Err("must be `*` or an origin such as https://app.example".to_owned()),
    }
}
