"""Attributions and reasons: the same bits and words in Python, over gRPC and in the shell."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import cvm
from cvm import plot
from support import KINDS, ROOT, Server, make_table, read_column

WORDS = {
    "fields": {
        "tenure": {
            "label": "months with us",
            "raises": "only {value} months with us",
            "actionable": False,
        },
        "StreamingTV": {"group": "streaming"},
        "StreamingMovies": {"group": "streaming"},
    },
    "groups": {"streaming": {"label": "Streaming", "lowers": "{label} keeps them ({field})"}},
}


@pytest.fixture(scope="module")
def worded(telco):
    model = cvm.LogisticChurn().fit(telco, "Churn")
    return model.set_feature_dictionary(WORDS["fields"], groups=WORDS["groups"])


def columns_of(table):
    return {name: list(table[name]) for name in table.columns}


def test_attributions_add_up_and_group_by_column(worded, telco):
    head = telco.head(300)
    values, base = worded.shap_values(head), worded.expected_value(head)
    assert values.shape == (300, worded.n_features_in_)
    logit = worded.decision_function(head)
    assert np.abs(base[0] + values.sum(axis=1) - logit).max() < 1e-12
    against = worded.shap_values(head, method="interventional", background=telco.tail(200))
    base = worded.expected_value(head, method="interventional", background=telco.tail(200))
    assert np.abs(base[0] + against.sum(axis=1) - logit).max() < 1e-12
    table = worded.explain(head)
    assert list(table.columns) == ["expected", *worded.feature_names_in_, "status"]
    assert (table.index == head.index).all()
    assert np.array_equal(
        table["tenure"].to_numpy(), values[:, 0 + list(worded.feature_names_in_).index("tenure")]
    )
    with pytest.raises(cvm.InvalidInputError, match="method"):
        worded.shap_values(head, method="guess")
    with pytest.raises(cvm.InvalidInputError, match="compare"):
        worded.shap_values(head, method="interventional")


def test_reasons_are_told_in_the_words_of_the_dictionary(worded, telco):
    assert worded.feature_dictionary_ == WORDS
    head = telco.head(200)
    told = worded.reasons(head, k=4)
    values = worded.shap_values(head)
    names = list(worded.feature_names_in_)
    texts = [text for place in range(1, 5) for text in told[f"reason_{place}"]]
    assert any(text.startswith("only ") and text.endswith(" months with us") for text in texts)
    assert any(text.startswith("Streaming keeps them (Streaming") for text in texts)
    for row in range(200):
        adds = [told[f"reason_{place}_contribution"].iloc[row] for place in range(1, 5)]
        assert sorted(adds, key=abs, reverse=True) == adds
        for place in range(1, 5):
            name = told[f"reason_{place}_name"].iloc[row]
            members = ["StreamingTV", "StreamingMovies"] if name == "streaming" else [name]
            want = sum(values[row, names.index(member)] for member in members)
            assert told[f"reason_{place}_contribution"].iloc[row] == pytest.approx(want, abs=1e-15)
    reachable = worded.reasons(head, k=9, only_actionable=True, direction="raises")
    assert "tenure" not in {n for place in range(1, 10) for n in reachable[f"reason_{place}_name"]}
    adds = np.column_stack([reachable[f"reason_{p}_contribution"] for p in range(1, 10)])
    assert (adds[~np.isnan(adds)] > 0).all()
    with pytest.raises(cvm.InvalidInputError, match="no field of the model"):
        worded.set_feature_dictionary({"tenur": {}})
    again = cvm.from_bytes(worded.to_bytes())
    assert columns_of(again.reasons(head)) == columns_of(worded.reasons(head))


@pytest.mark.parametrize("kind", KINDS)
def test_tables_come_back_as_they_were(kind):
    rng = np.random.default_rng(0)
    X = {"a": rng.normal(size=60), "b": rng.normal(size=60)}
    y = (X["a"] + rng.normal(size=60) > 0).astype(float)
    model = cvm.LogisticChurn().fit({**X, "y": y}, "y")
    table = make_table(kind, X)
    want = model.reasons(X, k=2)
    for got in (model.reasons(table, k=2), model.score_frame(table, reasons=2)):
        for place in (1, 2):
            name = f"reason_{place}"
            assert list(read_column(got, name)) == list(want[name])
            adds = np.ascontiguousarray(read_column(got, f"{name}_contribution"))
            assert adds.tobytes() == want[f"{name}_contribution"].tobytes()
    explained = model.explain(table)
    assert np.array_equal(read_column(explained, "a"), model.shap_values(X)[:, 0])


def cli_binary():
    named = os.environ.get("CVM_BIN")
    built = [ROOT / "target" / profile / "cvm" for profile in ("release", "debug")]
    for path in [Path(named)] if named else built:
        if path.is_file():
            return path
    pytest.skip("no cvm binary: cargo build -p cvm-cli, or set CVM_BIN")


@pytest.mark.server
def test_every_surface_tells_the_same(worded, telco, tmp_path):
    head = telco.head(150).drop(columns="Churn")
    local = worded.score_frame(head, reasons=3)
    worded.save(tmp_path / "churn.cvm")
    server = Server(tmp_path)
    try:
        with cvm.connect(server.target, timeout=60) as client:
            remote = client.score("churn", head, reasons=3)
            split = client.score("churn", head, reasons=3, rows_per_request=40)
            with pytest.raises(cvm.InvalidInputError, match="count"):
                client.score("churn", head, reasons=0)
    finally:
        server.stop()
    assert columns_of(remote) == columns_of(local) == columns_of(split)
    head.to_csv(tmp_path / "rows.csv", index=False)
    command = [cli_binary(), "score", "churn.cvm", "rows.csv", "--reasons", "3", "-o", "out.csv"]
    subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    with (tmp_path / "out.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    for place in (1, 2, 3):
        name = f"reason_{place}"
        assert [row[name] for row in rows] == list(local[name])
        adds = [float(row[f"{name}_contribution"]) for row in rows]
        assert adds == list(local[f"{name}_contribution"])
    explain = [cli_binary(), "explain", "churn.cvm", "rows.csv", "-o", "parts.csv"]
    subprocess.run(explain, cwd=tmp_path, check=True, capture_output=True)
    with (tmp_path / "parts.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    parts = [[float(row[f"contribution_{n}"]) for n in worded.feature_names_in_] for row in rows]
    assert np.array_equal(parts, worded.shap_values(head))


def test_boosted_trees_give_reasons_beside_scores(telco):
    model = cvm.BoostedChurn(rounds=20).fit(telco, "Churn", progress=False)
    model = model.set_feature_dictionary(WORDS["fields"], groups=WORDS["groups"])
    head = telco.head(60)
    table = model.score_frame(head, reasons=2, only_actionable=True)
    told = model.reasons(head, k=2, only_actionable=True)
    plain = model.score_frame(head)
    assert list(table["churn_probability"]) == list(plain["churn_probability"])
    for name in ("reason_1", "reason_2", "reason_1_contribution"):
        assert list(table[name]) == list(told[name])
    assert "tenure" not in set(table["reason_1_name"])


@pytest.mark.server
def test_http_tells_the_same_reasons(telco, tmp_path):
    model = cvm.BoostedChurn(rounds=20).fit(telco, "Churn", progress=False)
    model = model.set_feature_dictionary(WORDS["fields"], groups=WORDS["groups"])
    head = telco.head(40).drop(columns="Churn")
    local = model.score_frame(head, reasons=3)
    model.save(tmp_path / "churn.cvm")
    columns = {name: head[name].astype(object).where(head[name].notna(), None) for name in head}
    columns = {name: list(cells) for name, cells in columns.items()}
    asked = {"outputs": ["churn_probability"], "reasons": {"count": 3}}
    server = Server(tmp_path, "--http-listen", "127.0.0.1:0")
    try:
        url = f"http://{server.http_target}/v1/models/churn:score"
        status, answer = post(url, {"columns": columns, "options": asked})
        assert status == 200, answer
        refused = {"columns": columns, "options": {"reasons": {"count": 0}}}
        bad_status, refusal = post(url, refused)
    finally:
        server.stop()
    assert answer["outputs"]["churn_probability"] == list(local["churn_probability"])
    assert answer["reasons_method"] == "path-dependent TreeSHAP"
    assert len(answer["row_reasons"]) == 40
    for row, own in enumerate(answer["row_reasons"]):
        for place, reason in enumerate(own, start=1):
            name = f"reason_{place}"
            assert reason["text"] == local[name].iloc[row]
            assert reason["name"] == local[f"{name}_name"].iloc[row]
            assert reason["contribution"] == local[f"{name}_contribution"].iloc[row]
    assert bad_status == 400
    assert "count" in json.dumps(refusal)


def post(url, body):
    data = json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310
            return answer.status, json.loads(answer.read())
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def test_plots_draw_what_is_computed(worded, telco):
    row = telco.iloc[[5]]
    steps = plot.waterfall(worded, row, k=4)
    total = steps["expected"] + steps["contribution"].sum()
    assert total == pytest.approx(worded.decision_function(row)[0], abs=1e-12)
    assert len(steps["text"]) == 5
    axes = plot.plot_reasons(worded, row, k=4)
    assert [bar.get_width() for bar in axes.patches] == pytest.approx(steps["contribution"])
    names, sizes, _ = plot.contributions(worded, telco.head(100))
    values = np.abs(worded.shap_values(telco.head(100))).mean(axis=0)
    assert sizes[0] == values.max()
    assert names[0] == worded.feature_names_in_[values.argmax()]
    axes = plot.plot_contributions(worded, telco.head(100), k=5)
    assert len(axes.get_yticks()) == 5
    with pytest.raises(cvm.InvalidInputError, match="must have one"):
        plot.plot_reasons(worded, telco.head(2))


def test_trees_have_every_way():
    from parity import data, lightgbm

    X, y = data()
    model = cvm.from_lightgbm(lightgbm(X, y, rounds=40))
    raw = model.decision_function(X[:80])
    for options in (
        {},
        {"method": "approximate"},
        {"method": "interventional", "background": X[100:150]},
    ):
        values = model.shap_values(X[:80], **options)
        base = model.expected_value(X[:1], **options)
        assert np.abs(base[0] + values.sum(axis=1) - raw).max() < 1e-12
        assert np.array_equal(values, model.shap_values(X[:80], threads=2, **options))
    exact, fast = model.shap_values(X[:80]), model.shap_values(X[:80], method="approximate")
    assert not np.allclose(exact, fast)
