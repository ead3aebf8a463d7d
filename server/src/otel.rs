//! Traces of calls, sent to a collector by OTLP over gRPC; the caller's context is W3C's.

use crate::meter::Moments;
use http::HeaderMap;
use opentelemetry::propagation::{Extractor, TextMapPropagator};
use opentelemetry::trace::{Span as _, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue, global};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use std::time::{Duration, Instant, SystemTime};
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetryLayer, OpenTelemetrySpanExt};

/// How long a collector may take to answer.
const TIMEOUT: Duration = Duration::from_secs(3);

/// What spans of this server are filed under.
const SCOPE: &str = "cvm-server";

/// Where traces go.
#[derive(Debug)]
pub(crate) struct Traces(SdkTracerProvider);

impl Traces {
    /// # Errors
    /// The endpoint is no address of a collector.
    pub(crate) fn to(endpoint: &str) -> Result<Traces, String> {
        let exporter = SpanExporter::builder()
            .with_tonic()
            .with_endpoint(endpoint)
            .with_timeout(TIMEOUT)
            .build()
            .map_err(|error| format!("--otlp-endpoint {endpoint}: {error}"))?;
        let own = [
            KeyValue::new("service.name", "cvm-server"),
            KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        ];
        let resource = Resource::builder().with_attributes(own).build();
        let provider = SdkTracerProvider::builder()
            .with_batch_exporter(exporter)
            .with_resource(resource)
            .build();
        global::set_tracer_provider(provider.clone());
        Ok(Traces(provider))
    }

    /// What turns spans of this process into spans of traces.
    pub(crate) fn layer<S>(&self) -> OpenTelemetryLayer<S, SdkTracer>
    where
        S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
    {
        tracing_opentelemetry::layer().with_tracer(self.0.tracer(SCOPE))
    }

    /// Sends what is left. The runtime goes on meanwhile: it is what sends.
    pub(crate) async fn end(self) {
        let ended = tokio::task::spawn_blocking(move || self.0.shutdown()).await;
        if let Ok(Err(error)) = ended {
            tracing::warn!(%error, "the last traces were not sent");
        }
    }
}

/// Puts a span under the caller's, if its headers name one.
pub(crate) fn adopt(span: &Span, headers: &HeaderMap) {
    let context =
        TraceContextPropagator::new().extract_with_context(&Context::new(), &Headers(headers));
    // A span that is not recorded has no parent either.
    let _ = span.set_parent(context);
}

/// Puts the stages of an answered request under the span of its call.
pub(crate) fn stages(moments: &Moments) {
    let call = Span::current().context();
    if !call.span().span_context().is_sampled() {
        return;
    }
    let (tracer, clock, now) = (global::tracer(SCOPE), SystemTime::now(), Instant::now());
    let moment = |instant: Instant| clock - now.saturating_duration_since(instant);
    for (name, start, end) in moments.stages() {
        let stage = tracer.span_builder(name).with_start_time(moment(start));
        let mut stage = stage.start_with_context(&tracer, &call);
        stage.end_with_timestamp(moment(end));
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key)?.to_str().ok()
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}
