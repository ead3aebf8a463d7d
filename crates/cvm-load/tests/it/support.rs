//! A scoring server whose faults are chosen.

use cvm::{Model, TimeUnit};
use cvm_load::{Mix, Oracle, Plan, Schedule, Target};
use cvm_proto::v1 as pb;
use cvm_proto::v1::scoring_service_server::{ScoringService, ScoringServiceServer};
use cvm_proto::{Encoding, ModelStamp, ScoreAnswer, ScoreJob, ScoredColumn};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::{Duration, Instant};
use tokio_stream::{Stream, StreamExt};
use tonic::transport::{Identity, Server, ServerTlsConfig};
use tonic::{Request, Response, Status, Streaming};

/// What the server does wrong.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    None,
    /// The last bit of the first value is another in every third answer.
    WrongBit,
    /// Every second call is refused.
    Refuses,
    /// Between 0.3 s and 0.6 s after the start nothing is answered.
    Stalls,
    /// No call is ever answered.
    Mute,
}

pub struct Fake {
    model: &'static Model,
    fault: Fault,
    started: Instant,
    calls: AtomicUsize,
    seen: Seen,
}

/// Tokens as they came.
pub type Seen = Arc<Mutex<Vec<String>>>;

/// BG/NBD with the parameters published for CDNOW (Fader, Hardie & Lee 2005).
pub fn models() -> &'static [Model; 1] {
    static MODELS: OnceLock<[Model; 1]> = OnceLock::new();
    MODELS.get_or_init(|| [bg_nbd(0.2426)])
}

pub fn bg_nbd(r: f64) -> Model {
    let params = [("r", r), ("alpha", 4.4136), ("a", 0.7929), ("b", 2.4259)];
    let params = params.map(|(name, value)| (name.to_owned(), value));
    cvm::from_params("clv.bg_nbd", &params, Some(TimeUnit::Week)).unwrap()
}

impl Fake {
    async fn answer(&self, request: pb::ScoreRequest) -> Result<pb::ScoreResponse, Status> {
        let number = self.calls.fetch_add(1, Ordering::Relaxed);
        let since = self.started.elapsed();
        match self.fault {
            Fault::Refuses if number % 2 == 1 => return Err(Status::resource_exhausted("later")),
            Fault::Stalls if (300..600).contains(&since.as_millis()) => {
                tokio::time::sleep(Duration::from_millis(600) - since).await;
            }
            Fault::Mute => std::future::pending().await,
            _ => {}
        }
        let mut answer = self.scored(request);
        if self.fault == Fault::WrongBit && number.is_multiple_of(3) {
            let value = &mut answer.outputs[0].values[0];
            *value = f64::from_bits(value.to_bits() ^ 1);
        }
        Ok(answer.encode(Encoding::Doubles))
    }

    fn scored(&self, request: pb::ScoreRequest) -> ScoreAnswer {
        let job = ScoreJob::try_from(request).unwrap();
        let scores = self
            .model
            .score(&job.frame.batch().unwrap(), &job.options)
            .unwrap();
        let outputs = scores
            .outputs
            .into_iter()
            .map(|(name, values)| ScoredColumn {
                name: name.to_owned(),
                unit: String::new(),
                values,
            });
        ScoreAnswer {
            model: ModelStamp {
                model_version: "models/m/versions/1".to_owned(),
                fingerprint: self.model.fingerprint().to_string(),
                kind: self.model.kind().to_owned(),
            },
            row_count: job.frame.row_count,
            outputs: outputs.collect(),
            statuses: Vec::new(),
            issues: Vec::new(),
            row_keys: Vec::new(),
            request_id: String::new(),
            reasons: None,
            row_models: None,
        }
    }

    fn look<T>(&self, request: &Request<T>) {
        if let Some(token) = request.metadata().get("authorization") {
            self.seen
                .lock()
                .unwrap()
                .push(token.to_str().unwrap().to_owned());
        }
    }
}

#[tonic::async_trait]
impl ScoringService for Fake {
    async fn score(
        &self,
        request: Request<pb::ScoreRequest>,
    ) -> Result<Response<pb::ScoreResponse>, Status> {
        self.look(&request);
        self.answer(request.into_inner()).await.map(Response::new)
    }

    type StreamScoreStream =
        Pin<Box<dyn Stream<Item = Result<pb::StreamScoreResponse, Status>> + Send>>;

    async fn stream_score(
        &self,
        request: Request<Streaming<pb::StreamScoreRequest>>,
    ) -> Result<Response<Self::StreamScoreStream>, Status> {
        self.look(&request);
        let fake = Fake {
            model: &models()[0],
            fault: self.fault,
            started: self.started,
            calls: AtomicUsize::new(0),
            seen: Arc::clone(&self.seen),
        };
        let fake = Arc::new(fake);
        let answers = request.into_inner().then(move |message| {
            let fake = Arc::clone(&fake);
            async move {
                let message = message?;
                let response = fake.answer(message.request.unwrap()).await?;
                let result = Some(pb::stream_score_response::Result::Response(response));
                Ok(pb::StreamScoreResponse {
                    sequence: message.sequence,
                    result,
                })
            }
        });
        Ok(Response::new(Box::pin(answers)))
    }
}

/// A server with a fault in this process.
pub async fn start(fault: Fault, tls: Option<Identity>) -> (SocketAddr, Seen) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let seen = Seen::default();
    let fake = Fake {
        model: &models()[0],
        fault,
        started: Instant::now(),
        calls: AtomicUsize::new(0),
        seen: Arc::clone(&seen),
    };
    let (_, health) = tonic_health::server::health_reporter();
    let mut server = Server::builder();
    if let Some(identity) = tls {
        server = server
            .tls_config(ServerTlsConfig::new().identity(identity))
            .unwrap();
    }
    let served = server
        .add_service(ScoringServiceServer::new(fake))
        .add_service(health);
    let incoming = tokio_stream::wrappers::TcpListenerStream::new(listener);
    tokio::spawn(served.serve_with_incoming(incoming));
    (address, seen)
}

/// A run of `milliseconds` at `rate` against `address`.
pub fn plan(address: SocketAddr, rate: f64, milliseconds: u64) -> Plan {
    let mix = Mix::parse("1:3,20:1").unwrap();
    let options = cvm::ScoreOptions {
        horizon_periods: Some(39.0),
        ..Default::default()
    };
    let oracle = Oracle::new(models(), "", &options, Encoding::Doubles, &mix).unwrap();
    let schedule = Schedule::constant(rate, Duration::from_millis(milliseconds));
    Plan {
        // A busy machine must not turn an answer into none.
        timeout: Duration::from_secs(60),
        ..Plan::new(Target::plain(address), Arc::new(oracle), mix, schedule)
    }
}
