//! The gRPC client behind `cvm.connect`.

use crate::answer::{PyAnswer, PyModelCard, card, joined};
use crate::column::Columns;
use crate::errors::invalid;
use crate::model::ScoreArgs;
use crate::runtime::{PerProcess, runtime, wait};
use crate::status::{garbled, late, raise, unreachable_server};
use cvm::ScoreOptions;
use cvm_proto::v1 as pb;
use cvm_proto::v1::model_service_client::ModelServiceClient;
use cvm_proto::v1::scoring_service_client::ScoringServiceClient;
use cvm_proto::{Encoding, ScoreAnswer, bulk_frame};
use pyo3::prelude::*;
use std::collections::VecDeque;
use std::ops::Range;
use std::time::Duration;
use tokio::task::JoinHandle;
use tonic::metadata::AsciiMetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Request, Response, Status};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};

/// Largest answer read; the servers' own limit.
const MAX_MESSAGE_BYTES: usize = 64 << 20;
/// Requests of one call under way at a time: the next is encoded while the server works.
const IN_FLIGHT: usize = 3;
/// Models a page of the list.
const PAGE_SIZE: i32 = 1000;
/// Time beyond the deadline that the server is given to say so itself.
const GRACE: Duration = Duration::from_millis(500);

/// A connection to a scoring server; safe to share between threads and to carry over a fork.
#[pyclass(frozen, module = "cvm._core")]
pub(crate) struct RawClient {
    endpoint: Endpoint,
    timeout: Duration,
    /// The header `authorization`.
    authorization: Option<AsciiMetadataValue>,
    channel: PerProcess<Channel>,
}

/// What a caller shows, and whom they trust, in PEM.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Credentials {
    token: Option<String>,
    ca_certificate: Option<Vec<u8>>,
    certificate: Option<Vec<u8>>,
    private_key: Option<Vec<u8>>,
}

impl RawClient {
    /// The channel of this process, connecting when first used.
    fn channel(&self, py: Python<'_>) -> PyResult<Channel> {
        let runtime = runtime(py)?;
        self.channel.get(py, || {
            let _inside = runtime.enter();
            Ok(self.endpoint.connect_lazy())
        })
    }

    fn request<T>(&self, message: T) -> Request<T> {
        let mut request = Request::new(message);
        request.set_timeout(self.timeout);
        if let Some(value) = &self.authorization {
            let headers = request.metadata_mut();
            headers.insert("authorization", value.clone());
        }
        request
    }

    /// Waits for a call, at most a little longer than the deadline the server was told.
    fn call<T: Send + 'static>(
        &self,
        py: Python<'_>,
        call: impl Future<Output = Result<Response<T>, Status>> + Send + 'static,
    ) -> PyResult<T> {
        let limit = self.timeout;
        let answer = wait(py, async move {
            tokio::time::timeout(limit + GRACE, call).await
        })?;
        match answer {
            Ok(Ok(response)) => Ok(response.into_inner()),
            Ok(Err(status)) => Err(raise(&status)),
            Err(_) => Err(late(limit)),
        }
    }

    fn scoring(&self, py: Python<'_>) -> PyResult<ScoringServiceClient<Channel>> {
        Ok(ScoringServiceClient::new(self.channel(py)?)
            .max_decoding_message_size(MAX_MESSAGE_BYTES))
    }

    fn models_client(&self, py: Python<'_>) -> PyResult<ModelServiceClient<Channel>> {
        Ok(ModelServiceClient::new(self.channel(py)?).max_decoding_message_size(MAX_MESSAGE_BYTES))
    }
}

#[pymethods]
impl RawClient {
    /// Connects, or says at once why not.
    #[staticmethod]
    fn connect(
        py: Python<'_>,
        target: &str,
        timeout_seconds: f64,
        credentials: Credentials,
    ) -> PyResult<Self> {
        let timeout = duration(timeout_seconds)?;
        let authorization = credentials.token.as_deref().map(bearer).transpose()?;
        let endpoint = endpoint(target, credentials)?.connect_timeout(timeout);
        let connecting = endpoint.clone();
        let channel = wait(py, async move { connecting.connect().await })?
            .map_err(|error| unreachable_server(target, &error))?;
        let client = RawClient {
            endpoint,
            timeout,
            authorization,
            channel: PerProcess::empty(),
        };
        client.channel.get(py, || Ok(channel))?;
        Ok(client)
    }

    /// Scores rows in requests of at most `rows_per_request`.
    fn score<'py>(
        &self,
        py: Python<'py>,
        model: &str,
        columns: Columns<'_>,
        options: ScoreArgs,
        rows_per_request: usize,
    ) -> PyResult<PyAnswer<'py>> {
        let (options, _) = options.options()?;
        let parts = self.score_parts(py, model, &columns, &options, rows_per_request)?;
        joined(py, parts)
    }

    /// Every loaded model.
    fn list_models(&self, py: Python<'_>) -> PyResult<Vec<PyModelCard>> {
        let (mut cards, mut page_token) = (Vec::new(), String::new());
        loop {
            let page_size = PAGE_SIZE;
            let request = self.request(pb::ListModelsRequest {
                page_size,
                page_token,
            });
            let mut client = self.models_client(py)?;
            let page = self.call(py, async move { client.list_models(request).await })?;
            for model in page.models {
                cards.push(card(model)?);
            }
            page_token = page.next_page_token;
            if page_token.is_empty() {
                return Ok(cards);
            }
        }
    }

    /// One loaded model.
    fn get_model(&self, py: Python<'_>, model: String) -> PyResult<PyModelCard> {
        let request = self.request(pb::GetModelRequest { model });
        let mut client = self.models_client(py)?;
        let answer = self.call(py, async move { client.get_model(request).await })?;
        card(answer.model.unwrap_or_default())
    }

    /// `serving`, `not_serving`, `service_unknown` or `unknown`; the empty service is the server.
    fn health(&self, py: Python<'_>, service: String) -> PyResult<&'static str> {
        let request = self.request(HealthCheckRequest { service });
        let mut client = HealthClient::new(self.channel(py)?);
        let answer = self.call(py, async move { client.check(request).await })?;
        Ok(match answer.status() {
            ServingStatus::Serving => "serving",
            ServingStatus::NotServing => "not_serving",
            ServingStatus::ServiceUnknown => "service_unknown",
            ServingStatus::Unknown => "unknown",
        })
    }

    /// Where the server is.
    #[getter]
    fn uri(&self) -> String {
        self.endpoint.uri().to_string()
    }

    /// Seconds a request may take.
    #[getter]
    fn timeout_seconds(&self) -> f64 {
        self.timeout.as_secs_f64()
    }
}

type Call = JoinHandle<Result<Response<pb::ScoreResponse>, Status>>;

/// Requests under way; dropped calls are cancelled.
struct Window(VecDeque<Call>);

impl Drop for Window {
    fn drop(&mut self) {
        for call in &self.0 {
            call.abort();
        }
    }
}

impl RawClient {
    fn score_parts(
        &self,
        py: Python<'_>,
        model: &str,
        columns: &Columns<'_>,
        options: &ScoreOptions,
        rows_per_request: usize,
    ) -> PyResult<Vec<ScoreAnswer>> {
        let batch = columns.batch()?;
        let names: Vec<&str> = batch.names().collect();
        let runtime = runtime(py)?;
        let mut window = Window(VecDeque::new());
        let mut parts = Vec::new();
        for rows in ranges(batch.row_count(), rows_per_request) {
            if window.0.len() >= IN_FLIGHT {
                parts.extend(self.oldest(py, &mut window)?);
            }
            let frame = py.detach(|| bulk_frame(&batch, rows, &names));
            let request = self.request(score_request(model, frame, options.clone()));
            let mut client = self.scoring(py)?;
            let call = async move { client.score(request).await };
            window.0.push_back(runtime.spawn(call));
        }
        while let Some(answer) = self.oldest(py, &mut window)? {
            parts.push(answer);
        }
        Ok(parts)
    }

    /// The answer to the oldest request under way.
    fn oldest(&self, py: Python<'_>, window: &mut Window) -> PyResult<Option<ScoreAnswer>> {
        let Some(call) = window.0.pop_front() else {
            return Ok(None);
        };
        let abort = call.abort_handle();
        let ended = async move {
            call.await
                .unwrap_or_else(|error| Err(Status::internal(error.to_string())))
        };
        let response = self.call(py, ended).inspect_err(|_| abort.abort())?;
        ScoreAnswer::try_from(response).map(Some).map_err(garbled)
    }
}

/// Row ranges of at most `size`; an empty batch is one empty request, so that its columns are
/// checked like any other's.
fn ranges(row_count: usize, size: usize) -> impl Iterator<Item = Range<usize>> {
    let size = size.max(1);
    (0..row_count.max(1))
        .step_by(size)
        .map(move |start| start..(start + size).min(row_count))
}

fn score_request(model: &str, frame: pb::Frame, options: ScoreOptions) -> pb::ScoreRequest {
    pb::ScoreRequest {
        model: model.to_owned(),
        frame: Some(frame),
        options: Some(options.into()),
        row_keys: Vec::new(),
        request_id: String::new(),
        output_encoding: pb::OutputEncoding::from(Encoding::DoublesLe).into(),
    }
}

/// The header of a bearer token.
fn bearer(token: &str) -> PyResult<AsciiMetadataValue> {
    let wrong = |_| invalid("token", "has characters that no header can carry");
    let mut value: AsciiMetadataValue = format!("Bearer {token}").parse().map_err(wrong)?;
    value.set_sensitive(true);
    Ok(value)
}

fn endpoint(target: &str, credentials: Credentials) -> PyResult<Endpoint> {
    let wrong = |why: &str| {
        invalid(
            "target",
            &format!("is \"{target}\": {why}, such as localhost:50051"),
        )
    };
    let (scheme, place) = match target.split_once("://") {
        Some((scheme @ ("http" | "https"), place)) => (Some(scheme), place),
        Some(_) => return Err(wrong("must be host:port")),
        None => (None, target),
    };
    let tls = tls(credentials)?;
    let scheme = scheme.unwrap_or(if tls.is_some() { "https" } else { "http" });
    let endpoint = Endpoint::from_shared(format!("{scheme}://{place}"))
        .map_err(|_| wrong("must be host:port"))?;
    if endpoint.uri().port().is_none() {
        return Err(wrong("must be host:port"));
    }
    let endpoint = match (scheme, tls) {
        ("http", None) => endpoint,
        ("http", Some(_)) => return Err(wrong("certificates need https")),
        (_, None) => {
            let why = "is needed with https: the authority of the server's certificate, in PEM";
            return Err(invalid("ca_certificate", why));
        }
        (_, Some(tls)) => endpoint
            .tls_config(tls)
            .map_err(|error| invalid("ca_certificate", &format!("cannot be used: {error}")))?,
    };
    endpoint
        .tcp_nodelay(true)
        .user_agent(concat!("cvm-python/", env!("CARGO_PKG_VERSION")))
        .map_err(|_| wrong("must be host:port"))
}

/// TLS, if a certificate is given.
fn tls(credentials: Credentials) -> PyResult<Option<ClientTlsConfig>> {
    let Credentials {
        token: _,
        ca_certificate,
        certificate,
        private_key,
    } = credentials;
    let own = match (certificate, private_key) {
        (None, None) => None,
        (Some(certificate), Some(key)) => Some(Identity::from_pem(certificate, key)),
        (None, Some(_)) => return Err(invalid("certificate", "is needed with a private key")),
        (Some(_), None) => return Err(invalid("private_key", "is needed with a certificate")),
    };
    let Some(authority) = ca_certificate else {
        return match own {
            None => Ok(None),
            Some(_) => Err(invalid("ca_certificate", "is needed with a certificate")),
        };
    };
    let config = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(authority));
    Ok(Some(match own {
        Some(own) => config.identity(own),
        None => config,
    }))
}

fn duration(seconds: f64) -> PyResult<Duration> {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .filter(|duration| !duration.is_zero() && duration.as_secs() < 1 << 32)
        .ok_or_else(|| {
            invalid(
                "timeout",
                &format!("is {seconds}: must be a number of seconds > 0"),
            )
        })
}
