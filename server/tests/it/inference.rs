//! The Open Inference Protocol: the same bits in every form, errors by field, control by leave.

use crate::support::{TestServer, bg_nbd, bits, customers, expected, folder, numbers, save};
use bytes::Bytes;
use cvm::Frame;
use cvm_proto::inference as oip;
use cvm_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use cvm_proto::inference::infer_parameter::ParameterChoice;
use cvm_proto::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use std::collections::HashMap;
use tokio_stream::StreamExt;
use tonic::Code;
use tonic::transport::Channel;

async fn client(server: &TestServer) -> GrpcInferenceServiceClient<Channel> {
    GrpcInferenceServiceClient::new(server.channel().await).max_decoding_message_size(64 << 20)
}

fn parameter(choice: ParameterChoice) -> oip::InferParameter {
    oip::InferParameter {
        parameter_choice: Some(choice),
    }
}

/// A request of typed FP64 tensors, horizon 39.
fn typed(frame: &mut Frame) -> oip::ModelInferRequest {
    let rows = frame.row_count as i64;
    let names = ["T", "recency", "frequency"];
    let inputs = names.map(|name| InferInputTensor {
        name: name.to_owned(),
        datatype: "FP64".to_owned(),
        shape: vec![rows],
        parameters: HashMap::new(),
        contents: Some(oip::InferTensorContents {
            fp64_contents: numbers(frame, name).clone(),
            ..Default::default()
        }),
    });
    let horizon = parameter(ParameterChoice::DoubleParam(39.0));
    oip::ModelInferRequest {
        model_name: "retail".to_owned(),
        id: "r1".to_owned(),
        parameters: HashMap::from([("horizon_periods".to_owned(), horizon)]),
        inputs: inputs.to_vec(),
        ..Default::default()
    }
}

/// The same request with its tensors as bytes, of shape [rows, 1].
fn raw(mut request: oip::ModelInferRequest) -> oip::ModelInferRequest {
    for input in &mut request.inputs {
        let values = input.contents.take().unwrap().fp64_contents;
        let bytes: Vec<u8> = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        request.raw_input_contents.push(Bytes::from(bytes));
        input.shape.push(1);
    }
    request
}

fn outputs(response: &oip::ModelInferResponse) -> Vec<(String, Vec<u64>)> {
    let mut raw = response.raw_output_contents.iter();
    let tensors = response.outputs.iter();
    tensors
        .map(|tensor| {
            assert_eq!(tensor.datatype, "FP64", "{}", tensor.name);
            let values = match &tensor.contents {
                Some(contents) => contents.fp64_contents.clone(),
                None => {
                    let (values, rest) = raw.next().unwrap().as_chunks::<8>();
                    assert!(rest.is_empty());
                    values.iter().map(|v| f64::from_le_bytes(*v)).collect()
                }
            };
            (tensor.name.clone(), bits(&values))
        })
        .collect()
}

#[tokio::test]
async fn typed_and_raw_tensors_give_the_engines_bits() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let mut client = client(&server).await;
    for rows in [1, 512, 513, 5_000] {
        let mut frame = customers(rows);
        let want = expected(&bg_nbd(1.0), &frame);
        let request = typed(&mut frame);
        let answer = client
            .model_infer(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert_eq!(outputs(&answer), want);
        assert_eq!(
            (answer.id.as_str(), answer.model_name.as_str()),
            ("r1", "retail")
        );
        assert!(answer.raw_output_contents.is_empty());
        assert_eq!(answer.outputs[0].shape, [rows as i64]);
        let fingerprint = bg_nbd(1.0).fingerprint().to_string();
        let choice = ParameterChoice::StringParam(fingerprint);
        assert_eq!(answer.parameters["fingerprint"], parameter(choice));

        let answer = client.model_infer(raw(request)).await.unwrap().into_inner();
        assert_eq!(outputs(&answer), want);
        assert_eq!(answer.outputs[0].shape, [rows as i64, 1]);
        assert_eq!(answer.raw_output_contents.len(), want.len());
    }
}

#[tokio::test]
async fn numbers_of_other_types_are_the_same_numbers() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let mut client = client(&server).await;
    let mut frame = customers(9);
    let want = expected(&bg_nbd(1.0), &frame);
    let whole: Vec<i64> = numbers(&mut frame, "frequency")
        .iter()
        .map(|v| *v as i64)
        .collect();
    let bytes = |width: usize| -> Bytes {
        let all = whole.iter();
        all.flat_map(|v| v.to_le_bytes()[..width].to_vec())
            .collect()
    };
    for (datatype, width) in [
        ("INT64", 8),
        ("INT32", 4),
        ("UINT16", 2),
        ("INT8", 1),
        ("UINT64", 8),
    ] {
        let mut request = raw(typed(&mut frame));
        request.inputs[2].datatype = datatype.to_owned();
        request.raw_input_contents[2] = bytes(width);
        let answer = client.model_infer(request).await.unwrap().into_inner();
        assert_eq!(outputs(&answer), want, "{datatype}");
    }
    let mut request = typed(&mut frame);
    request.inputs[2].datatype = "INT64".to_owned();
    let contents = oip::InferTensorContents {
        int64_contents: whole.clone(),
        ..Default::default()
    };
    request.inputs[2].contents = Some(contents.clone());
    let answer = client
        .model_infer(request.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(outputs(&answer), want);
    // 2^53 + 1 is no double: refused, not rounded.
    let mut contents = contents;
    contents.int64_contents[4] = (1 << 53) + 1;
    request.inputs[2].contents = Some(contents);
    let error = client.model_infer(request).await.unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument);
    assert!(error.message().contains("row 4"), "{}", error.message());
}

#[tokio::test]
async fn a_bad_row_has_its_status_and_outputs_come_as_asked() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let mut client = client(&server).await;
    let mut frame = customers(3);
    numbers(&mut frame, "frequency")[1] = f64::NAN;
    let asked = |name: &str| InferRequestedOutputTensor {
        name: name.to_owned(),
        parameters: HashMap::new(),
    };
    let mut request = typed(&mut frame);
    request.outputs = vec![asked("row_status"), asked("p_alive")];
    for request in [request.clone(), raw(request)] {
        let answer = client.model_infer(request).await.unwrap().into_inner();
        let names: Vec<&str> = answer.outputs.iter().map(|o| o.name.as_str()).collect();
        assert_eq!(names, ["row_status", "p_alive"]);
        let statuses: Vec<Bytes> = match &answer.outputs[0].contents {
            Some(contents) => contents.bytes_contents.clone(),
            None => {
                let want: &[u8] = b"\x02\0\0\0ok\x07\0\0\0missing\x02\0\0\0ok";
                assert_eq!(answer.raw_output_contents[0], want);
                continue;
            }
        };
        assert_eq!(statuses, ["ok", "missing", "ok"]);
        let values = &answer.outputs[1].contents.as_ref().unwrap().fp64_contents;
        assert!(values[1].is_nan() && values[0] > 0.0);
        let told = answer.parameters["row_errors"].parameter_choice.clone();
        let Some(ParameterChoice::StringParam(told)) = told else {
            panic!("{told:?}");
        };
        assert!(told.contains("frequency"), "{told}");
    }
}

type Change = fn(&mut oip::ModelInferRequest);

/// What makes a sound request wrong, the code it is refused with, and what the refusal says.
const WRONG: &[(Change, Code, &str)] = &[
    (
        |r| r.model_name = "Retail!".to_owned(),
        Code::InvalidArgument,
        "model_name",
    ),
    (
        |r| r.model_name = "absent".to_owned(),
        Code::NotFound,
        "absent",
    ),
    (
        |r| r.model_version = "999".to_owned(),
        Code::NotFound,
        "999",
    ),
    (
        |r| r.inputs[1].shape = vec![5],
        Code::InvalidArgument,
        "inputs[1].shape",
    ),
    (
        |r| r.inputs[0].shape = vec![2, 2],
        Code::InvalidArgument,
        "inputs[0].shape",
    ),
    (
        |r| r.inputs[0].shape = vec![-4],
        Code::InvalidArgument,
        "inputs[0].shape",
    ),
    (
        |r| r.inputs[0].shape = vec![i64::MAX],
        Code::InvalidArgument,
        "at most 1000",
    ),
    (
        |r| r.inputs[0].datatype = "FP16".to_owned(),
        Code::InvalidArgument,
        "FP16",
    ),
    (
        |r| r.inputs[0].name = "recency".to_owned(),
        Code::InvalidArgument,
        "inputs[1].name",
    ),
    (|r| drop(r.inputs.remove(0)), Code::InvalidArgument, "T"),
    (
        |r| r.inputs[0].contents = None,
        Code::InvalidArgument,
        "fp64_contents",
    ),
    (
        |r| r.raw_input_contents = vec![Bytes::new()],
        Code::InvalidArgument,
        "raw_input_contents",
    ),
    (|r| r.parameters.clear(), Code::InvalidArgument, "horizon"),
    (
        |r| {
            drop(
                r.parameters
                    .insert("horizon".to_owned(), oip::InferParameter::default()),
            )
        },
        Code::InvalidArgument,
        "horizon_periods",
    ),
];

#[tokio::test]
async fn wrong_requests_name_their_field() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |s| s.max_rows = 1_000).await;
    let mut client = client(&server).await;
    let mut frame = customers(4);
    let sound = typed(&mut frame);
    for (index, (change, code, said)) in WRONG.iter().enumerate() {
        let mut request = sound.clone();
        request.outputs = vec![InferRequestedOutputTensor {
            name: "expected_purchases".to_owned(),
            parameters: HashMap::new(),
        }];
        change(&mut request);
        let error = client.model_infer(request).await.unwrap_err();
        assert_eq!(error.code(), *code, "case {index}: {error}");
        assert!(
            error.message().contains(said),
            "case {index}: {}",
            error.message()
        );
    }
    assert!(client.model_infer(sound).await.is_ok());
}

#[tokio::test]
async fn a_stream_answers_in_order_and_failures_in_band() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let mut client = client(&server).await;
    let requests: Vec<_> = (0..40)
        .map(|index| {
            let mut request = typed(&mut customers(1 + index % 5));
            request.id = index.to_string();
            if index == 7 {
                request.model_name = "absent".to_owned();
            }
            request
        })
        .collect();
    let answers = client.model_stream_infer(tokio_stream::iter(requests));
    let mut answers = answers.await.unwrap().into_inner();
    let mut seen = 0;
    while let Some(answer) = answers.next().await {
        let answer = answer.unwrap();
        let response = answer.infer_response.unwrap();
        assert_eq!(response.id, seen.to_string());
        assert_eq!(seen == 7, answer.error_message.contains("MODEL_NOT_FOUND"));
        assert_eq!(seen == 7, response.outputs.is_empty());
        seen += 1;
    }
    assert_eq!(seen, 40);
}

#[tokio::test]
async fn a_model_describes_itself_and_counts_what_it_did() {
    let folder = folder();
    let server = TestServer::start(folder.path(), |_| ()).await;
    let mut client = client(&server).await;
    let named = || ("retail".to_owned(), String::new());
    let (name, version) = named();
    let asked = oip::ModelMetadataRequest { name, version };
    let metadata = client.model_metadata(asked).await.unwrap().into_inner();
    assert_eq!(metadata.platform, "cvm_clv.bg_nbd");
    let names: Vec<&str> = metadata.inputs.iter().map(|i| i.name.as_str()).collect();
    assert_eq!(names, ["frequency", "recency", "T"]);
    let (name, version) = named();
    let asked = oip::ModelConfigRequest { name, version };
    let config = client
        .model_config(asked)
        .await
        .unwrap()
        .into_inner()
        .config
        .unwrap();
    assert_eq!(config.max_batch_size, 100_000);
    assert_eq!(config.input[0].data_type(), oip::DataType::TypeFp64);

    client.model_infer(typed(&mut customers(5))).await.unwrap();
    client
        .model_infer(raw(typed(&mut customers(700))))
        .await
        .unwrap();
    let mut wrong = typed(&mut customers(5));
    drop(wrong.inputs.remove(0));
    client.model_infer(wrong).await.unwrap_err();
    let all = oip::ModelStatisticsRequest::default();
    let found = client.model_statistics(all).await.unwrap().into_inner();
    let [model] = &found.model_stats[..] else {
        panic!("{found:?}");
    };
    assert_eq!((model.inference_count, model.execution_count), (705, 2));
    assert!(model.last_inference > 1_600_000_000_000);
    let times = model.inference_stats.as_ref().unwrap();
    assert_eq!(times.success.unwrap().count, 2);
    assert_eq!(times.fail.unwrap().count, 1);
    assert!(times.compute_infer.unwrap().ns > 0);
    assert!(times.success.unwrap().ns >= times.compute_infer.unwrap().ns);
}

fn index(found: oip::RepositoryIndexResponse) -> Vec<(String, String, String)> {
    let models = found.models.into_iter();
    models.map(|m| (m.name, m.state, m.reason)).collect()
}

#[tokio::test]
async fn models_are_loaded_and_unloaded_only_by_leave() {
    let folder = folder();
    let all = oip::RepositoryIndexRequest::default;
    let unload = |name: &str| oip::RepositoryModelUnloadRequest {
        model_name: name.to_owned(),
        ..Default::default()
    };
    let load = |name: &str| oip::RepositoryModelLoadRequest {
        model_name: name.to_owned(),
        ..Default::default()
    };
    let server = TestServer::start(folder.path(), |_| ()).await;
    let mut strict = client(&server).await;
    let error = strict
        .repository_model_unload(unload("retail"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::PermissionDenied);
    assert!(error.message().contains("--allow-model-control"));

    let server = TestServer::start(folder.path(), |settings| {
        settings.allow_model_control = true;
        settings.poll_interval_ms = 3_600_000;
    })
    .await;
    let mut client = client(&server).await;
    client
        .repository_model_unload(unload("retail"))
        .await
        .unwrap();
    let found = client.repository_index(all()).await.unwrap().into_inner();
    let held = (
        "retail".to_owned(),
        "UNAVAILABLE".to_owned(),
        "unloaded by request".to_owned(),
    );
    assert_eq!(index(found), [held]);
    let error = client
        .model_infer(typed(&mut customers(1)))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::NotFound);
    client.repository_model_load(load("retail")).await.unwrap();
    client.model_infer(typed(&mut customers(1))).await.unwrap();
    // A file the watcher has not come to is served at once; a damaged one says why.
    save(&bg_nbd(1.5), &folder.path().join("second.cvm"));
    client.repository_model_load(load("second")).await.unwrap();
    std::fs::write(folder.path().join("third.cvm"), b"not a model").unwrap();
    let error = client
        .repository_model_load(load("third"))
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::FailedPrecondition);
    let error = client
        .repository_model_load(load("fourth"))
        .await
        .unwrap_err();
    assert!(
        error.message().contains("fourth.cvm"),
        "{}",
        error.message()
    );
    let found = index(client.repository_index(all()).await.unwrap().into_inner());
    let states: Vec<&str> = found.iter().map(|(_, state, _)| state.as_str()).collect();
    assert_eq!(states, ["READY", "READY", "UNAVAILABLE"]);
    assert!(!found[2].2.is_empty(), "the reason is told");
}
