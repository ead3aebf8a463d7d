//! The log of predictions: every bit of what was answered, a stable sample, and its replay.

use crate::support::{TestServer, bg_nbd, customers, folder, numbers, request};
use crate::versions::shelf;
use cvm::audit::{AuditLine, AuditReader, AuditRecord, Sample, audit_files};
use cvm_proto::Encoding;
use cvm_proto::admin::v1 as admin;
use cvm_server::AuditContent;
use std::io::BufReader;
use std::path::Path;
use tempfile::TempDir;
use tonic::Code;

async fn start(folder: &TempDir, log: &Path, sample: f64, content: AuditContent) -> TestServer {
    TestServer::start_with_http(folder.path(), |settings| {
        settings.audit_log = Some(log.to_owned());
        settings.audit_sample = sample;
        settings.audit_content = content;
    })
    .await
}

/// The records of a log, after the server has ended.
async fn records(server: TestServer, log: &Path) -> Vec<AuditRecord> {
    server.stop().await.unwrap().unwrap();
    let mut all = Vec::new();
    for file in audit_files(log).unwrap() {
        let file = BufReader::new(std::fs::File::open(file).unwrap());
        for line in AuditReader::new(file) {
            match line.unwrap() {
                AuditLine::Record(record) => all.push(*record),
                other => panic!("{other:?}"),
            }
        }
    }
    all
}

#[tokio::test]
async fn what_was_answered_is_in_the_log_and_replays_in_every_bit() {
    let (folder, log) = (folder(), TempDir::new().unwrap());
    let server = start(&folder, log.path(), 1.0, AuditContent::Inputs).await;
    let mut client = server.client().await;
    // One row that cannot be scored, and one column that the model does not read.
    let mut frame = customers(700);
    numbers(&mut frame, "T")[3] = f64::NAN;
    let frame = frame.with_numbers("secret", vec![1.0; 700]);
    for encoding in [Encoding::Doubles, Encoding::DoublesLe] {
        client
            .score(request(frame.clone(), encoding))
            .await
            .unwrap();
    }
    let body = serde_json::json!({
        "columns": { "frequency": [2], "recency": [30.43], "T": [38.86] },
        "options": { "horizon_periods": "Infinity", "outputs": ["p_alive"] },
    });
    let (status, _) = crate::http::post(&server, "/v1/models/retail:score", &body).await;
    assert_eq!(status, 200);
    // Nothing was answered: nothing is recorded.
    let mut wrong = request(customers(1), Encoding::Doubles);
    wrong.model = "nobody".to_owned();
    client.score(wrong).await.unwrap_err();
    let records = records(server, log.path()).await;
    assert_eq!(records.len(), 3);
    for record in &records {
        let replay = record.replay(&bg_nbd(1.0), None).unwrap();
        assert_eq!(replay.differing_row_count, 0, "{replay:?}");
        assert_eq!(replay.row_count, record.row_count);
        assert!(record.frame(None).unwrap().get("secret").is_none());
    }
    assert_eq!(records[0].request_id, "test");
    let statuses = records[0].expected().unwrap().statuses;
    assert_eq!(statuses[3], cvm::RowCode::Missing);
    assert!(records[2].expected().unwrap().statuses.is_empty());
}

#[tokio::test]
async fn a_sample_is_of_customers_and_always_the_same_whoever_answers_for_them() {
    let (folder, log) = (shelf(), TempDir::new().unwrap());
    let server = start(&folder, log.path(), 0.2, AuditContent::Digest).await;
    let split = admin::SetSplitRequest {
        model: "retail".to_owned(),
        shares: [("@champion", 1), ("2", 1)]
            .map(|(to, weight)| admin::Share {
                to: to.to_owned(),
                weight,
            })
            .to_vec(),
        salt: String::new(),
    };
    server.admin().await.set_split(split).await.unwrap();
    let keys: Vec<String> = (0..500).map(|row| format!("customer-{row}")).collect();
    let mut client = server.client().await;
    let mut ask = request(customers(500), Encoding::Doubles);
    (ask.model, ask.row_keys) = ("retail".to_owned(), keys.clone());
    client.score(ask).await.unwrap();
    let records = records(server, log.path()).await;
    assert_eq!(records.len(), 2, "one for each version");
    let sample = Sample::new(0.2).unwrap();
    let want: Vec<usize> = (0..500).filter(|row| sample.has(&keys[*row])).collect();
    let mut rows: Vec<usize> = records.iter().flat_map(|r| r.rows.clone()).collect();
    rows.sort_unstable();
    assert_eq!(rows, want);
    // Digests only: no key, no input; whoever has the inputs can replay.
    for record in &records {
        assert!(record.row_keys.is_empty() && !record.has_inputs());
        let scale = if record.model_version.ends_with("/1") {
            1.0
        } else {
            2.0
        };
        let mut frame = customers(500);
        for (_, column) in &mut frame.columns {
            let cvm::FrameColumn::Numbers(values) = column else {
                panic!("no numbers")
            };
            *values = record.rows.iter().map(|row| values[*row]).collect();
        }
        frame.row_count = record.rows.len();
        let replay = record.replay(&bg_nbd(scale), Some(frame)).unwrap();
        assert_eq!(replay.differing_row_count, 0);
    }
}

#[tokio::test]
async fn the_log_is_counted_and_its_lines_are_replayed_by_request() {
    let (folder, log) = (folder(), TempDir::new().unwrap());
    let server = start(&folder, log.path(), 1.0, AuditContent::Inputs).await;
    let mut client = server.client().await;
    let answer = client.score(request(customers(5), Encoding::Doubles)).await;
    let answer = answer.unwrap().into_inner();
    let file = &audit_files(log.path()).unwrap()[0];
    let mut line = String::new();
    for _ in 0..200 {
        line = std::fs::read_to_string(file).unwrap();
        if line.ends_with('\n') {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let metrics = crate::http::get(&server, "/metrics").await;
    assert!(
        metrics.contains("cvm_audit_records_total{result=\"written\"} 1\n"),
        "{metrics}"
    );
    let mut admin = server.admin().await;
    let ask = |record: &str| admin::ReplayScoreRequest {
        record: record.to_owned(),
        ..Default::default()
    };
    let replayed = admin.replay_score(ask(&line)).await.unwrap().into_inner();
    assert_eq!((replayed.row_count, replayed.differing_row_count), (5, 0));
    assert_eq!(
        (replayed.model.as_ref(), &replayed.outputs),
        (answer.model.as_ref(), &answer.outputs)
    );
    // Another bit of a score; another bit of an input; no record; a model that is not there.
    let at = line.rfind("\"numbers\":\"").unwrap() + "\"numbers\":\"".len() + 15;
    let other = if &line[at..=at] == "0" { "1" } else { "0" };
    let differing = format!("{}{other}{}", &line[..at], &line[at + 1..]);
    let told = admin
        .replay_score(ask(&differing))
        .await
        .unwrap()
        .into_inner();
    assert_eq!((told.differing_row_count, told.differences.len()), (1, 1));
    let fingerprint = bg_nbd(1.0).fingerprint().to_string();
    for (wrong, code) in [
        (
            line.replacen("\"numbers\":\"40", "\"numbers\":\"41", 1),
            Code::InvalidArgument,
        ),
        (line[..100].to_owned(), Code::InvalidArgument),
        (line.replace(&fingerprint, &"0".repeat(64)), Code::NotFound),
    ] {
        let error = admin.replay_score(ask(&wrong)).await.unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[tokio::test]
async fn a_prediction_is_replayed_from_its_parts() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let mut client = server.client().await;
    let answer = client.score(request(customers(5), Encoding::Doubles)).await;
    let answer = answer.unwrap().into_inner();
    let mut admin = server.admin().await;
    let fingerprint = bg_nbd(1.0).fingerprint().to_string();
    let job = request(customers(5), Encoding::Doubles);
    let parts = admin::ReplayScoreRequest {
        frame: job.frame,
        options: job.options,
        fingerprint,
        outputs: answer.outputs,
        ..Default::default()
    };
    let same = admin
        .replay_score(parts.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!((same.row_count, same.differing_row_count), (5, 0));
    let both = admin::ReplayScoreRequest {
        record: "{}".to_owned(),
        ..parts
    };
    let error = admin.replay_score(both).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
}
