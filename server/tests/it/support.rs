//! Servers, models and requests for the tests.

pub use crate::models::{bg_nbd, boosted};
use cvm::{Frame, FrameColumn, Model, ScoreOptions};
use cvm_proto::admin::v1::admin_service_client::AdminServiceClient;
use cvm_proto::v1 as pb;
use cvm_proto::v1::scoring_service_client::ScoringServiceClient;
use cvm_proto::{Encoding, ModelName, ScoreJob};
use cvm_server::{Listeners, RunError, Settings, run};
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tonic::transport::{Channel, Endpoint};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

/// A server in this process on a free port.
pub struct TestServer {
    pub address: SocketAddr,
    pub http: Option<SocketAddr>,
    pub probes: SocketAddr,
    pub admin: SocketAddr,
    stop: oneshot::Sender<()>,
    served: JoinHandle<Result<(), RunError>>,
}

impl TestServer {
    pub async fn start(folder: &Path, change: impl FnOnce(&mut Settings)) -> TestServer {
        TestServer::start_on(folder, change, None).await
    }

    pub async fn start_with_http(folder: &Path, change: impl FnOnce(&mut Settings)) -> TestServer {
        let http = TcpListener::bind("127.0.0.1:0").await.unwrap();
        TestServer::start_on(folder, change, Some(http)).await
    }

    async fn start_on(
        folder: &Path,
        change: impl FnOnce(&mut Settings),
        http: Option<TcpListener>,
    ) -> TestServer {
        let mut settings = Settings::for_folder(folder);
        settings.poll_interval_ms = 25;
        settings.workers = 2;
        change(&mut settings);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let http_address = http.as_ref().map(|http| http.local_addr().unwrap());
        let admin = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let admin_address = admin.local_addr().unwrap();
        let probes = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let probes_address = probes.local_addr().unwrap();
        let listeners = Listeners {
            grpc: listener,
            http,
            probes: Some(probes),
            admin: Some(admin),
        };
        let served = tokio::spawn(run(listeners, settings, async {
            let _ = stopped.await;
        }));
        TestServer {
            address,
            http: http_address,
            probes: probes_address,
            admin: admin_address,
            stop,
            served,
        }
    }

    /// Waits until the folder has been looked at: health tells of it, calls about models wait for it.
    pub async fn loaded(&self) {
        let mut client = HealthClient::new(self.channel().await);
        loop {
            let ask = HealthCheckRequest::default();
            let answer = client.check(ask).await.unwrap().into_inner();
            if answer.status() == ServingStatus::Serving {
                return;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    pub async fn channel(&self) -> Channel {
        channel(self.address).await
    }

    pub async fn client(&self) -> ScoringServiceClient<Channel> {
        ScoringServiceClient::new(self.channel().await).max_decoding_message_size(64 << 20)
    }

    pub async fn admin(&self) -> AdminServiceClient<Channel> {
        AdminServiceClient::new(channel(self.admin).await)
    }

    /// Begins the shutdown and gives back what ends with it.
    pub fn stop(self) -> JoinHandle<Result<(), RunError>> {
        let _ = self.stop.send(());
        self.served
    }
}

pub async fn channel(address: SocketAddr) -> Channel {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
    endpoint.connect().await.unwrap()
}

/// A folder with one model, `retail.cvm`.
pub fn folder() -> TempDir {
    let folder = TempDir::new().unwrap();
    save(&bg_nbd(1.0), &folder.path().join("retail.cvm"));
    folder
}

pub fn save(model: &Model, path: &Path) {
    model.save(path).unwrap();
}

/// Legal customers, all different, in a fixed pattern.
pub fn customers(count: usize) -> Frame {
    let mut columns = [Vec::new(), Vec::new(), Vec::new()];
    for row in 0..count {
        let frequency = (row % 7) as f64;
        let age = 20.0 + (row % 1000) as f64 / 7.0;
        let recency = if frequency == 0.0 { 0.0 } else { age * 0.7 };
        columns[0].push(frequency);
        columns[1].push(recency);
        columns[2].push(age);
    }
    let [frequency, recency, age] = columns;
    Frame::new(count)
        .with_numbers("frequency", frequency)
        .with_numbers("recency", recency)
        .with_numbers("T", age)
}

pub fn horizon(periods: f64) -> ScoreOptions {
    ScoreOptions {
        horizon_periods: Some(periods),
        ..Default::default()
    }
}

pub fn request(frame: Frame, encoding: Encoding) -> pb::ScoreRequest {
    ScoreJob {
        model: ModelName::Only,
        frame,
        options: horizon(39.0),
        encoding,
        row_keys: Vec::new(),
        request_id: "test".to_owned(),
    }
    .into()
}

/// The bits of every output, as the engine computes them in this process.
pub fn expected(model: &Model, frame: &Frame) -> Vec<(String, Vec<u64>)> {
    let scores = model
        .score(&frame.batch().unwrap(), &horizon(39.0))
        .unwrap();
    let columns = scores.outputs.into_iter();
    columns
        .map(|(name, values)| (name.to_owned(), bits(&values)))
        .collect()
}

pub fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// The numbers of one column, for changing them.
pub fn numbers<'a>(frame: &'a mut Frame, name: &str) -> &'a mut Vec<f64> {
    let column = frame.columns.iter_mut().find(|(own, _)| own == name);
    match column {
        Some((_, FrameColumn::Numbers(values))) => values,
        other => panic!("no numbers {name}: {other:?}"),
    }
}
