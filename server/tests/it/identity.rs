//! Who may call: tokens with roles, TLS, mutual TLS, certificates that change while serving.

use crate::support::{TestServer, customers, folder, request};
use cvm_proto::Encoding;
use cvm_proto::admin::v1 as admin;
use cvm_proto::admin::v1::admin_service_client::AdminServiceClient;
use cvm_proto::inference as oip;
use cvm_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use cvm_proto::v1 as pb;
use cvm_proto::v1::model_service_client::ModelServiceClient;
use cvm_proto::v1::scoring_service_client::ScoringServiceClient;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use std::path::{Path, PathBuf};
use std::time::Duration;
use tempfile::TempDir;
use tonic::metadata::MetadataValue;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint, Identity};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;

/// SHA-256 of `test` and of `other`.
const TOKENS: &str = r#"
[[token]]
name = "billing"
sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
roles = ["score"]

[[token]]
name = "operations"
sha256 = "d9298a10d1b0735837dc4bd85dac641b0f3cef27a47e5d53a54f2f3f5b2fcffa"
roles = ["read", "admin"]
"#;

fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let value: MetadataValue<_> = format!("Bearer {token}").parse().unwrap();
    request.metadata_mut().insert("authorization", value);
    request
}

async fn code_of_score(channel: &Channel, token: &str) -> Code {
    let message = request(customers(2), Encoding::Doubles);
    let mut client = ScoringServiceClient::new(channel.clone());
    let answer = client.score(with_token(message, token)).await;
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

async fn code_of_list(channel: &Channel, token: &str) -> Code {
    let message = pb::ListModelsRequest::default();
    let mut client = ModelServiceClient::new(channel.clone());
    let answer = client.list_models(with_token(message, token)).await;
    answer.map_or_else(|status| status.code(), |_| Code::Ok)
}

#[tokio::test]
async fn a_call_needs_a_token_with_the_role() {
    let folder = folder();
    let tokens = folder.path().join("tokens.toml");
    std::fs::write(&tokens, TOKENS).unwrap();
    let server = TestServer::start(folder.path(), |settings| {
        settings.tokens = Some(tokens.clone());
        settings.allow_model_control = true;
    })
    .await;
    let channel = server.channel().await;
    for (token, score, list) in [
        ("test", Code::Ok, Code::PermissionDenied),
        ("other", Code::PermissionDenied, Code::Ok),
        ("wrong", Code::Unauthenticated, Code::Unauthenticated),
    ] {
        assert_eq!(code_of_score(&channel, token).await, score, "{token}");
        assert_eq!(code_of_list(&channel, token).await, list, "{token}");
    }
    // Health is for whoever watches; everything else is closed without a token.
    let mut health = HealthClient::new(channel.clone());
    assert!(health.check(HealthCheckRequest::default()).await.is_ok());
    let mut client = ScoringServiceClient::new(channel.clone());
    let error = client
        .score(request(customers(1), Encoding::Doubles))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    assert!(
        error.message().contains("authorization"),
        "{}",
        error.message()
    );
    let unload = |token| {
        let message = oip::RepositoryModelUnloadRequest {
            model_name: "retail".to_owned(),
            ..Default::default()
        };
        let mut client = GrpcInferenceServiceClient::new(channel.clone());
        async move {
            client
                .repository_model_unload(with_token(message, token))
                .await
        }
    };
    let error = unload("test").await.unwrap_err();
    assert!(error.message().contains("`billing` lacks the role `admin`"));
    unload("other").await.unwrap();
}

#[tokio::test]
async fn changed_tokens_are_taken_up_and_broken_ones_are_not() {
    let folder = folder();
    let tokens = folder.path().join("tokens.toml");
    std::fs::write(&tokens, TOKENS).unwrap();
    let server = TestServer::start(folder.path(), |settings| {
        settings.tokens = Some(tokens.clone());
    })
    .await;
    let channel = server.channel().await;
    std::fs::write(&tokens, "[[token]]\nname = 1").unwrap();
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(code_of_score(&channel, "test").await, Code::Ok);
    std::fs::write(&tokens, TOKENS.replace("\"score\"", "\"read\"")).unwrap();
    becomes(Code::PermissionDenied, || code_of_score(&channel, "test")).await;
    assert_eq!(code_of_list(&channel, "test").await, Code::Ok);
}

/// Waits until a call answers with a code.
async fn becomes<F: Future<Output = Code>>(code: Code, call: impl Fn() -> F) {
    for _ in 0..200 {
        if call().await == code {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never {code:?}");
}

/// An authority, and what it signs.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
}

impl Authority {
    pub fn new() -> Authority {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Authority {
            pem: certificate.pem(),
            issuer: Issuer::new(params, key),
        }
    }

    /// A certificate for `name` and its key.
    pub fn sign(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), key.serialize_pem())
    }
}

pub struct Files {
    pub folder: TempDir,
}

impl Files {
    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    pub fn certificate(&self, (certificate, key): &(String, String)) {
        self.write("cert.pem", certificate);
        self.write("key.pem", key);
    }
}

async fn start(models: &Path, files: &Files, mutual: bool) -> TestServer {
    let path = |name: &str| files.folder.path().join(name);
    TestServer::start(models, |settings| {
        settings.tls_cert = Some(path("cert.pem"));
        settings.tls_key = Some(path("key.pem"));
        settings.tls_client_ca = mutual.then(|| path("clients.pem"));
        settings.handshake_timeout_seconds = 1;
    })
    .await
}

async fn connect(server: &TestServer, tls: ClientTlsConfig) -> Result<Channel, String> {
    connect_to(server.address.port(), tls).await
}

async fn connect_to(port: u16, tls: ClientTlsConfig) -> Result<Channel, String> {
    let target = format!("https://localhost:{port}");
    let endpoint = Endpoint::from_shared(target)
        .unwrap()
        .tls_config(tls)
        .unwrap();
    endpoint
        .connect()
        .await
        .map_err(|error| format!("{error:?}"))
}

pub fn trusting(authority: &Authority) -> ClientTlsConfig {
    ClientTlsConfig::new()
        .ca_certificate(Certificate::from_pem(&authority.pem))
        .domain_name("localhost")
}

#[tokio::test]
async fn calls_travel_under_tls_and_a_new_certificate_drops_no_connection() {
    let models = folder();
    let files = Files {
        folder: TempDir::new().unwrap(),
    };
    let (first, second) = (Authority::new(), Authority::new());
    files.certificate(&first.sign("localhost"));
    let server = start(models.path(), &files, false).await;
    let open = connect(&server, trusting(&first)).await.unwrap();
    assert_eq!(code_of_score(&open, "any").await, Code::Ok);
    connect(&server, trusting(&second)).await.unwrap_err();
    // A peer that speaks in clear gets nothing, and holds nothing up.
    let clear = Endpoint::from_shared(format!("http://{}", server.address)).unwrap();
    let clear = clear.connect().await;
    assert!(clear.is_err() || code_of_score(&clear.unwrap(), "any").await != Code::Ok);

    // The key without its certificate is a broken state between two good ones.
    let (certificate, key) = second.sign("localhost");
    files.write("key.pem", &key);
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(connect(&server, trusting(&first)).await.is_ok());
    files.write("cert.pem", &certificate);
    for attempt in 0.. {
        if connect(&server, trusting(&second)).await.is_ok() {
            break;
        }
        assert!(attempt < 200, "the new certificate is never taken up");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    assert_eq!(code_of_score(&open, "any").await, Code::Ok);
}

#[tokio::test]
async fn mutual_tls_lets_in_only_its_own() {
    let models = folder();
    let files = Files {
        folder: TempDir::new().unwrap(),
    };
    let (servers, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    files.certificate(&servers.sign("localhost"));
    files.write("clients.pem", &clients.pem);
    let server = start(models.path(), &files, true).await;
    let showing = |authority: &Authority| {
        let (certificate, key) = authority.sign("caller");
        trusting(&servers).identity(Identity::from_pem(certificate, key))
    };
    let known = connect(&server, showing(&clients)).await.unwrap();
    assert_eq!(code_of_score(&known, "any").await, Code::Ok);
    for wrong in [trusting(&servers), showing(&strangers)] {
        // In TLS 1.3 the refusal reaches the caller with its first call.
        if let Ok(channel) = connect(&server, wrong).await {
            assert_ne!(code_of_score(&channel, "any").await, Code::Ok);
        }
    }
}

#[tokio::test]
async fn administration_is_under_the_tls_of_scoring() {
    let models = folder();
    let files = Files {
        folder: TempDir::new().unwrap(),
    };
    let (servers, clients, strangers) = (Authority::new(), Authority::new(), Authority::new());
    files.certificate(&servers.sign("localhost"));
    files.write("clients.pem", &clients.pem);
    let server = start(models.path(), &files, true).await;
    let list = async |channel: Result<Channel, String>| -> Result<usize, String> {
        let mut client = AdminServiceClient::new(channel?);
        let answer = client
            .list_versions(admin::ListVersionsRequest::default())
            .await;
        let answer = answer.map_err(|status| status.to_string())?;
        Ok(answer.into_inner().models.len())
    };
    let port = server.admin.port();
    let showing = |authority: &Authority| {
        let (certificate, key) = authority.sign("caller");
        trusting(&servers).identity(Identity::from_pem(certificate, key))
    };
    assert_eq!(list(connect_to(port, showing(&clients)).await).await, Ok(1));
    for wrong in [
        trusting(&servers),
        showing(&strangers),
        trusting(&strangers),
    ] {
        list(connect_to(port, wrong).await).await.unwrap_err();
    }
    let clear = Endpoint::from_shared(format!("http://{}", server.admin)).unwrap();
    let clear = clear.connect().await.map_err(|error| error.to_string());
    list(clear).await.unwrap_err();
    // A peer that says nothing is let go in the time of a handshake.
    let mut silent = tokio::net::TcpStream::connect(server.admin).await.unwrap();
    let mut end = Vec::new();
    let closed = tokio::io::AsyncReadExt::read_to_end(&mut silent, &mut end);
    let closed = tokio::time::timeout(Duration::from_secs(5), closed).await;
    assert!(closed.is_ok(), "still open");
    assert_eq!(list(connect_to(port, showing(&clients)).await).await, Ok(1));
}

#[tokio::test]
async fn a_server_with_wrong_files_does_not_start() {
    let models = folder();
    let files = Files {
        folder: TempDir::new().unwrap(),
    };
    let wrong = files.write("wrong.toml", "[[token]]");
    for change in [
        |settings: &mut cvm_server::Settings, path: &Path| settings.tokens = Some(path.to_owned()),
        |settings: &mut cvm_server::Settings, path: &Path| {
            settings.tls_cert = Some(path.to_owned());
            settings.tls_key = Some(path.to_owned());
        },
    ] {
        let server = TestServer::start(models.path(), |settings| change(settings, &wrong)).await;
        let error = server.stop().await.unwrap().unwrap_err();
        assert!(error.to_string().contains("wrong.toml"), "{error}");
    }
}
