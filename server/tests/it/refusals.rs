//! Every wrong request is refused with its code, its reason and the path of the field.

use crate::support::{TestServer, bg_nbd, customers, folder, request, save};
use cvm::Frame;
use cvm_proto::v1 as pb;
use cvm_proto::{Encoding, Refusal};
use prost::Message;
use std::time::Duration;
use tonic::{Code, Request, Status};

fn fine() -> pb::ScoreRequest {
    request(customers(3), Encoding::Doubles)
}

fn change(edit: impl FnOnce(&mut pb::ScoreRequest)) -> pb::ScoreRequest {
    let mut request = fine();
    edit(&mut request);
    request
}

fn with_column(values: pb::column::Values) -> pb::ScoreRequest {
    change(|request| {
        request.frame.as_mut().unwrap().columns.push(pb::Column {
            name: "extra".to_owned(),
            values: Some(values),
        });
    })
}

fn text(dictionary: &[&str], codes: &[i32]) -> pb::column::Values {
    pb::column::Values::Strings(pb::StringValues {
        dictionary: dictionary.iter().map(|&text| text.to_owned()).collect(),
        codes: codes.to_vec(),
    })
}

/// Requests that are wrong in one field, and that field.
fn wrong_fields() -> Vec<(pb::ScoreRequest, &'static str)> {
    let doubles = |values: &[f64]| {
        pb::column::Values::Doubles(pb::DoubleValues {
            values: values.to_vec(),
        })
    };
    let options =
        |edit: fn(&mut pb::ScoreOptions)| change(|request| edit(request.options.as_mut().unwrap()));
    let mut missing = fine();
    missing.frame.as_mut().unwrap().columns.remove(2);
    let mut typed = fine();
    typed.frame.as_mut().unwrap().columns[2].values = Some(text(&["x"], &[0, 0, 0]));
    let too_many = request(customers(5_001), Encoding::Doubles);
    vec![
        (change(|r| r.frame = None), "frame"),
        (
            change(|r| r.frame.as_mut().unwrap().row_count = -1),
            "frame.row_count",
        ),
        (
            change(|r| r.frame.as_mut().unwrap().row_count = i32::MAX),
            "frame.row_count",
        ),
        (too_many, "frame.row_count"),
        (with_column(doubles(&[1.0])), "frame.columns[3].doubles"),
        (
            with_column(pb::column::Values::DoublesLe(vec![7; 23].into())),
            "frame.columns[3].doubles_le",
        ),
        (
            with_column(text(&["x"], &[0, 0])),
            "frame.columns[3].strings.codes",
        ),
        (
            with_column(text(&["x"], &[0, -1, 1])),
            "frame.columns[3].strings.codes[2]",
        ),
        (missing, "frame.columns.T"),
        (typed, "frame.columns.T"),
        (change(|r| r.row_keys = vec!["a".to_owned()]), "row_keys"),
        (change(|r| r.request_id = "x".repeat(129)), "request_id"),
        (change(|r| r.output_encoding = 42), "output_encoding"),
        (change(|r| r.model = "Not A Model".to_owned()), "model"),
        (
            options(|o| o.horizon_periods = Some(0.0)),
            "options.horizon_periods",
        ),
        (
            options(|o| o.horizon_periods = Some(f64::NAN)),
            "options.horizon_periods",
        ),
        (
            options(|o| o.discount_rate_per_year = Some(-0.1)),
            "options.discount_rate_per_year",
        ),
        (
            options(|o| o.margin = Some(f64::INFINITY)),
            "options.margin",
        ),
        (
            options(|o| o.outputs = vec!["fame".to_owned()]),
            "options.outputs[0]",
        ),
        (
            options(|o| o.outputs = vec![String::new(); 257]),
            "options.outputs",
        ),
    ]
}

async fn refused(server: &TestServer, request: pb::ScoreRequest) -> Status {
    server.client().await.score(request).await.unwrap_err()
}

#[tokio::test]
async fn wrong_fields_are_named() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |settings| settings.max_rows = 5_000).await;
    for (request, field) in wrong_fields() {
        let refusal = Refusal::from(&refused(&server, request).await);
        assert_eq!(refusal.code, Code::InvalidArgument, "{field}: {refusal}");
        assert_eq!(refusal.reason, "INVALID_FIELD", "{field}");
        let fields: Vec<&str> = refusal
            .violations
            .iter()
            .map(|v| v.field.as_str())
            .collect();
        assert_eq!(fields, [field], "{refusal}");
        assert!(refusal.message.contains(field), "{refusal}");
    }
    server.client().await.score(fine()).await.unwrap();
}

#[tokio::test]
async fn models_that_are_not_there_are_not_found() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    for model in ["absent", "models/absent", "models/retail/versions/8"] {
        let status = refused(&server, change(|r| r.model = model.to_owned())).await;
        assert_eq!(status.code(), Code::NotFound, "{model}");
        assert_eq!(Refusal::from(&status).reason, "MODEL_NOT_FOUND");
        assert!(status.message().contains("retail"), "{status}");
    }
    let short = bg_nbd(1.0).fingerprint().short();
    for model in [
        "retail",
        "models/retail",
        "",
        &format!("models/retail/versions/{short}"),
    ] {
        let request = change(|r| r.model = model.to_owned());
        server.client().await.score(request).await.unwrap();
    }
}

#[tokio::test]
async fn an_empty_model_needs_exactly_one_model() {
    let folder = tempfile::TempDir::new().unwrap();
    let server = TestServer::start(folder.path(), |_| ()).await;
    assert_eq!(refused(&server, fine()).await.code(), Code::NotFound);
    let folder = crate::support::folder();
    save(&bg_nbd(2.0), &folder.path().join("other.cvm"));
    let server = TestServer::start(folder.path(), |_| ()).await;
    let refusal = Refusal::from(&refused(&server, fine()).await);
    assert_eq!(refusal.code, Code::InvalidArgument);
    assert_eq!(refusal.violations[0].field, "model");
    assert!(refusal.message.contains("other, retail"), "{refusal}");
}

/// Sends raw bytes as the message of a call.
async fn send_bytes(server: &TestServer, bytes: Vec<u8>) -> Status {
    #[derive(Clone, Default)]
    struct Raw;
    impl tonic::codec::Codec for Raw {
        type Encode = Vec<u8>;
        type Decode = pb::ScoreResponse;
        type Encoder = Raw;
        type Decoder = tonic_prost::ProstDecoder<pb::ScoreResponse>;
        fn encoder(&mut self) -> Raw {
            Raw
        }
        fn decoder(&mut self) -> Self::Decoder {
            tonic_prost::ProstCodec::<pb::ScoreRequest, _>::default().decoder()
        }
    }
    impl tonic::codec::Encoder for Raw {
        type Item = Vec<u8>;
        type Error = Status;
        fn encode(
            &mut self,
            bytes: Vec<u8>,
            buffer: &mut tonic::codec::EncodeBuf<'_>,
        ) -> Result<(), Status> {
            prost::bytes::BufMut::put_slice(buffer, &bytes);
            Ok(())
        }
    }
    let mut grpc = tonic::client::Grpc::new(server.channel().await);
    grpc.ready().await.unwrap();
    let path = http::uri::PathAndQuery::from_static("/cvm.v1.ScoringService/Score");
    let answer = grpc.unary(Request::new(bytes), path, Raw).await;
    answer.unwrap_err()
}

#[tokio::test]
async fn bytes_that_are_no_message_are_the_callers_fault() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let fine = fine().encode_to_vec();
    // A length beyond the end, an impossible wire type, and a message cut at every eighth byte.
    let mut wrong = vec![
        vec![0x12, 0xff, 0xff, 0xff, 0xff, 0x7f],
        vec![0x17],
        vec![0xff; 64],
    ];
    wrong.extend((1..fine.len()).step_by(8).map(|end| fine[..end].to_vec()));
    for bytes in wrong {
        let status = send_bytes(&server, bytes).await;
        assert_eq!(status.code(), Code::InvalidArgument, "{status}");
        let reason = Refusal::from(&status).reason;
        assert!(
            ["MALFORMED_MESSAGE", "INVALID_FIELD"].contains(&reason.as_str()),
            "{reason}"
        );
    }
}

#[tokio::test]
async fn a_message_beyond_the_limit_is_refused_with_the_limit() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |settings| settings.max_message_mib = 1).await;
    let status = refused(&server, request(customers(60_000), Encoding::Doubles)).await;
    assert_eq!(status.code(), Code::OutOfRange);
    assert!(status.message().contains("1048576"), "{status}");
    // As many rows as fit are fine.
    let request = request(customers(40_000), Encoding::DoublesLe);
    server.client().await.score(request).await.unwrap();
}

/// Calls `Score` with a body that never ends, below any client that keeps deadlines itself.
async fn endless_call(server: &TestServer, timeout: &str) -> http::HeaderMap {
    let socket = tokio::net::TcpStream::connect(server.address)
        .await
        .unwrap();
    let executor = hyper_util::rt::TokioExecutor::new();
    let io = hyper_util::rt::TokioIo::new(socket);
    let (mut sender, connection) = hyper::client::conn::http2::handshake(executor, io)
        .await
        .unwrap();
    tokio::spawn(connection);
    let frames = tokio_stream::pending::<Result<hyper::body::Frame<prost::bytes::Bytes>, Status>>();
    let request = http::Request::post("http://test/cvm.v1.ScoringService/Score")
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("grpc-timeout", timeout)
        .body(http_body_util::StreamBody::new(frames))
        .unwrap();
    sender
        .send_request(request)
        .await
        .unwrap()
        .headers()
        .clone()
}

#[tokio::test]
async fn a_deadline_that_passes_is_deadline_exceeded() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    for timeout in ["1n", "50m"] {
        let headers = endless_call(&server, timeout).await;
        let status = Status::from_header_map(&headers).unwrap();
        assert_eq!(status.code(), Code::DeadlineExceeded, "{status}");
        assert_eq!(Refusal::from(&status).reason, "DEADLINE_EXCEEDED");
    }
    let mut request = Request::new(fine());
    request.set_timeout(Duration::from_secs(30));
    server.client().await.score(request).await.unwrap();
}

#[tokio::test]
async fn the_deadline_of_a_stream_ends_it() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let (sender, receiver) = tokio::sync::mpsc::channel(4);
    let stream = tokio_stream::wrappers::ReceiverStream::new(receiver);
    let mut request = Request::new(stream);
    request
        .metadata_mut()
        .insert("grpc-timeout", "2S".parse().unwrap());
    let first = pb::StreamScoreRequest {
        sequence: 1,
        request: Some(fine()),
    };
    sender.send(first).await.unwrap();
    let mut client = server.client().await;
    let mut answers = client.stream_score(request).await.unwrap().into_inner();
    assert_eq!(answers.message().await.unwrap().unwrap().sequence, 1);
    let end = tokio::time::timeout(Duration::from_secs(10), answers.message()).await;
    assert_eq!(end.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
}

#[tokio::test]
async fn unknown_methods_and_services_are_unimplemented() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    for path in ["/cvm.v1.ScoringService/Guess", "/cvm.v9.Nothing/At", "/"] {
        let mut grpc = tonic::client::Grpc::new(server.channel().await);
        grpc.ready().await.unwrap();
        let codec = tonic_prost::ProstCodec::<pb::ScoreRequest, pb::ScoreResponse>::default();
        let answer = grpc
            .unary(Request::new(fine()), path.parse().unwrap(), codec)
            .await;
        assert_eq!(answer.unwrap_err().code(), Code::Unimplemented, "{path}");
    }
}

#[tokio::test]
async fn an_empty_frame_of_columns_without_rows_is_an_empty_answer() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let refusal = Refusal::from(&refused(&server, request(Frame::new(2), Encoding::Doubles)).await);
    assert_eq!(refusal.violations.len(), 3, "{refusal}");
    let answer = server
        .client()
        .await
        .score(request(customers(0), Encoding::Doubles))
        .await;
    assert_eq!(answer.unwrap().into_inner().row_count, 0);
}
