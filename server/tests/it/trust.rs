//! Signatures: who is served under which policy, and what is told of the rest.

use crate::support::{TestServer, bg_nbd, customers, request, save};
use crate::versions::{answers, fingerprint, shelf, state, until};
use cvm::signature::{Signature, SigningKey};
use cvm_proto::admin::v1::{ListVersionsRequest, VersionState};
use cvm_proto::inference as oip;
use cvm_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use cvm_server::TrustPolicy;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use tonic::Code;

/// A folder of models, keys, and where counters are kept.
struct House {
    models: TempDir,
    keys: TempDir,
    key: SigningKey,
}

impl House {
    fn new() -> House {
        let (models, keys) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let key = SigningKey::generate().unwrap();
        std::fs::write(keys.path().join("trusted.pem"), key.public().to_pem()).unwrap();
        House { models, keys, key }
    }

    fn file(&self) -> PathBuf {
        self.models.path().join("retail.cvm")
    }

    /// Puts version `scale` in place, unsigned.
    fn put(&self, scale: u8) {
        save(&bg_nbd(f64::from(scale)), &self.file());
    }

    /// Signs what is there.
    fn sign(&self, key: &SigningKey, model: &str, counter: u64) {
        sign(&self.file(), key, model, counter);
    }

    async fn start(&self, policy: TrustPolicy) -> TestServer {
        self.start_on(self.models.path(), policy).await
    }

    async fn start_on(&self, models: &Path, policy: TrustPolicy) -> TestServer {
        TestServer::start_with_http(models, |settings| {
            settings.trusted_keys = Some(self.keys.path().join("trusted.pem"));
            settings.trust_policy = policy;
            settings.trust_state = Some(self.keys.path().join("counters.json"));
        })
        .await
    }
}

fn sign(file: &Path, key: &SigningKey, model: &str, counter: u64) {
    let bytes = std::fs::read(file).unwrap();
    let text = key.sign(model, counter, &bytes).to_text().unwrap();
    std::fs::write(Signature::path_of(file), text).unwrap();
}

/// Waits until the model is what `why` says, and that is all.
async fn told(server: &TestServer, why: &str) {
    let now = until(&mut server.admin().await, |now| now.error.contains(why)).await;
    assert!(now.error.contains("not trusted"), "{}", now.error);
}

async fn serves(server: &TestServer, scale: u8) {
    let want = fingerprint(scale);
    let has = |now: &cvm_proto::admin::v1::Deployment| {
        now.error.is_empty() && now.versions.iter().any(|v| v.fingerprint == want)
    };
    until(&mut server.admin().await, has).await;
    assert_eq!(answers(server, "retail").await, Ok(want));
}

#[tokio::test]
async fn only_a_trusted_signature_is_served_where_one_is_required() {
    let house = House::new();
    house.put(1);
    let server = house.start(TrustPolicy::Required).await;
    assert_eq!(answers(&server, "retail").await, Err(Code::NotFound));
    told(&server, "no signature").await;
    let metrics = crate::http::get(&server, "/metrics").await;
    let refused = metrics
        .lines()
        .find(|l| l.starts_with("cvm_untrusted_files_total "));
    assert!(!refused.unwrap().ends_with(" 0"), "{metrics}");
    // The signature comes after the file.
    house.sign(&house.key, "retail", 5);
    serves(&server, 1).await;
    let now = state(&mut server.admin().await).await;
    assert_eq!(now.versions[0].signing_key, house.key.public().id());
    assert_eq!(now.versions[0].signature_counter, 5);
    // The new file under the signature of the old one; of a stranger; of another model; no JSON.
    house.put(2);
    told(&server, "not one of this file").await;
    house.sign(&SigningKey::generate().unwrap(), "retail", 6);
    told(&server, "not trusted: signed by key").await;
    house.sign(&house.key, "churn", 6);
    told(&server, "for the model \"churn\"").await;
    std::fs::write(Signature::path_of(&house.file()), "x").unwrap();
    told(&server, "not a signature").await;
    assert_eq!(answers(&server, "retail").await, Ok(fingerprint(1)));
    house.sign(&house.key, "retail", 6);
    serves(&server, 2).await;
}

#[tokio::test]
async fn what_is_older_than_what_was_served_is_refused_over_restarts() {
    let house = House::new();
    house.put(2);
    house.sign(&house.key, "retail", 9);
    let server = house.start(TrustPolicy::Required).await;
    serves(&server, 2).await;
    house.put(1);
    house.sign(&house.key, "retail", 8);
    told(&server, "counter 8 is older than 9").await;
    assert_eq!(answers(&server, "retail").await, Ok(fingerprint(2)));
    server.stop().await.unwrap().unwrap();
    let server = house.start(TrustPolicy::Required).await;
    told(&server, "counter 8 is older than 9").await;
    assert_eq!(answers(&server, "retail").await, Err(Code::NotFound));
    house.sign(&house.key, "retail", 10);
    serves(&server, 1).await;
}

#[tokio::test]
async fn an_optional_signature_must_hold_if_it_is_there_and_stay_once_it_was() {
    let house = House::new();
    house.put(1);
    let server = house.start(TrustPolicy::Optional).await;
    serves(&server, 1).await;
    house.put(2);
    house.sign(&SigningKey::generate().unwrap(), "retail", 1);
    told(&server, "not trusted: signed by key").await;
    house.sign(&house.key, "retail", 1);
    serves(&server, 2).await;
    std::fs::remove_file(Signature::path_of(&house.file())).unwrap();
    house.put(3);
    told(&server, "served before had one").await;
    assert_eq!(answers(&server, "retail").await, Ok(fingerprint(2)));
}

#[tokio::test]
async fn a_key_that_becomes_trusted_opens_what_it_signed() {
    let house = House::new();
    let next = SigningKey::generate().unwrap();
    house.put(1);
    house.sign(&next, "retail", 1);
    let server = house.start(TrustPolicy::Required).await;
    told(&server, "not trusted: signed by key").await;
    let both = house.key.public().to_pem() + &next.public().to_pem();
    std::fs::write(house.keys.path().join("trusted.pem"), both).unwrap();
    serves(&server, 1).await;
}

#[tokio::test]
async fn versions_of_a_folder_are_signed_one_by_one() {
    let (house, folder) = (House::new(), shelf());
    let file = |version: u8| folder.path().join(format!("retail/{version}.cvm"));
    sign(&file(1), &house.key, "retail", 2);
    let server = house.start_on(folder.path(), TrustPolicy::Required).await;
    let now = state(&mut server.admin().await).await;
    assert_eq!(now.versions[0].state(), VersionState::Loaded);
    assert_eq!(now.versions[1].state(), VersionState::Refused);
    assert!(now.versions[1].error.contains("no signature"));
    // A later version may have a lower counter: it goes back on nothing.
    sign(&file(2), &house.key, "retail", 1);
    let loaded = VersionState::Loaded;
    until(&mut server.admin().await, |now| {
        now.versions[1].state() == loaded
    })
    .await;
    let mut ask = request(customers(1), cvm_proto::Encoding::Doubles);
    ask.model = "retail/versions/2".to_owned();
    server.client().await.score(ask).await.unwrap();
}

/// Waits until the model's newest file is refused with `why`, and looks wherever an operator may.
async fn everywhere(server: &TestServer, why: &str) {
    let now = until(&mut server.admin().await, |now| now.error.contains(why)).await;
    assert_eq!(now.versions.len(), 1);
    assert_eq!(now.versions[0].state(), VersionState::Loaded);
    let page: Value =
        serde_json::from_str(&crate::http::get(server, "/status.json").await).unwrap();
    let told = json!([{ "model": "retail", "version": "", "reason": now.error }]);
    assert_eq!(page["refused"], told);
    let metrics = crate::http::get(server, "/metrics").await;
    for line in [
        "cvm_models_refused 1",
        "cvm_model_refused{model=\"retail\",version=\"\"} 1",
    ] {
        assert!(metrics.lines().any(|own| own == line), "{line}: {metrics}");
    }
    let mut triton = GrpcInferenceServiceClient::new(server.channel().await);
    let asked = oip::RepositoryIndexRequest::default();
    let index = triton.repository_index(asked).await.unwrap().into_inner();
    let index = &index.models[0];
    assert_eq!((index.state.as_str(), &index.reason), ("READY", &now.error));
    assert_eq!(answers(server, "retail").await, Ok(fingerprint(1)));
}

#[tokio::test]
async fn a_file_that_is_broken_older_or_unsigned_is_told_wherever_an_operator_looks() {
    let house = House::new();
    house.put(1);
    house.sign(&house.key, "retail", 5);
    let server = house.start(TrustPolicy::Required).await;
    serves(&server, 1).await;
    std::fs::write(house.file(), b"not a model").unwrap();
    house.sign(&house.key, "retail", 6);
    everywhere(&server, "not a cvm model file").await;
    house.put(2);
    house.sign(&house.key, "retail", 4);
    everywhere(&server, "counter 4 is older than 5").await;
    std::fs::remove_file(Signature::path_of(&house.file())).unwrap();
    house.put(3);
    everywhere(&server, "no signature").await;
    house.sign(&house.key, "retail", 7);
    serves(&server, 3).await;
}

#[tokio::test]
async fn a_file_that_cannot_be_a_model_and_a_folder_that_cannot_be_read_are_told() {
    let house = TempDir::new().unwrap();
    let folder = house.path().join("models");
    std::fs::create_dir(&folder).unwrap();
    save(&bg_nbd(1.0), &folder.join("retail.cvm"));
    save(&bg_nbd(1.0), &folder.join("Retail Value.cvm"));
    let server = TestServer::start_with_http(&folder, |_| ()).await;
    server.loaded().await;
    let state = async |server: &TestServer| -> Value {
        serde_json::from_str(&crate::http::get(server, "/status.json").await).unwrap()
    };
    let now = state(&server).await;
    assert_eq!(now["refused"][0]["model"], "Retail Value.cvm");
    assert_eq!(now["folder_problem"], Value::Null);
    std::fs::rename(&folder, house.path().join("away")).unwrap();
    let mut problem = Value::Null;
    for _ in 0..200 {
        problem = state(&server).await["folder_problem"].clone();
        if !problem.is_null() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let asked = ListVersionsRequest::default();
    let listed = server.admin().await.list_versions(asked).await.unwrap();
    assert_eq!(problem, json!(listed.into_inner().store_error));
    assert!(problem.as_str().unwrap().contains("folder"), "{problem}");
    let metrics = crate::http::get(&server, "/metrics").await;
    assert!(
        metrics
            .lines()
            .any(|line| line == "cvm_folder_unreadable 1")
    );
    // What was there is served on, and the folder is looked at once it is back.
    assert_eq!(answers(&server, "retail").await, Ok(fingerprint(1)));
    std::fs::rename(house.path().join("away"), &folder).unwrap();
    for attempt in 0.. {
        if state(&server).await["folder_problem"].is_null() {
            break;
        }
        assert!(attempt < 200);
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}
