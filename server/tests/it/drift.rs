//! Drift: what is told of the rows a version scores, beside what `Model::drift` says of the same rows.

use crate::http::get;
use crate::models::uniform;
use crate::support::{TestServer, bg_nbd, customers, request, save};
use cvm::{DriftReport, Frame, FrameColumn, Model};
use cvm_proto::Encoding;
use cvm_proto::admin::v1 as admin;
use cvm_server::Settings;
use serde_json::Value;
use std::time::Duration;
use tempfile::TempDir;

/// Customers with a plan each: of `shift` they are older, and more of them have the plan that is rare
/// in training. Of every seventh the age is missing.
fn people(count: usize, shift: f64) -> Frame {
    let mut next = uniform(11);
    let (mut ages, mut plans, mut gone) = (Vec::new(), Vec::new(), Vec::new());
    for row in 0..count {
        let age = 20.0 + 40.0 * next() + 15.0 * shift;
        ages.push(if row % 7 == 3 { f64::NAN } else { age });
        plans.push(match next() {
            share if share < 0.1 + 0.5 * shift => "gold",
            share if share < 0.6 => "silver",
            _ => "free",
        });
        gone.push(f64::from(next() < 0.2 + age / 200.0));
    }
    let mut frame = Frame::new(count).with_numbers("age", ages);
    let plans = FrameColumn::from_strings(plans.into_iter().map(Some));
    frame.columns.push(("plan".to_owned(), plans));
    frame.with_numbers("gone", gone)
}

fn churn() -> Model {
    let options = cvm::FitOptions {
        settings: serde_json::json!({ "target": "gone" })
            .as_object()
            .cloned()
            .unwrap(),
        ..Default::default()
    };
    let frame = people(2_000, 0.0);
    let fitted = cvm::fit("churn.logistic", &frame.batch().unwrap(), &options);
    fitted.unwrap().model
}

/// Every `every`-th row, from the first on.
fn picked(frame: &Frame, every: usize) -> Frame {
    let rows: Vec<usize> = (0..frame.row_count).step_by(every).collect();
    let columns = frame.columns.iter().map(|(name, column)| {
        let column = match column {
            FrameColumn::Numbers(values) => {
                FrameColumn::Numbers(rows.iter().map(|row| values[*row]).collect())
            }
            FrameColumn::Text { dictionary, codes } => FrameColumn::Text {
                dictionary: dictionary.clone(),
                codes: rows.iter().map(|row| codes[*row]).collect(),
            },
        };
        (name.clone(), column)
    });
    Frame {
        row_count: rows.len(),
        columns: columns.collect(),
    }
}

/// Asks for scores in requests of these sizes, in turn.
async fn ask(server: &TestServer, frame: &Frame, sizes: &[usize]) {
    let mut client = server.client().await;
    let (mut start, mut size) = (0, sizes.iter().cycle());
    while start < frame.row_count {
        let end = frame.row_count.min(start + size.next().unwrap());
        let columns = frame.columns.iter().map(|(name, column)| {
            let column = match column {
                FrameColumn::Numbers(values) => FrameColumn::Numbers(values[start..end].to_vec()),
                FrameColumn::Text { dictionary, codes } => FrameColumn::Text {
                    dictionary: dictionary.clone(),
                    codes: codes[start..end].to_vec(),
                },
            };
            (name.clone(), column)
        });
        let part = Frame {
            row_count: end - start,
            columns: columns.collect(),
        };
        let mut ask = request(part, Encoding::Doubles);
        ask.model = "churn".to_owned();
        ask.options = None;
        client.score(ask).await.unwrap();
        start = end;
    }
}

/// What is told of `churn` once `rows` were looked at.
async fn told(server: &TestServer, rows: u64) -> Value {
    for _ in 0..200 {
        let state: Value = serde_json::from_str(&get(server, "/status.json").await).unwrap();
        let models = state["models"].as_array().unwrap();
        let churn = models.iter().find(|model| model["model"] == "churn");
        let drift = churn.unwrap()["drift"].clone();
        if drift["rows"].as_u64().unwrap_or(0) >= rows {
            assert_eq!(drift["rows"], rows);
            return drift;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("{rows} rows were never looked at")
}

/// The numbers of the page are those of the library, in every bit.
fn same(told: &Value, want: &DriftReport) {
    let score = want.score.as_ref().unwrap();
    let inputs = told["inputs"].as_array().unwrap();
    assert_eq!(inputs.len(), want.fields.len());
    let all = inputs.iter().zip(&want.fields);
    for (told, want) in all.chain([(&told["score"], score)]) {
        assert_eq!(told["name"], want.name);
        for (name, value) in [
            ("psi", want.psi),
            ("noise", want.noise),
            ("missing_now", want.missing_now),
            ("other_now", want.other_now),
        ] {
            let own = told[name].as_f64().unwrap();
            assert_eq!(own.to_bits(), value.to_bits(), "{} {name}", want.name);
        }
    }
    assert_eq!(told["rows_of_training"], want.row_count_before);
}

fn folder_of(model: &Model) -> TempDir {
    let folder = TempDir::new().unwrap();
    save(model, &folder.path().join("churn.cvm"));
    folder
}

async fn start(folder: &TempDir, every: u32) -> TestServer {
    let change = |settings: &mut Settings| settings.drift_every = every;
    let server = TestServer::start_with_http(folder.path(), change).await;
    server.loaded().await;
    server
}

#[tokio::test]
async fn rows_as_in_training_and_others_are_told_as_the_library_tells_them() {
    let model = churn();
    let folder = folder_of(&model);
    for (shift, every, sizes) in [(0.0, 2, [1, 7, 300]), (1.0, 3, [1, 4, 900])] {
        let server = start(&folder, every).await;
        let frame = people(1_800, shift);
        ask(&server, &frame, &sizes).await;
        let every = usize::try_from(every).unwrap();
        let rows = picked(&frame, every);
        let drift = told(&server, rows.row_count as u64).await;
        let want = model.drift(&rows.batch().unwrap()).unwrap();
        same(&drift, &want);
        let level = if shift == 0.0 { "stable" } else { "alarm" };
        for input in drift["inputs"].as_array().unwrap() {
            assert_eq!(input["level"], level, "{input}");
        }
        let index = drift["score"]["psi"].as_f64().unwrap();
        assert_eq!(index > 0.1, shift > 0.0, "{index}");

        let metrics = get(&server, "/metrics").await;
        let version = model.fingerprint().short();
        let own = format!("{{model=\"churn\",version=\"{version}\"");
        let gauge = |name: &str, rest: &str| -> f64 {
            let head = format!("{name}{own}{rest}}} ");
            let value = metrics.lines().find_map(|line| line.strip_prefix(&head));
            value.expect(&head).parse().unwrap()
        };
        assert_eq!(gauge("cvm_drift_rows", "") as usize, rows.row_count);
        for field in &want.fields {
            let rest = format!(",field=\"{}\"", field.name);
            assert_eq!(gauge("cvm_input_psi", &rest), field.psi);
        }
        let score = want.score.unwrap();
        let rest = format!(",output=\"{}\"", score.name);
        assert_eq!(gauge("cvm_score_psi", &rest), score.psi);

        let asked = admin::ListVersionsRequest::default();
        let listed = server.admin().await.list_versions(asked).await.unwrap();
        let listed = listed.into_inner().models[0].versions[0].drift.clone();
        let listed = listed.unwrap();
        assert_eq!(listed.row_count, i64::try_from(rows.row_count).unwrap());
        assert_eq!(listed.inputs[0].psi, want.fields[0].psi);
        assert!(listed.note.is_empty() && listed.inputs[0].enough_rows);
    }
}

#[tokio::test]
async fn few_rows_none_and_no_profile_are_told_as_such() {
    let folder = folder_of(&churn());
    save(&bg_nbd(1.0), &folder.path().join("retail.cvm"));
    let server = start(&folder, 1).await;
    let note = async |server: &TestServer, place: usize| {
        let state: Value = serde_json::from_str(&get(server, "/status.json").await).unwrap();
        state["models"][place]["drift"]["note"].clone()
    };
    assert_eq!(note(&server, 0).await, "no rows yet");
    assert_eq!(note(&server, 1).await, "no training profile");
    let mut retail = request(customers(5), Encoding::Doubles);
    retail.model = "retail".to_owned();
    server.client().await.score(retail).await.unwrap();
    ask(&server, &people(100, 1.0), &[100]).await;
    let drift = told(&server, 100).await;
    for field in drift["inputs"].as_array().unwrap() {
        let numbers = field["name"] == "age";
        assert_eq!(field["level"] == "too few rows", numbers, "{field}");
    }
    let metrics = get(&server, "/metrics").await;
    assert!(!metrics.contains("field=\"age\""), "{metrics}");
    assert!(metrics.contains("cvm_drift_rows{model=\"churn\""));
    assert!(!metrics.contains("cvm_drift_rows{model=\"retail\""));
    server.stop().await.unwrap().unwrap();

    let server = start(&folder, 0).await;
    let why = note(&server, 0).await;
    assert!(why.as_str().unwrap().contains("--drift-every"), "{why}");
}
