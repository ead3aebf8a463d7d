//! Versions and aliases: who answers, over restarts, bad files and moves under load.

use crate::support::{TestServer, bg_nbd, bits, customers, expected, request, save};
use cvm::repository::publish;
use cvm_proto::admin::v1 as admin;
use cvm_proto::admin::v1::admin_service_client::AdminServiceClient;
use cvm_proto::{Encoding, ScoreAnswer};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tempfile::TempDir;
use tonic::transport::Channel;
use tonic::{Code, Status};

type Admin = AdminServiceClient<Channel>;

/// Publishes version `scale` of `retail`: BG/NBD with `r` scaled by it.
pub fn version(folder: &Path, scale: u8) {
    let file = folder.join("new.tmp");
    save(&bg_nbd(f64::from(scale)), &file);
    let name = scale.to_string();
    publish(&file, &folder.join("retail"), Some(&name)).unwrap();
    std::fs::remove_file(file).unwrap();
}

pub fn fingerprint(scale: u8) -> String {
    bg_nbd(f64::from(scale)).fingerprint().to_string()
}

/// A folder with versions 1 and 2 of `retail`, published in this order.
pub fn shelf() -> TempDir {
    let folder = TempDir::new().unwrap();
    version(folder.path(), 1);
    version(folder.path(), 2);
    folder
}

/// The fingerprint of the version that answers for a name.
pub async fn answers(server: &TestServer, name: &str) -> Result<String, Code> {
    let mut request = request(customers(1), Encoding::Doubles);
    request.model = name.to_owned();
    match server.client().await.score(request).await {
        Ok(answer) => Ok(answer.into_inner().model.unwrap().fingerprint),
        Err(status) => Err(status.code()),
    }
}

async fn set(client: &mut Admin, alias: &str, to: &str) -> Result<admin::Deployment, Status> {
    let request = admin::SetAliasRequest {
        model: "retail".to_owned(),
        alias: alias.to_owned(),
        version: to.to_owned(),
    };
    let answer = client.set_alias(request).await?;
    Ok(answer.into_inner().model.unwrap())
}

pub async fn state(client: &mut Admin) -> admin::Deployment {
    let request = admin::ListVersionsRequest::default();
    let answer = client.list_versions(request).await.unwrap();
    answer.into_inner().models.remove(0)
}

fn aliases(deployment: &admin::Deployment) -> Vec<(&str, &str)> {
    let aliases = deployment.aliases.iter();
    aliases
        .map(|a| (a.alias.as_str(), a.version.as_str()))
        .collect()
}

fn rollback() -> admin::RollbackRequest {
    let model = "models/retail".to_owned();
    admin::RollbackRequest { model }
}

#[tokio::test]
async fn a_version_answers_by_its_names() {
    let folder = shelf();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let mut client = server.admin().await;
    for (name, scale) in [
        ("", 1),
        ("retail", 1),
        ("models/retail@champion", 1),
        ("models/retail/versions/2", 2),
        ("retail/versions/1", 1),
    ] {
        assert_eq!(
            answers(&server, name).await,
            Ok(fingerprint(scale)),
            "{name}"
        );
    }
    for name in ["retail@challenger", "retail/versions/3", "other@champion"] {
        assert_eq!(answers(&server, name).await, Err(Code::NotFound), "{name}");
    }
    set(&mut client, "challenger", "2").await.unwrap();
    assert_eq!(
        answers(&server, "retail@challenger").await,
        Ok(fingerprint(2))
    );
    assert_eq!(
        client.rollback(rollback()).await.unwrap_err().code(),
        Code::FailedPrecondition
    );
    set(&mut client, "champion", "2").await.unwrap();
    assert_eq!(answers(&server, "retail").await, Ok(fingerprint(2)));
    assert_eq!(
        answers(&server, "retail@previous").await,
        Ok(fingerprint(1))
    );
    let back = client.rollback(rollback()).await.unwrap().into_inner();
    let want = [("challenger", "2"), ("champion", "1"), ("previous", "2")];
    assert_eq!(aliases(&back.model.unwrap()), want);
    assert_eq!(answers(&server, "retail").await, Ok(fingerprint(1)));
}

#[tokio::test]
async fn an_alias_points_at_loaded_versions_only() {
    let folder = shelf();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let mut client = server.admin().await;
    let error = set(&mut client, "champion", "3").await.unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    assert!(
        error.message().contains("3, which is not loaded"),
        "{error}"
    );
    let wrong = set(&mut client, "Champion", "2").await.unwrap_err();
    assert_eq!(wrong.code(), Code::InvalidArgument);
    let name = |version: &str| format!("models/retail/versions/{version}");
    let unload = |version: &str| admin::UnloadVersionRequest {
        name: name(version),
    };
    let error = client.unload_version(unload("1")).await.unwrap_err();
    assert!(
        error.message().contains("@champion points at it"),
        "{error}"
    );
    client.unload_version(unload("2")).await.unwrap();
    let now = state(&mut client).await;
    assert_eq!(now.versions[1].state(), admin::VersionState::Unloaded);
    assert_eq!(
        answers(&server, "retail/versions/2").await,
        Err(Code::NotFound)
    );
    assert!(set(&mut client, "champion", "2").await.is_err());
    let load = admin::LoadVersionRequest { name: name("2") };
    client.load_version(load).await.unwrap();
    set(&mut client, "champion", "2").await.unwrap();
    // By hand as well: what points nowhere is not taken up, and is told.
    let routing = folder.path().join("retail/routing.json");
    std::fs::write(&routing, r#"{"aliases": {"champion": "9"}}"#).unwrap();
    let told = until(&mut client, |now| now.error.contains("points at 9")).await;
    assert_eq!(aliases(&told), [("champion", "2"), ("previous", "1")]);
    assert_eq!(answers(&server, "retail").await, Ok(fingerprint(2)));
    std::fs::write(&routing, r#"{"aliases": {"champion": "1"}}"#).unwrap();
    until(&mut client, |now| aliases(now) == [("champion", "1")]).await;
    assert_eq!(answers(&server, "retail").await, Ok(fingerprint(1)));
}

/// Waits until the model is as `done` wants it.
pub async fn until(
    client: &mut Admin,
    done: impl Fn(&admin::Deployment) -> bool,
) -> admin::Deployment {
    for _ in 0..400 {
        let now = state(client).await;
        if done(&now) {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("waited in vain: {:?}", state(client).await);
}

#[tokio::test]
async fn aliases_outlive_a_restart() {
    let folder = shelf();
    let server = TestServer::start(folder.path(), |_| ()).await;
    set(&mut server.admin().await, "champion", "2")
        .await
        .unwrap();
    server.stop().await.unwrap().unwrap();
    version(folder.path(), 3);
    let server = TestServer::start(folder.path(), |_| ()).await;
    assert_eq!(answers(&server, "retail").await, Ok(fingerprint(2)));
    let now = state(&mut server.admin().await).await;
    assert_eq!(aliases(&now), [("champion", "2"), ("previous", "1")]);
    server.stop().await.unwrap().unwrap();
    // The champion's file is damaged while nobody looks: no other version answers for it.
    std::fs::write(folder.path().join("retail/2.cvm"), b"x").unwrap();
    let server = TestServer::start(folder.path(), |_| ()).await;
    assert_eq!(answers(&server, "retail").await, Err(Code::NotFound));
    assert_eq!(
        answers(&server, "retail@previous").await,
        Ok(fingerprint(1))
    );
    let now = state(&mut server.admin().await).await;
    assert_eq!(now.versions[1].state(), admin::VersionState::Refused);
    assert!(now.error.contains("@champion points at 2"), "{}", now.error);
}

#[tokio::test]
async fn a_half_copied_version_is_told_and_loaded_once_whole() {
    let folder = shelf();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let mut client = server.admin().await;
    // The manifest comes first, then half of the file.
    let other = TempDir::new().unwrap();
    for scale in [1, 2, 3] {
        version(other.path(), scale);
    }
    let (from, to) = (other.path().join("retail"), folder.path().join("retail"));
    let whole = std::fs::read(from.join("3.cvm")).unwrap();
    std::fs::copy(from.join("manifest.json"), to.join("manifest.json")).unwrap();
    std::fs::write(to.join("3.cvm"), &whole[..whole.len() / 2]).unwrap();
    let told = until(&mut client, |now| {
        now.versions.len() == 3 && now.versions[2].error.contains("half copied")
    })
    .await;
    assert_eq!(told.versions[2].state(), admin::VersionState::Refused);
    std::fs::write(to.join("3.cvm"), &whole).unwrap();
    let loaded = admin::VersionState::Loaded;
    let now = until(&mut client, |now| now.versions[2].state() == loaded).await;
    assert_eq!(now.versions[2].fingerprint, fingerprint(3));
    assert!(now.versions[2].error.is_empty() && now.error.is_empty());
    // New is not champion.
    assert_eq!(answers(&server, "retail").await, Ok(fingerprint(1)));
    // A manifest that cannot be read changes nothing.
    std::fs::write(to.join("manifest.json"), "{").unwrap();
    until(&mut client, |now| now.error.contains("manifest.json")).await;
    assert_eq!(
        answers(&server, "retail/versions/3").await,
        Ok(fingerprint(3))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_champion_that_moves_under_load_fails_and_mixes_nothing() {
    let folder = shelf();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let (frame, stop) = (customers(700), Arc::new(AtomicBool::new(false)));
    let want = [1, 2].map(|scale| {
        let model = bg_nbd(f64::from(scale));
        (fingerprint(scale), expected(&model, &frame))
    });
    let moving = async {
        let mut client = server.admin().await;
        for turn in 0..60 {
            let to = if turn % 2 == 0 { "2" } else { "1" };
            set(&mut client, "champion", to).await.unwrap();
        }
        stop.store(true, Ordering::Relaxed);
    };
    let asking = async {
        let (mut client, mut seen) = (server.client().await, [0, 0]);
        while !stop.load(Ordering::Relaxed) {
            let ask = request(frame.clone(), Encoding::DoublesLe);
            let answer = client.score(ask).await.unwrap().into_inner();
            let answer = ScoreAnswer::try_from(answer).unwrap();
            let of = want
                .iter()
                .position(|(own, _)| *own == answer.model.fingerprint);
            let of = of.expect("one of the two");
            let columns = answer.outputs.into_iter();
            let got: Vec<_> = columns.map(|c| (c.name, bits(&c.values))).collect();
            assert!(got == want[of].1, "not the scores of {}", want[of].0);
            seen[of] += 1;
        }
        seen
    };
    let ((), seen) = tokio::join!(moving, asking);
    assert!(seen.iter().all(|count| *count > 0), "{seen:?}");
}

#[tokio::test]
async fn what_is_unloaded_by_request_stays_so_over_a_restart() {
    let folder = shelf();
    crate::support::save(&bg_nbd(3.0), &folder.path().join("churn.cvm"));
    let start = || TestServer::start(folder.path(), |_| ());
    let loaded = async || {
        let server = start().await;
        let (version, file) = (
            answers(&server, "retail/versions/2"),
            answers(&server, "churn"),
        );
        let found = (version.await.is_ok(), file.await.is_ok());
        server.stop().await.unwrap().unwrap();
        found
    };
    let server = start().await;
    let mut client = server.admin().await;
    for name in ["models/retail/versions/2", "churn"] {
        let name = name.to_owned();
        client
            .unload_version(admin::UnloadVersionRequest { name })
            .await
            .unwrap();
    }
    server.stop().await.unwrap().unwrap();
    assert_eq!(loaded().await, (false, false));
    let server = start().await;
    let mut client = server.admin().await;
    for name in ["models/retail/versions/2", "churn"] {
        let name = name.to_owned();
        client
            .load_version(admin::LoadVersionRequest { name })
            .await
            .unwrap();
    }
    server.stop().await.unwrap().unwrap();
    assert_eq!(loaded().await, (true, true));
}

#[tokio::test]
async fn a_single_file_has_one_version_which_always_answers() {
    let folder = crate::support::folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let mut client = server.admin().await;
    let now = state(&mut client).await;
    let short = fingerprint(1)[..12].to_owned();
    assert_eq!(aliases(&now), [("champion", short.as_str())]);
    let error = set(&mut client, "challenger", &short).await.unwrap_err();
    assert!(error.message().contains("single file"), "{error}");
    // A folder of the same name stays out, and is told.
    version(folder.path(), 2);
    let told = until(&mut client, |now| !now.error.is_empty()).await;
    assert!(
        told.error.contains("retail.cvm has its name"),
        "{}",
        told.error
    );
    assert_eq!(
        answers(&server, "retail@champion").await,
        Ok(fingerprint(1))
    );
    // Without the file the folder serves.
    std::fs::remove_file(folder.path().join("retail.cvm")).unwrap();
    until(&mut client, |now| aliases(now) == [("champion", "2")]).await;
    assert_eq!(answers(&server, "retail").await, Ok(fingerprint(2)));
}

#[tokio::test]
async fn administration_has_a_port_of_its_own() {
    let folder = shelf();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let mut outside = AdminServiceClient::new(server.channel().await);
    let error = outside.rollback(rollback()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unimplemented);
    let channel = crate::support::channel(server.admin).await;
    let mut scoring = cvm_proto::v1::scoring_service_client::ScoringServiceClient::new(channel);
    let ask = request(customers(1), Encoding::Doubles);
    assert_eq!(
        scoring.score(ask).await.unwrap_err().code(),
        Code::Unimplemented
    );
}

#[tokio::test]
async fn administration_asks_for_the_role() {
    let folder = shelf();
    let tokens = folder.path().join("tokens.toml");
    // SHA-256 of `test`.
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let text = format!("[[token]]\nname = \"r\"\nsha256 = \"{digest}\"\nroles = [\"read\"]\n");
    std::fs::write(&tokens, &text).unwrap();
    let server = TestServer::start(folder.path(), |settings| {
        settings.tokens = Some(tokens.clone());
    })
    .await;
    let mut client = server.admin().await;
    let error = client.rollback(rollback()).await.unwrap_err();
    assert_eq!(error.code(), Code::Unauthenticated);
    let signed = |request: admin::RollbackRequest| {
        let mut request = tonic::Request::new(request);
        let token = "Bearer test".parse().unwrap();
        request.metadata_mut().insert("authorization", token);
        request
    };
    let error = client.rollback(signed(rollback())).await.unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
    std::fs::write(&tokens, text.replace("read", "admin")).unwrap();
    for _ in 0..200 {
        let error = client.rollback(signed(rollback())).await.unwrap_err();
        if error.code() == Code::FailedPrecondition {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("the role admin never came into force");
}
