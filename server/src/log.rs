//! The log on standard error, and traces to a collector where the build has them.

use crate::journal;
use crate::settings::{LogFormat, Settings};
use std::io::IsTerminal;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, Registry};

/// The most that is told. A filter that does not name it has every library ask it about every step: a
/// tenth of the time of a call went there.
const MOST: LevelFilter = LevelFilter::INFO;

/// What must be told to end, so that nothing is lost.
#[derive(Debug, Default)]
pub struct Log {
    #[cfg(feature = "otel")]
    traces: Option<crate::otel::Traces>,
}

impl Log {
    /// Starts the log of a process. Needs the runtime that is to send traces.
    ///
    /// # Errors
    /// Traces are asked for and cannot be sent, or this build has none.
    pub fn start(settings: &Settings) -> Result<Log, String> {
        let requests = settings.log_requests;
        let wanted = move |target: &str| requests || target != journal::TARGET;
        let wanted = filter_fn(move |about| *about.level() <= MOST && wanted(about.target()));
        let told = lines(settings).with_filter(wanted.with_max_level_hint(MOST));
        let Some(endpoint) = &settings.otlp_endpoint else {
            tracing_subscriber::registry().with(told).init();
            return Ok(Log::default());
        };
        Log::traced(endpoint, told)
    }

    #[cfg(feature = "otel")]
    fn traced(
        endpoint: &str,
        told: impl Layer<Registry> + Send + Sync + 'static,
    ) -> Result<Log, String> {
        let traces = crate::otel::Traces::to(endpoint)?;
        // Spans of calls and the events in them; what else is told is the log's.
        let of_calls = filter_fn(|about| about.target() == journal::TARGET);
        let sent = traces.layer();
        let sent = sent.with_filter(of_calls.with_max_level_hint(MOST));
        tracing_subscriber::registry().with(told).with(sent).init();
        let traces = Some(traces);
        Ok(Log { traces })
    }

    #[cfg(not(feature = "otel"))]
    fn traced(
        _endpoint: &str,
        _told: impl Layer<Registry> + Send + Sync + 'static,
    ) -> Result<Log, String> {
        Err("--otlp-endpoint: this build sends no traces (cargo feature `otel`)".to_owned())
    }

    /// Sends what is not sent yet.
    pub async fn end(self) {
        #[cfg(feature = "otel")]
        if let Some(traces) = self.traces {
            traces.end().await;
        }
    }
}

/// Lines of text or JSON; colours only where a person looks.
fn lines<S>(settings: &Settings) -> Box<dyn Layer<S> + Send + Sync>
where
    S: tracing::Subscriber + for<'a> LookupSpan<'a>,
{
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false);
    match settings.log_format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().with_span_list(false).boxed(),
    }
}
