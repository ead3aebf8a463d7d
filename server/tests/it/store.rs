//! Models of an object store: followed, routed by request, served on when the store is away.

use crate::support::{TestServer, bg_nbd, save};
use crate::versions::{answers, fingerprint, state};
use cvm_proto::admin::v1 as admin;
use cvm_store::{Location, publish};
use std::path::Path;
use std::time::Duration;
use tempfile::TempDir;
use tonic::Code;

/// Publishes a version into `store/models/retail`.
async fn version(home: &Path, scale: u8) {
    let file = home.join(format!("{scale}.cvm"));
    save(&bg_nbd(f64::from(scale)), &file);
    let url = format!("file://{}/store/models/retail", home.display());
    let to = Location::parse(&url, []).unwrap();
    publish(&file, &to, Some(&scale.to_string())).await.unwrap();
}

async fn start(home: &Path) -> TestServer {
    let url = format!("file://{}/store/models", home.display());
    TestServer::start_with_http(Path::new(&url), |settings| {
        settings.models_cache = Some(home.join("cache"));
        settings.store_poll_seconds = 1;
    })
    .await
}

/// Waits for a line of the metrics.
async fn until(server: &TestServer, line: &str) {
    for _ in 0..200 {
        if crate::http::get(server, "/metrics").await.contains(line) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never {line}");
}

async fn champion(server: &TestServer, version: &str) -> Result<(), tonic::Status> {
    let request = admin::SetAliasRequest {
        model: "retail".to_owned(),
        alias: "champion".to_owned(),
        version: version.to_owned(),
    };
    server.admin().await.set_alias(request).await.map(|_| ())
}

#[tokio::test]
async fn a_store_is_followed_and_its_absence_changes_nothing() {
    let home = TempDir::new().unwrap();
    let home = home.path();
    version(home, 1).await;
    let server = start(home).await;
    assert_eq!(answers(&server, "retail").await, Ok(fingerprint(1)));
    version(home, 2).await;
    for _ in 0..200 {
        if answers(&server, "retail/versions/2").await.is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    champion(&server, "2").await.unwrap();
    assert_eq!(answers(&server, "retail").await, Ok(fingerprint(2)));
    let routing = home.join("store/models/retail/routing.json");
    let routed = std::fs::read_to_string(&routing).unwrap();
    assert!(routed.contains("\"champion\": \"2\""), "{routed}");

    // A change that the store does not take is none.
    std::fs::remove_file(&routing).unwrap();
    std::fs::create_dir_all(routing.join("in the way")).unwrap();
    let error = champion(&server, "1").await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition, "{error}");
    assert_eq!(answers(&server, "retail").await, Ok(fingerprint(2)));
    std::fs::remove_dir_all(&routing).unwrap();
    std::fs::write(&routing, routed).unwrap();

    std::fs::rename(home.join("store"), home.join("away")).unwrap();
    until(&server, "cvm_store_looks_total{result=\"failure\"} 2\n").await;
    assert_eq!(answers(&server, "retail").await, Ok(fingerprint(2)));
    server.stop().await.unwrap().unwrap();
    let server = start(home).await;
    assert_eq!(answers(&server, "retail").await, Ok(fingerprint(2)));
    let mut client = server.admin().await;
    let listed = client
        .list_versions(admin::ListVersionsRequest::default())
        .await;
    let listed = listed.unwrap().into_inner();
    assert!(
        !listed.store_error.is_empty() && listed.models.len() == 1,
        "{listed:?}"
    );
    std::fs::rename(home.join("away"), home.join("store")).unwrap();
    until(&server, "cvm_store_looks_total{result=\"success\"} 1\n").await;
    assert!(state(&mut client).await.error.is_empty());
    // What is wrong with one model is told of it.
    let file = home.join("store/models/retail/manifest.json");
    std::fs::write(file, "{").unwrap();
    for _ in 0..200 {
        if state(&mut client).await.error.contains("manifest.json") {
            return;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    panic!("never told");
}
