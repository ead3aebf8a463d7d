"""Calibration as a part of a model: ranks kept, files opened, the same bits everywhere."""

import json
import os
import pickle
import subprocess
from pathlib import Path

import lightgbm
import numpy as np
import pandas as pd
import pytest

import cvm
from cvm import metrics
from cvm.churn import LogisticChurn, calibrate
from support import ROOT, Server


@pytest.fixture(scope="module")
def parts():
    telco = cvm.datasets.load_telco().drop(columns="customerID")
    order = np.random.default_rng(5).permutation(len(telco))
    return [telco.iloc[rows] for rows in np.array_split(order, 3)]


@pytest.fixture(scope="module")
def boosted(parts):
    """Trees whose class weights have wrecked their probabilities."""
    train = parts[0]
    X, y = train[["tenure", "MonthlyCharges", "TotalCharges"]], train["Churn"] == "Yes"
    booster = lightgbm.LGBMClassifier(
        n_estimators=40, num_leaves=7, scale_pos_weight=3, verbose=-1, num_threads=1
    )
    return cvm.from_lightgbm(booster.fit(X, y))


@pytest.mark.parametrize("method", ["auto", "temperature", "platt", "beta", "venn_abers"])
def test_a_calibrator_mends_probabilities_and_keeps_ranks(parts, boosted, method):
    _, held_out, test = parts
    better = calibrate(boosted, held_out, "Churn", method=method)
    truth = test["Churn"] == "Yes"
    before, after = (m.predict_proba(test)[:, 1] for m in (boosted, better))
    if method != "temperature":
        assert metrics.ece(truth, after) < 0.5 * metrics.ece(truth, before)
        assert metrics.log_loss(truth, after) < metrics.log_loss(truth, before) - 0.02
    order = np.argsort(before, kind="stable")
    assert np.all(np.diff(after[order]) >= -1e-15)
    assert np.array_equal(better.decision_function(test), boosted.decision_function(test))
    frame = better.score_frame(test, outputs=["uncalibrated_probability"])
    assert np.array_equal(frame["uncalibrated_probability"], before)
    assert better.classes_.tolist() == [0, 1]
    told = better.calibration_
    assert told["row_count"] == len(held_out)
    assert told["churner_count"] == int((held_out["Churn"] == "Yes").sum())
    assert boosted.calibration_ is None
    if method == "auto":
        losses = {c["method"]: c["log_loss"] for c in told["candidates"]}
        assert set(losses) == {"none", "temperature", "platt", "beta"}
        assert losses[told["method"]] < losses["none"]
    else:
        assert told["method"] == method
    if method == "venn_abers":
        scores = better.score_frame(test)
        assert (scores["venn_abers_p0"] <= scores["churn_probability"]).all()
        assert (scores["churn_probability"] <= scores["venn_abers_p1"]).all()


def test_files_pickles_and_copies_keep_the_calibrator(parts, boosted, tmp_path):
    better = boosted.calibrated(parts[1], "Churn", method="beta")
    p = better.predict_proba(parts[2])
    again = cvm.load(better.save(tmp_path / "better.cvm", name="churn"))
    assert type(again) is type(boosted)
    assert np.array_equal(again.predict_proba(parts[2]), p)
    assert again.calibration_["method"] == "beta"
    assert np.array_equal(pickle.loads(pickle.dumps(better)).predict_proba(parts[2]), p)
    plain = better.uncalibrated()
    assert plain.calibration_ is None
    assert np.array_equal(plain.predict_proba(parts[2]), boosted.predict_proba(parts[2]))
    assert plain.parity_ == boosted.parity_


def test_a_logistic_model_is_calibrated_by_its_own_labels_and_weights(parts):
    train, held_out, test = parts
    model = LogisticChurn().fit(train, "Churn")
    better = model.calibrated(held_out, "Churn", method="platt")
    by_array = model.calibrated(held_out, held_out["Churn"] == "Yes", method="platt")
    assert np.array_equal(better.predict_proba(test), by_array.predict_proba(test))
    assert better.classes_.tolist() == ["No", "Yes"]
    assert better.params_ == model.params_
    weights = np.where(held_out["Churn"] == "Yes", 3.0, 1.0)
    heavier = model.calibrated(held_out, "Churn", weights, method="platt")
    assert heavier.predict_proba(test)[:, 1].mean() > better.predict_proba(test)[:, 1].mean() + 0.1
    known = model.predict_proba(held_out)[:, 1]
    on = model.calibrated_on(known, held_out["Churn"] == "Yes", method="platt")
    assert on.predict_proba(test) == pytest.approx(better.predict_proba(test), rel=1e-9)
    with pytest.raises(cvm.InvalidInputError, match=r"probabilities\[2\]: is 1.5"):
        model.calibrated_on([0.1, 0.2, 1.5], [0, 1, 0])


def test_what_cannot_calibrate_is_named(parts, boosted):
    held_out = parts[1]
    with pytest.raises(cvm.InvalidInputError, match="method: is 'sigmoid'"):
        boosted.calibrated(held_out, "Churn", method="sigmoid")
    with pytest.raises(cvm.InvalidInputError, match=r"columns\.Left: is missing"):
        boosted.calibrated(held_out, "Left")
    with pytest.raises(cvm.InvalidInputError, match="y: has 3 rows"):
        boosted.calibrated(held_out, [0, 1, 0])
    with pytest.raises(cvm.InvalidInputError, match="both outcomes"):
        boosted.calibrated(held_out, np.zeros(len(held_out)))
    with pytest.raises(cvm.InvalidInputError, match=r"y\[0\]: is missing"):
        boosted.calibrated(held_out, [None] * len(held_out))
    few = held_out[held_out["Churn"] == "Yes"].head(60)
    some = pd.concat([few, held_out[held_out["Churn"] == "No"].head(300)])
    with pytest.raises(cvm.InvalidInputError, match="60 rows of the rarer outcome"):
        boosted.calibrated(some, "Churn", method="isotonic")
    turned = np.where(held_out["Churn"] == "Yes", 0, 1)
    with pytest.raises(cvm.InvalidInputError, match="do not rise with churn"):
        boosted.calibrated(held_out, turned, method="platt")
    with pytest.raises(cvm.InvalidInputError, match="must be a churn model"):
        calibrate(cvm.BgNbd.from_params({"r": 1, "alpha": 1, "a": 1, "b": 2}), held_out, "Churn")


@pytest.mark.server
def test_a_server_serves_calibrated_bits(parts, boosted, tmp_path):
    better = boosted.calibrated(parts[1], "Churn", method="platt")
    folder = tmp_path / "models"
    folder.mkdir()
    better.save(folder / "churn.cvm")
    test = parts[2]
    server = Server(folder)
    try:
        served = cvm.connect(server.target).score("churn", test)
    finally:
        server.stop()
    here = better.score_frame(test)
    assert np.array_equal(served["churn_probability"], here["churn_probability"])


def test_the_command_line_gives_the_same_model(parts, boosted, tmp_path):
    binary = Path(os.environ.get("CVM_BIN", ROOT / "target" / "release" / "cvm"))
    boosted.save(tmp_path / "churn.cvm")
    parts[1].to_csv(tmp_path / "held_out.csv", index=False)
    parts[2].to_csv(tmp_path / "test.csv", index=False)

    def run(*arguments):
        done = subprocess.run(
            [binary, *arguments], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    command = ("calibrate", "churn.cvm", "held_out.csv", "--target", "Churn")
    told = run(*command, "--method", "platt", "-o", "better.cvm")
    assert "calibrated by `platt`" in told
    here = boosted.calibrated(parts[1], "Churn", method="platt")
    there = cvm.load(tmp_path / "better.cvm")
    assert np.array_equal(here.predict_proba(parts[2]), there.predict_proba(parts[2]))
    assert "taken" in run(*command, "-o", "auto.cvm")
    profiled = here.profiled(parts[0])
    profiled.save(tmp_path / "profiled.cvm")
    drift = run("drift", "profiled.cvm", "test.csv", "--report-json", "drift.json")
    assert "score: churn_probability" in drift
    report = json.loads((tmp_path / "drift.json").read_text())
    assert report["score"]["psi"] == profiled.drift(parts[2]).score.psi
