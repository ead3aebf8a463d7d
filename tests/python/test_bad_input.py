"""Bad input to churn models on every surface: by name, by stated policy, never silently."""

import os
import subprocess
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import polars as pl
import pytest

import cvm
from cvm.churn import LogisticChurn
from support import ROOT, Server

PLANS = ["basic", "gold", "plus"]


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(8)
    n = 900
    X = pd.DataFrame(
        {
            "fee": np.where(rng.uniform(size=n) < 0.05, np.nan, rng.normal(50, 10, n)),
            "calls": rng.poisson(2, n).astype(float),
            "plan": rng.choice(PLANS, n),
        }
    )
    logit = 0.1 * (X["fee"].fillna(50) - 50) + 0.5 * X["calls"] - (X["plan"] == "gold") - 1
    return X, np.asarray(rng.uniform(size=n) < 1 / (1 + np.exp(-logit)))


@pytest.fixture(scope="module")
def models(rows):
    """Every make of churn model, plain and calibrated, by what unseen levels get."""
    X, y = rows
    levels = X.assign(plan=pd.Categorical(X["plan"], PLANS))
    booster = lightgbm.LGBMClassifier(n_estimators=12, verbose=-1, num_threads=1).fit(levels, y)
    found = {
        "logistic, reject": LogisticChurn(unseen="reject").fit(X, y),
        "logistic, scored": LogisticChurn().fit(X, y),
        "trees, scored": cvm.from_lightgbm(booster),
        "trees, reject": cvm.from_lightgbm(booster, unseen="reject"),
    }
    after = {f"calibrated {name}": m.calibrated(X, y, method="platt") for name, m in found.items()}
    return found | after


def statuses(model, frame):
    scores = model.score_frame(frame)
    p = np.asarray(scores["churn_probability"])
    status = np.asarray(scores["status"]).tolist()
    assert [s == "ok" for s in status] == (~np.isnan(p)).tolist(), "a score or a reason"
    assert ((p >= 0) & (p <= 1) | np.isnan(p)).all()
    return status


@pytest.mark.parametrize("kind", ["logistic, scored", "trees, scored", "calibrated trees, reject"])
def test_columns_go_by_name(rows, models, kind):
    X, _ = rows
    model, head = models[kind], X.head(40)
    want = model.predict_proba(head)
    shuffled = head[["plan", "calls", "fee"]].assign(unknown="x")
    codes = head.assign(plan=pd.Categorical(head["plan"], ["plus", "never", "gold", "basic"]))
    for other in (shuffled, codes, pl.from_pandas(head), head.to_dict("list")):
        assert np.array_equal(model.predict_proba(other), want)
    with pytest.raises(cvm.InvalidInputError) as error:
        model.predict_proba(head[["calls"]])
    assert {field for field, _ in error.value.violations} == {"columns.fee", "columns.plan"}
    with pytest.raises(cvm.InvalidInputError, match=r"columns\.fee"):
        model.predict_proba(head.assign(fee="cheap"))


def test_a_matrix_of_another_width_is_refused(rows):
    X, y = rows
    matrix = X[["fee", "calls"]].fillna(50).to_numpy()
    booster = lightgbm.LGBMClassifier(n_estimators=5, verbose=-1, num_threads=1).fit(matrix, y)
    for model in (cvm.from_lightgbm(booster), LogisticChurn().fit(matrix, y)):
        model.predict_proba(matrix)
        for wrong in (matrix[:, :1], np.column_stack([matrix, matrix])):
            with pytest.raises(cvm.InvalidInputError):
                model.predict_proba(wrong)


def test_levels_gaps_and_numbers_go_by_the_model_s_rule(models):
    row = {"fee": 50.0, "calls": 2.0, "plan": "gold"}
    strange = [
        {},
        {"plan": "platinum"},
        {"plan": None},
        {"fee": np.nan},
        {"fee": 1e300},
        {"fee": -1e300},
        {"fee": np.inf},
        {"fee": 5e-324, "calls": -0.0},
    ]
    frame = pd.DataFrame([row | other for other in strange])
    for name, model in models.items():
        status = statuses(model, frame)
        assert status[0] == status[3] == status[7] == "ok", name
        assert status[1] == ("unseen_level" if "reject" in name else "ok"), name
        assert status[2] in {"ok", "missing"}, name
        assert status[4] in {"ok", "undefined"}, name
        assert status[6] == ("not_finite" if "logistic" in name else status[6]), name
        assert status == statuses(cvm.from_bytes(model.to_bytes()), frame)


def test_a_boolean_is_one_or_zero_and_its_word_is_another_level(rows):
    X, y = rows
    flag = X["calls"] > 2
    model = LogisticChurn(categorical=["flag"], unseen="reject").fit(
        X[["fee"]].assign(flag=flag), y
    )
    head = X[["fee"]].head(6)
    want = model.predict_proba(head.assign(flag=flag.head(6)))
    for same in (flag.head(6).astype(int), flag.head(6).astype(float)):
        assert np.array_equal(model.predict_proba(head.assign(flag=same)), want)
    words = head.assign(flag=flag.head(6).astype(str))
    assert statuses(model, words) == ["unseen_level"] * 6


def test_the_command_line_says_the_same(models, tmp_path):
    binary = Path(os.environ.get("CVM_BIN", ROOT / "target" / "release" / "cvm"))
    frame = pd.DataFrame(
        {"unknown": list("abcd"), "plan": ["gold", "new", None, "plus"],
         "calls": [1.0, 2.0, 3.0, 1e300], "fee": [50.0, 50.0, np.nan, 40.0]}
    )  # fmt: skip
    frame.to_csv(tmp_path / "rows.csv", index=False)
    frame.drop(columns="fee").to_csv(tmp_path / "short.csv", index=False)
    for name, model in models.items():
        model.save(tmp_path / "churn.cvm")
        command = [binary, "score", "churn.cvm"]
        options = {"cwd": tmp_path, "capture_output": True, "text": True}
        done = subprocess.run([*command, "rows.csv", "-o", "out.csv"], check=False, **options)
        assert done.returncode == 0, done.stderr
        told = pl.read_csv(tmp_path / "out.csv").to_pandas()
        here = model.score_frame(frame)
        assert told["status"].tolist() == here["status"].tolist(), name
        same = told["churn_probability"].to_numpy(), here["churn_probability"].to_numpy()
        assert np.array_equal(*same, equal_nan=True), name
        done = subprocess.run([*command, "short.csv", "-o", "out.csv"], check=False, **options)
        assert done.returncode == 2
        assert "fee" in done.stderr


@pytest.mark.server
def test_a_server_says_the_same(models, tmp_path):
    row = {"calls": [1.0, 1e300], "fee": [np.nan, 50.0], "plan": ["new", "gold"]}
    for place, model in enumerate(models.values()):
        model.save(tmp_path / f"model-{place}.cvm")
    server = Server(tmp_path)
    try:
        client = cvm.connect(server.target)
        for place, model in enumerate(models.values()):
            there, here = client.score(f"model-{place}", row), model.score_frame(row)
            assert list(there["status"]) == list(here["status"])
            p = np.asarray(there["churn_probability"]), np.asarray(here["churn_probability"])
            assert np.array_equal(*p, equal_nan=True)
        with pytest.raises(cvm.InvalidInputError, match="plan"):
            client.score("model-0", {"calls": [1.0], "fee": [2.0]})
    finally:
        server.stop()
