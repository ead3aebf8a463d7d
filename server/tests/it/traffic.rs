//! Traffic: a split by the customer's key, shadows beside the champion, two versions compared.

use crate::support::{TestServer, bg_nbd, bits, customers, expected, request, save};
use crate::versions::{fingerprint, shelf, version};
use cvm_proto::admin::v1 as admin;
use cvm_proto::{Encoding, ScoreAnswer};
use sha2::{Digest, Sha256};
use std::time::Duration;
use tonic::{Code, Status};

const KEYS: usize = 2_000;

fn key(row: usize) -> String {
    format!("customer-{row}")
}

/// The documented rule, written anew: whether a key is the second share's, of two.
fn second(salt: &str, key: &str, weights: [u64; 2]) -> bool {
    let digest = Sha256::digest(format!("retail\0{salt}\0{key}"));
    let place = u64::from_be_bytes(digest[..8].try_into().unwrap());
    let total = u128::from(weights[0] + weights[1]);
    (u128::from(place) * total) >> 64 >= u128::from(weights[0])
}

async fn split(
    server: &TestServer,
    shares: &[(&str, u32)],
    salt: &str,
) -> Result<admin::Deployment, Status> {
    let shares = shares.iter().map(|(to, weight)| admin::Share {
        to: (*to).to_owned(),
        weight: *weight,
    });
    let request = admin::SetSplitRequest {
        model: "retail".to_owned(),
        shares: shares.collect(),
        salt: salt.to_owned(),
    };
    let answer = server.admin().await.set_split(request).await?;
    Ok(answer.into_inner().model.unwrap())
}

async fn score(server: &TestServer, keys: Vec<String>, rows: usize) -> ScoreAnswer {
    let mut ask = request(customers(rows), Encoding::DoublesLe);
    (ask.model, ask.row_keys) = ("retail".to_owned(), keys);
    let answer = server.client().await.score(ask).await.unwrap();
    ScoreAnswer::try_from(answer.into_inner()).unwrap()
}

#[tokio::test]
async fn one_batch_is_split_by_its_keys_and_put_together_in_order() {
    let folder = shelf();
    let server = TestServer::start(folder.path(), |_| ()).await;
    split(&server, &[("@champion", 3), ("2", 1)], "")
        .await
        .unwrap();
    let frame = customers(KEYS);
    let want = [1.0, 2.0].map(|scale| expected(&bg_nbd(scale), &frame));
    let mut keys: Vec<String> = (0..KEYS).map(key).collect();
    keys[5] = String::new();
    let answer = score(&server, keys.clone(), KEYS).await;
    let split_by = answer.row_models.unwrap();
    let versions: Vec<&str> = split_by
        .models
        .iter()
        .map(|m| m.fingerprint.as_str())
        .collect();
    assert_eq!(versions, [fingerprint(1), fingerprint(2)]);
    assert_eq!(answer.model, split_by.models[0]);
    for (row, own) in keys.iter().enumerate() {
        let who = usize::from(!own.is_empty() && second("", own, [3, 1]));
        assert_eq!(split_by.rows[row] as usize, who, "row {row}");
        for (column, (_, values)) in answer.outputs.iter().zip(&want[who]) {
            assert_eq!(
                column.values[row].to_bits(),
                values[row],
                "{} {row}",
                column.name
            );
        }
    }
    let share = split_by.rows.iter().filter(|row| **row == 1).count();
    assert!((400..600).contains(&share), "{share} of {KEYS}");
    // A single row is whole, and whoever it is says so.
    let other = (0..KEYS)
        .map(key)
        .find(|key| second("", key, [3, 1]))
        .unwrap();
    let answer = score(&server, vec![other], 1).await;
    assert_eq!(answer.model.fingerprint, fingerprint(2));
    assert_eq!(answer.row_models, None);
    // Rows without a key are the champion's, and so is who asks for it by name.
    let answer = score(&server, Vec::new(), 3).await;
    assert_eq!(
        (answer.model.fingerprint, answer.row_models),
        (fingerprint(1), None)
    );
}

#[tokio::test]
async fn a_share_that_grows_gives_no_customer_away_and_outlives_a_restart() {
    let folder = shelf();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let keys: Vec<String> = (0..KEYS).map(key).collect();
    let mut before: Vec<u32> = vec![0; KEYS];
    for weight in [1, 5, 20, 50] {
        split(&server, &[("1", 100 - weight), ("2", weight)], "autumn")
            .await
            .unwrap();
        let now = score(&server, keys.clone(), KEYS)
            .await
            .row_models
            .unwrap()
            .rows;
        assert!(
            before.iter().zip(&now).all(|(before, now)| before <= now),
            "{weight}"
        );
        before = now;
    }
    let by_rule = keys
        .iter()
        .map(|key| u32::from(second("autumn", key, [50, 50])));
    assert_eq!(before, by_rule.collect::<Vec<_>>());
    server.stop().await.unwrap().unwrap();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let again = score(&server, keys.clone(), KEYS)
        .await
        .row_models
        .unwrap()
        .rows;
    assert_eq!(again, before);
    split(&server, &[], "").await.unwrap();
    assert_eq!(score(&server, keys, KEYS).await.row_models, None);
}

#[tokio::test]
async fn a_split_goes_only_to_loaded_versions_of_one_kind() {
    let folder = shelf();
    let spend = [("p", 6.0), ("q", 4.0), ("v", 15.0)].map(|(name, v)| (name.to_owned(), v));
    let file = folder.path().join("other.tmp");
    save(
        &cvm::from_params("clv.gamma_gamma", &spend, None).unwrap(),
        &file,
    );
    cvm::repository::publish(&file, &folder.path().join("retail"), Some("spend")).unwrap();
    let server = TestServer::start(folder.path(), |_| ()).await;
    for (shares, code, why) in [
        (
            &[("1", 1), ("9", 1)][..],
            Code::FailedPrecondition,
            "not loaded",
        ),
        (
            &[("1", 1), ("@x", 1)],
            Code::FailedPrecondition,
            "not loaded",
        ),
        (
            &[("1", 1), ("spend", 1)],
            Code::FailedPrecondition,
            "outputs are others",
        ),
        (&[("1", 0)], Code::InvalidArgument, "weight"),
        (&[("1", 2_000_000)], Code::InvalidArgument, "weight"),
    ] {
        let error = split(&server, shares, "").await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.message().contains(why), "{error}");
    }
    let now = split(&server, &[("1", 1), ("2", 1)], "").await.unwrap();
    assert_eq!(now.shares.len(), 2);
    let unload = admin::UnloadVersionRequest {
        name: "models/retail/versions/2".to_owned(),
    };
    let error = server
        .admin()
        .await
        .unload_version(unload)
        .await
        .unwrap_err();
    assert!(error.message().contains("the split"), "{error}");
}

async fn shadow(server: &TestServer, versions: &[&str]) {
    let request = admin::SetShadowsRequest {
        model: "retail".to_owned(),
        versions: versions.iter().map(|v| (*v).to_owned()).collect(),
    };
    server.admin().await.set_shadows(request).await.unwrap();
}

async fn compared(server: &TestServer) -> admin::ShadowComparison {
    let request = admin::CompareShadowsRequest {
        model: "retail".to_owned(),
    };
    let answer = server.admin().await.compare_shadows(request).await.unwrap();
    answer.into_inner().shadows.remove(0)
}

async fn until_scored(server: &TestServer, rows: i64) -> admin::ShadowComparison {
    for _ in 0..400 {
        let now = compared(server).await;
        if now.row_count + now.failed_row_count + now.shed_row_count >= rows {
            return now;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("waited in vain: {:?}", compared(server).await);
}

#[tokio::test]
async fn a_shadow_is_compared_and_never_answers() {
    let folder = shelf();
    let server = TestServer::start_with_http(folder.path(), |_| ()).await;
    shadow(&server, &["2"]).await;
    let (rows, times) = (600, 3);
    for _ in 0..times {
        let answer = score(&server, Vec::new(), rows).await;
        assert_eq!(answer.model.fingerprint, fingerprint(1));
        let want = expected(&bg_nbd(1.0), &customers(rows));
        let got: Vec<_> = answer.outputs.iter().map(|c| bits(&c.values)).collect();
        assert_eq!(
            got,
            want.into_iter().map(|(_, own)| own).collect::<Vec<_>>()
        );
    }
    let now = until_scored(&server, (rows * times) as i64).await;
    assert_eq!((now.shed_row_count, now.failed_row_count), (0, 0));
    assert_eq!(now.base.unwrap().fingerprint, fingerprint(1));
    assert_eq!(now.candidate.unwrap().fingerprint, fingerprint(2));
    // The same numbers as of the two models' scores here.
    let frame = customers(rows);
    let scores = [1.0, 2.0].map(|scale| {
        let options = crate::support::horizon(39.0);
        bg_nbd(scale)
            .score(&frame.batch().unwrap(), &options)
            .unwrap()
    });
    assert_eq!(now.outputs.len(), scores[0].outputs.len());
    for (index, output) in now.outputs.iter().enumerate() {
        let [base, candidate] = [0, 1].map(|of: usize| scores[of].outputs[index].1.repeat(times));
        let want = cvm::compare::compare(&base, &candidate);
        assert_eq!(output.row_count, (rows * times) as i64);
        assert_eq!(output.delta_mean.to_bits(), want.delta_mean.to_bits());
        assert_eq!(output.psi.to_bits(), want.psi.to_bits());
        assert_eq!(
            output.rank_correlation.to_bits(),
            want.rank_correlation.to_bits()
        );
        assert_eq!(output.migration.iter().sum::<i64>(), output.row_count);
        assert!(output.delta_abs_max > 0.0, "{}", output.output);
    }
    let metrics = crate::http::get(&server, "/metrics").await;
    let line = r#"cvm_shadow_rows_total{model="retail",version="2",result="scored"} 1800"#;
    assert!(metrics.contains(line), "{metrics}");
    assert!(
        metrics.contains("cvm_shadow_rank_correlation{"),
        "{metrics}"
    );
    let state = crate::http::get(&server, "/status.json").await;
    assert!(state.contains(r#""shadow":"2""#), "{state}");
    // Another champion is another comparison.
    shadow(&server, &[]).await;
    shadow(&server, &["2"]).await;
    assert_eq!(compared(&server).await.row_count, 0);
}

#[tokio::test]
async fn a_shadow_that_cannot_score_fails_nobody() {
    let folder = shelf();
    let spend = [("p", 6.0), ("q", 4.0), ("v", 15.0)].map(|(name, v)| (name.to_owned(), v));
    let file = folder.path().join("new.tmp");
    save(
        &cvm::from_params("clv.gamma_gamma", &spend, None).unwrap(),
        &file,
    );
    cvm::repository::publish(&file, &folder.path().join("retail"), Some("spend")).unwrap();
    let server = TestServer::start(folder.path(), |_| ()).await;
    shadow(&server, &["spend"]).await;
    let answer = score(&server, Vec::new(), 50).await;
    assert_eq!(answer.model.fingerprint, fingerprint(1));
    let now = until_scored(&server, 50).await;
    assert_eq!((now.row_count, now.failed_row_count), (0, 50));
}

#[tokio::test]
async fn two_versions_are_compared_on_given_rows_before_one_takes_over() {
    let folder = shelf();
    version(folder.path(), 3);
    let server = TestServer::start(folder.path(), |_| ()).await;
    let ask = |base: &str, candidate: &str| {
        let ask = request(customers(10_000), Encoding::Doubles);
        admin::DiffModelVersionsRequest {
            base: base.to_owned(),
            candidate: candidate.to_owned(),
            frame: ask.frame,
            options: ask.options,
        }
    };
    let mut client = server.admin().await.max_encoding_message_size(64 << 20);
    let answer = client
        .diff_model_versions(ask("retail", "retail/versions/3"))
        .await;
    let found = answer.unwrap().into_inner();
    assert_eq!(found.candidate.unwrap().fingerprint, fingerprint(3));
    assert_eq!(found.status_change_count, 0);
    let names: Vec<&str> = found.outputs.iter().map(|o| o.output.as_str()).collect();
    let want = expected(&bg_nbd(1.0), &customers(1));
    assert_eq!(names, want.iter().map(|(name, _)| name).collect::<Vec<_>>());
    for output in &found.outputs {
        assert_eq!(output.row_count, 10_000);
        assert!(
            output.delta_abs_mean > 0.0 && output.rank_correlation > 0.5,
            "{output:?}"
        );
    }
    let answer = client
        .diff_model_versions(ask("retail@champion", "retail"))
        .await;
    for output in answer.unwrap().into_inner().outputs {
        assert_eq!((output.delta_abs_max, output.psi), (0.0, 0.0));
    }
    let error = client
        .diff_model_versions(ask("retail", "retail/versions/9"))
        .await;
    assert_eq!(error.unwrap_err().code(), Code::NotFound);
    let wrong = client
        .diff_model_versions(ask("retail", "A b"))
        .await
        .unwrap_err();
    assert!(wrong.message().starts_with("candidate:"), "{wrong}");
}
