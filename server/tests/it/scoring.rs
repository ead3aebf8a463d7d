//! Scores over the wire are the engine's in every bit, in every form; models describe themselves.

use crate::support::{
    TestServer, bg_nbd, bits, customers, expected, folder, numbers, request, save,
};
use cvm::{Frame, RowCode};
use cvm_proto::v1 as pb;
use cvm_proto::v1::model_service_client::ModelServiceClient;
use cvm_proto::{Encoding, ModelCard, ScoreAnswer, StreamAnswer};
use tokio_stream::StreamExt;

fn answer_bits(answer: ScoreAnswer) -> Vec<(String, Vec<u64>)> {
    let columns = answer.outputs.into_iter();
    columns
        .map(|column| (column.name, bits(&column.values)))
        .collect()
}

async fn score(server: &TestServer, request: pb::ScoreRequest) -> ScoreAnswer {
    let response = server.client().await.score(request).await.unwrap();
    ScoreAnswer::try_from(response.into_inner()).unwrap()
}

#[tokio::test]
async fn unary_scores_are_the_engines_in_both_forms_and_at_every_size() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    // One row, the largest inline batch and the first beyond it, and the cap.
    for rows in [0, 1, 512, 513, 100_000] {
        let frame = customers(rows);
        let want = expected(&bg_nbd(1.0), &frame);
        for encoding in [Encoding::Doubles, Encoding::DoublesLe] {
            let answer = score(&server, request(frame.clone(), encoding)).await;
            assert_eq!(answer.row_count, rows);
            assert_eq!(answer.request_id, "test");
            assert!(answer.statuses.is_empty() && answer.issues.is_empty());
            assert_eq!(
                answer.model.fingerprint,
                bg_nbd(1.0).fingerprint().to_string()
            );
            assert_eq!(answer.model.kind, "clv.bg_nbd");
            assert!(answer.outputs.iter().all(|column| !column.unit.is_empty()));
            assert!(answer_bits(answer) == want, "{rows} rows, {encoding:?}");
        }
    }
}

#[tokio::test]
async fn the_bulk_form_of_a_request_gives_the_same_scores() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let frame = customers(700);
    let names: Vec<&str> = frame
        .columns
        .iter()
        .map(|(name, _)| name.as_str())
        .collect();
    let mut bulk = request(Frame::new(0), Encoding::Doubles);
    bulk.frame = Some(cvm_proto::bulk_frame(
        &frame.batch().unwrap(),
        0..700,
        &names,
    ));
    let answer = score(&server, bulk).await;
    assert!(answer_bits(answer) == expected(&bg_nbd(1.0), &frame));
}

#[tokio::test]
async fn a_stream_answers_in_order_and_survives_bad_requests() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    // Large and small ones in turn: the small ones are done first and must wait.
    let sizes: Vec<usize> = (0..60)
        .map(|i| if i % 3 == 0 { 2_000 } else { i })
        .collect();
    let messages: Vec<pb::StreamScoreRequest> = sizes
        .iter()
        .enumerate()
        .map(|(index, rows)| {
            let mut request = request(customers(*rows), Encoding::DoublesLe);
            if index % 10 == 7 {
                request.model = "absent".to_owned();
            }
            pb::StreamScoreRequest {
                sequence: 1_000 + index as i64,
                request: (index != 13).then_some(request),
            }
        })
        .collect();
    let mut client = server.client().await;
    let response = client
        .stream_score(tokio_stream::iter(messages))
        .await
        .unwrap();
    let mut answers = response.into_inner();
    let model = bg_nbd(1.0);
    let mut count = 0;
    while let Some(message) = answers.next().await {
        let answer = StreamAnswer::try_from(message.unwrap()).unwrap();
        assert_eq!(answer.sequence, 1_000 + count as i64);
        match answer.result {
            Ok(answer) => {
                assert!(answer_bits(answer) == expected(&model, &customers(sizes[count])));
            }
            Err(error) if count == 13 => assert_eq!(error.violations[0].field, "request"),
            Err(error) => {
                assert_eq!(count % 10, 7, "{error}");
                assert_eq!(error.reason, "MODEL_NOT_FOUND");
            }
        }
        count += 1;
    }
    assert_eq!(count, 60);
}

#[tokio::test]
async fn bad_rows_carry_their_status_and_the_others_their_score() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let mut frame = customers(300);
    numbers(&mut frame, "T")[1] = f64::NAN;
    numbers(&mut frame, "frequency")[2] = 2.5;
    numbers(&mut frame, "recency")[3] = 1e9;
    numbers(&mut frame, "T")[4] = f64::INFINITY;
    numbers(&mut frame, "T")[150..].fill(-1.0);
    let want = bg_nbd(1.0)
        .score(&frame.batch().unwrap(), &crate::support::horizon(39.0))
        .unwrap();
    let answer = score(&server, request(frame, Encoding::Doubles)).await;
    let codes: Vec<RowCode> = want.status.iter().map(|status| status.code).collect();
    assert_eq!(answer.statuses, codes);
    assert_eq!(answer.statuses[0], RowCode::Ok);
    assert_eq!(answer.statuses[1], RowCode::Missing);
    assert_eq!(answer.statuses[2], RowCode::OutOfRange);
    assert_eq!(answer.statuses[4], RowCode::NotFinite);
    assert_eq!(answer.issues, want.issues);
    assert_eq!(answer.issues.len(), 100);
    assert_eq!(answer.issues[0].field, "T");
    for (column, (_, values)) in answer.outputs.iter().zip(&want.outputs) {
        assert_eq!(bits(&column.values), bits(values));
        assert!(column.values[1].is_nan() && column.values[0].is_finite());
    }
}

#[tokio::test]
async fn row_keys_and_chosen_outputs_come_back() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let mut asked = request(customers(2), Encoding::Doubles);
    asked.row_keys = vec!["anna".to_owned(), "ben".to_owned()];
    asked.options.as_mut().unwrap().outputs = vec!["p_alive".to_owned()];
    let answer = score(&server, asked).await;
    assert_eq!(answer.row_keys, ["anna", "ben"]);
    let names: Vec<&str> = answer.outputs.iter().map(|o| o.name.as_str()).collect();
    assert_eq!(names, ["p_alive"]);
}

#[tokio::test]
async fn models_are_listed_page_by_page_and_described() {
    let folder = folder();
    for (name, scale) in [("a-1", 2.0), ("b_2", 3.0)] {
        save(&bg_nbd(scale), &folder.path().join(format!("{name}.cvm")));
    }
    let mut facts = serde_json::Map::new();
    facts.insert("version".to_owned(), "2026.11".into());
    let named = bg_nbd(4.0).with_metadata(facts).unwrap();
    save(&named, &folder.path().join("c.cvm"));
    let server = TestServer::start(folder.path(), |_| ()).await;
    let mut client = ModelServiceClient::new(server.channel().await);
    let (mut names, mut token) = (Vec::new(), String::new());
    loop {
        let ask = pb::ListModelsRequest {
            page_size: 3,
            page_token: token,
        };
        let page = client.list_models(ask).await.unwrap().into_inner();
        names.extend(page.models.into_iter().map(|model| model.name));
        token = page.next_page_token;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(
        names,
        ["models/a-1", "models/b_2", "models/c", "models/retail"]
    );

    let mut get = async |model: &str| {
        let ask = pb::GetModelRequest {
            model: model.to_owned(),
        };
        let response = client.get_model(ask).await.unwrap().into_inner();
        ModelCard::try_from(response.model.unwrap()).unwrap()
    };
    let card = get("models/c/versions/2026.11").await;
    assert_eq!(card.fingerprint, named.fingerprint().to_string());
    assert_eq!(&card.schema, named.schema());
    assert_eq!(card.metadata_json, r#"{"version":"2026.11"}"#);
    let alpha = card
        .params
        .iter()
        .find(|param| param.name == "alpha")
        .unwrap();
    assert_eq!(alpha.value.to_bits(), 4.4136_f64.to_bits());
    assert_eq!(card.outputs.len(), named.outputs().len());
    let card = get("retail").await;
    assert_eq!(card.version, bg_nbd(1.0).fingerprint().short());
}
