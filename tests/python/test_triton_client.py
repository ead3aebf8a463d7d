"""Triton's own client against this server: the Open Inference Protocol read by a third party."""

from __future__ import annotations

import queue

import numpy as np
import pytest

from support import Server
from test_golden import GOLDEN, bits_of, cases, column, pinned

triton = pytest.importorskip("tritonclient.grpc")
utils = pytest.importorskip("tritonclient.utils")

OPTIONS = (
    "horizon_periods",
    "discount_rate_per_year",
    "margin",
    "purchases",
    "quantile",
    "cost_per_period",
    "cost_per_order",
    "interval_level",
    "elapsed_periods",
)


def tensor(name, values, *, wide=False):
    values = np.asarray(values)
    if values.dtype == object:
        values = np.array([str(value).encode() for value in values], dtype=object)
    if wide:
        values = values.reshape(-1, 1)
    found = triton.InferInput(name, list(values.shape), utils.np_to_triton_dtype(values.dtype))
    found.set_data_from_numpy(values)
    return found


@pytest.fixture(scope="module")
def judge(server):
    client = triton.InferenceServerClient(server.target)
    yield client
    client.close()


def test_the_server_and_its_models_describe_themselves(judge):
    assert judge.is_server_live()
    assert judge.is_server_ready()
    assert judge.is_model_ready("retail")
    assert judge.is_model_ready("retail", "7")
    assert not judge.is_model_ready("retail", "8")
    assert not judge.is_model_ready("absent")
    assert judge.get_server_metadata().name == "cvm-server"
    metadata = judge.get_model_metadata("retail")
    assert [field.name for field in metadata.inputs] == ["frequency", "recency", "T"]
    assert {field.datatype for field in metadata.inputs} == {"FP64"}
    assert "p_alive" in [field.name for field in metadata.outputs]
    config = judge.get_model_config("churn").config
    types = {field.name: field.data_type for field in config.input}
    assert types["tenure"] == 12, "TYPE_FP64"
    assert types["Contract"] == 13, "TYPE_STRING"
    assert config.max_batch_size > 0
    # perf_analyzer takes the first dimension for the batch, and fills the others.
    metadata = judge.get_model_metadata("churn")
    for tensors, own in [(metadata.inputs, config.input), (metadata.outputs, config.output)]:
        shapes = {tensor.name: list(tensor.shape) for tensor in tensors}
        assert shapes == {tensor.name: [-1, *tensor.dims] for tensor in own}
    index = {model.name: model for model in judge.get_model_repository_index().models}
    assert {"retail", "value", "churn"} <= set(index)
    assert index["retail"].state == "READY"
    assert index["retail"].version == "7"


def test_what_triton_s_own_tools_send_along_is_taken(judge, server, cdnow):
    """Hints for a scheduler, and what perf_analyzer asks with every request."""
    columns = ["frequency", "recency", "T"]
    inputs = [tensor(name, np.asarray(cdnow[name], dtype=np.float64)) for name in columns]
    answer = judge.infer("retail", inputs, priority=1, timeout=5_000_000)
    assert "triton_final_response" not in answer.get_response().parameters
    answers = queue.Queue()
    with triton.InferenceServerClient(server.target) as client:
        client.start_stream(lambda result, error: answers.put((result, error)))
        client.async_stream_infer("retail", inputs, enable_empty_final_response=True)
        result, error = answers.get(timeout=30)
    assert error is None
    assert result.get_response().parameters["triton_final_response"].bool_param


@pytest.mark.parametrize("wide", [False, True])
def test_scores_are_the_notebooks(judge, published, cdnow, wide):
    names = ["T", "frequency", "recency"]
    inputs = [tensor(name, np.asarray(cdnow[name], dtype=np.float64), wide=wide) for name in names]
    answer = judge.infer(
        "retail",
        inputs,
        request_id="july",
        outputs=[triton.InferRequestedOutput("expected_purchases")],
        parameters={"horizon_periods": "39"},
    )
    scores = answer.as_numpy("expected_purchases")
    want = published.expected_purchases(cdnow, horizon=39)
    assert scores.tobytes() == want.tobytes()
    assert scores.shape == ((len(want), 1) if wide else (len(want),))
    response = answer.get_response()
    assert response.id == "july"
    assert response.model_version == "7"
    assert response.parameters["fingerprint"].string_param == published_fingerprint(judge)


def published_fingerprint(judge):
    return judge.get_model_config("retail").config.parameters["fingerprint"].string_value


def test_text_levels_travel(judge, churn, telco):
    rows = telco.head(50).drop(columns="Churn")
    inputs = [
        tensor(name, rows[name].to_numpy(dtype=object if rows[name].dtype.kind in "OT" else float))
        if name != "TotalCharges"
        else tensor(name, rows[name].to_numpy(dtype=float))
        for name in churn.feature_names_in_
    ]
    answer = judge.infer("churn", inputs).as_numpy("churn_probability")
    assert answer.tobytes() == churn.predict_proba(rows)[:, 1].tobytes()


def test_bad_rows_and_bad_requests(judge, rows):
    names = ["frequency", "recency", "T"]
    inputs = [tensor(name, rows[name]) for name in names]
    answer = judge.infer("retail", inputs, parameters={"horizon_periods": 10})
    status = [code.decode() for code in answer.as_numpy("row_status")]
    assert status[:3] == ["ok"] * 3
    assert "ok" not in status[3:]
    assert np.isnan(answer.as_numpy("p_alive")[3:]).all()
    with pytest.raises(utils.InferenceServerException, match="recency") as raised:
        judge.infer("retail", [inputs[0], inputs[2]], parameters={"horizon_periods": 10})
    assert "INVALID_ARGUMENT" in raised.value.status()
    with pytest.raises(utils.InferenceServerException, match="not loaded"):
        judge.infer("absent", inputs)
    with pytest.raises(utils.InferenceServerException, match="allow-model-control"):
        judge.unload_model("retail")


def test_statistics_count(judge, rows):
    inputs = [tensor(name, np.repeat(rows[name][:1], 3)) for name in ("frequency", "recency", "T")]
    before = judge.get_inference_statistics("retail").model_stats[0]
    judge.infer("retail", inputs)
    after = judge.get_inference_statistics("retail").model_stats[0]
    assert after.inference_count == before.inference_count + 3
    assert after.execution_count == before.execution_count + 1
    assert after.inference_stats.success.ns > before.inference_stats.success.ns


def test_a_stream_answers_every_request(judge, published, rows):
    answers = []
    judge.start_stream(lambda result, error: answers.append((result, error)))
    for index in range(20):
        inputs = [tensor(n, np.full(4, rows[n][index % 3])) for n in ("frequency", "recency", "T")]
        judge.async_stream_infer("retail", inputs, request_id=str(index))
    judge.stop_stream()
    assert [error for _, error in answers] == [None] * 20
    assert [result.get_response().id for result, _ in answers] == [str(i) for i in range(20)]
    alive = published.p_alive({name: values[:3] for name, values in rows.items()})
    for index, (result, _) in enumerate(answers):
        assert result.as_numpy("p_alive").tobytes() == np.repeat(alive[index % 3], 4).tobytes()


@pytest.fixture(scope="module")
def golden_server(tmp_path_factory):
    folder = tmp_path_factory.mktemp("golden")
    names = {}
    for number, path in enumerate(sorted((GOLDEN / "models").glob("*/*.cvm"))):
        names[f"{path.parent.name}/{path.stem}"] = f"m{number}"
        (folder / f"m{number}.cvm").write_bytes(path.read_bytes())
    server = Server(folder)
    server.names = names
    yield server
    server.stop()


def test_the_golden_corpus_has_the_same_bits(golden_server):
    with triton.InferenceServerClient(golden_server.target) as client:
        served = {model.name for model in client.get_model_repository_index().models}
        checked = sum(
            check(client, golden_server.names, kind, case)
            for kind, case in (param.values for param in cases())
        )
    assert served == set(golden_server.names.values())
    assert checked > 90


def check(client, names, kind, case):
    """Score a case over the wire against the pinned bits; count it if the protocol carries it."""
    columns = {name: column(values) for name, values in case["columns"].items()}
    options = case.get("options", {})
    # The protocol has no missing text.
    if any(values.dtype == object and None in values.tolist() for values in columns.values()):
        return 0
    if set(options) - {*OPTIONS, "outputs"}:
        return 0
    inputs = [tensor(name, values) for name, values in columns.items()]
    names_asked = [*options.get("outputs", []), "row_status"] if "outputs" in options else []
    outputs = [triton.InferRequestedOutput(name) for name in names_asked] or None
    parameters = {name: repr(value) for name, value in options.items() if name != "outputs"}
    model = names[f"{kind}/{case['model']}"]
    answer = client.infer(model, inputs, outputs=outputs, parameters=parameters)
    record = pinned(kind)["cases"][case["name"]]
    status = answer.as_numpy("row_status")
    rows = len(next(iter(columns.values())))
    found = ["ok"] * rows if status is None else [code.decode() for code in status]
    assert found == record["status"], (kind, case["name"])
    for name, bits in record["outputs"].items():
        got = [bits_of(value) for value in answer.as_numpy(name).tolist()]
        assert got == bits, (kind, case["name"], name)
    return 1
