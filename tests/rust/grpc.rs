//! The golden corpus over gRPC: a server in this process, every case, both encodings, unary and
//! streamed: the pinned bits.

use cvm_proto::v1::scoring_service_client::ScoringServiceClient;
use cvm_proto::v1::stream_score_response::Result as StreamResult;
use cvm_proto::v1::{ScoreRequest, ScoreResponse, StreamScoreRequest};
use cvm_proto::{Encoding, ScoreAnswer, ScoreJob};
use cvm_server::{Settings, run};
use cvm_testkit::golden::Case;
use cvm_testkit::{Corpus, Pinned};
use std::path::Path;
use tokio::net::TcpListener;
use tonic::transport::{Channel, Endpoint};

/// Name of a model of the corpus on the server.
fn served_name(kind: &str, model: &str) -> String {
    format!("{}-{model}", kind.replace('.', "-"))
}

fn publish(folder: &Path, corpora: &[Corpus]) {
    for corpus in corpora {
        for spec in &corpus.models {
            let name = format!("{}.cvm", served_name(&corpus.kind, &spec.name));
            let from = corpus.model_path(&spec.name);
            std::fs::copy(from, folder.join(name)).expect("a copy of the model");
        }
    }
}

async fn serve(folder: &Path) -> ScoringServiceClient<Channel> {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("the port");
    let settings = Settings::for_folder(folder);
    tokio::spawn(run(listener, settings, std::future::pending()));
    let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
    ScoringServiceClient::new(endpoint.connect().await.expect("a connection"))
}

fn request(kind: &str, case: &Case, encoding: Encoding) -> ScoreRequest {
    let model = served_name(kind, &case.model);
    let job = ScoreJob {
        model: model.parse().expect("the name of a model"),
        frame: case.frame(),
        options: case.options.clone(),
        encoding,
        row_keys: Vec::new(),
        request_id: String::new(),
    };
    job.into()
}

/// Compares an answer with the pinned bits and the model it came from.
fn check(kind: &str, case: &Case, pinned: &Pinned, response: ScoreResponse) {
    let answer = ScoreAnswer::try_from(response).expect("an answer of the right shape");
    let mut status: Vec<String> = answer
        .statuses
        .iter()
        .map(|code| code.name().to_owned())
        .collect();
    if status.is_empty() {
        status = vec!["ok".to_owned(); answer.row_count];
    }
    let outputs = answer
        .outputs
        .into_iter()
        .map(|column| (column.name, column.values));
    let outputs: Vec<(String, Vec<f64>)> = outputs.collect();
    let found = pinned.cases[&case.name].differences(&status, &outputs);
    assert!(
        found.is_empty(),
        "{kind}: {}:\n{}",
        case.name,
        found.join("\n")
    );
    let fingerprint = &pinned.models[&case.model];
    assert_eq!(
        &answer.model.fingerprint, fingerprint,
        "{kind}: {}",
        case.name
    );
}

#[tokio::test]
async fn the_server_gives_the_pinned_bits() {
    let corpora = Corpus::all();
    let folder = tempfile::tempdir().expect("a folder of models");
    publish(folder.path(), &corpora);
    let mut client = serve(folder.path()).await;
    let mut compared = 0;
    for corpus in &corpora {
        let pinned = Pinned::load(&corpus.kind);
        for case in &corpus.cases {
            for encoding in [Encoding::Doubles, Encoding::DoublesLe] {
                let answer = client.score(request(&corpus.kind, case, encoding)).await;
                let response = answer.unwrap_or_else(|status| panic!("{}: {status}", case.name));
                check(&corpus.kind, case, &pinned, response.into_inner());
                compared += 1;
            }
        }
    }
    assert!(compared >= 40, "only {compared} answers compared");
}

#[tokio::test]
async fn the_stream_gives_the_pinned_bits_in_order() {
    let corpora = Corpus::all();
    let folder = tempfile::tempdir().expect("a folder of models");
    publish(folder.path(), &corpora);
    let mut client = serve(folder.path()).await;
    let cases: Vec<(&Corpus, &Case)> = corpora
        .iter()
        .flat_map(|corpus| corpus.cases.iter().map(move |case| (corpus, case)))
        .collect();
    let requests: Vec<StreamScoreRequest> = (0_i64..)
        .zip(&cases)
        .map(|(sequence, (corpus, case))| StreamScoreRequest {
            sequence,
            request: Some(request(&corpus.kind, case, Encoding::Doubles)),
        })
        .collect();
    let answers = client.stream_score(tokio_stream::iter(requests)).await;
    let mut answers = answers.expect("a stream").into_inner();
    for (index, (corpus, case)) in cases.iter().enumerate() {
        let answer = answers
            .message()
            .await
            .expect("an open stream")
            .expect("an answer");
        assert_eq!(usize::try_from(answer.sequence), Ok(index));
        let Some(StreamResult::Response(response)) = answer.result else {
            panic!("{}: {:?}", case.name, answer.result);
        };
        check(&corpus.kind, case, &Pinned::load(&corpus.kind), response);
    }
    assert!(answers.message().await.expect("the end").is_none());
}
