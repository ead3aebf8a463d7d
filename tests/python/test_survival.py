"""Duration models on Telco and on prisoners released: curves, layouts, refusals, files."""

from __future__ import annotations

import csv
import pickle
from pathlib import Path

import numpy as np
import pytest

import cvm

ROSSI = Path(__file__).parents[2] / "crates/cvm-churn/tests/data/rossi.csv"
LEFT_OUT = ["TotalCharges"]


@pytest.fixture(scope="module")
def rossi():
    with ROSSI.open() as file:
        rows = list(csv.DictReader(file))
    return {name: np.array([float(row[name]) for row in rows]) for name in rows[0]}


@pytest.fixture(scope="module")
def hazard(telco):
    model = cvm.HazardChurn(ignore=LEFT_OUT)
    return model.fit(telco, "tenure", "Churn", time_unit="month")


@pytest.fixture(scope="module")
def cox(telco):
    return cvm.CoxChurn(ignore=LEFT_OUT, penalty=1.0).fit(telco, "tenure", "Churn")


def test_curves_fall_from_one_and_agree_with_the_chances(telco, hazard, cox):
    times = [0, 1, 3.5, 12, 36, 72, 90]
    for model in (hazard, cox):
        curves = model.predict_survival(telco, times)
        assert curves.shape == (len(telco), len(times))
        assert (curves[:, 0] == 1).all()
        assert (np.diff(curves, axis=1) <= 0).all()
        later = model.predict_survival(telco, [12.0], tenure="tenure")[:, 0]
        churn = model.predict_proba(telco, horizon=12)
        np.testing.assert_array_equal(1 - churn[:, 1], churn[:, 0])
        np.testing.assert_allclose(later, churn[:, 0], rtol=1e-12, atol=1e-14)


def test_the_mean_curve_is_kaplan_meier(rossi):
    # Everyone was followed for 52 weeks; on Telco the loyal are censored later, and it is not.
    observed = cvm.churn.kaplan_meier(rossi["week"], rossi["arrest"] == 1)
    for model in (cvm.HazardChurn(), cvm.CoxChurn()):
        model.fit(rossi, "week", "arrest")
        mean = model.predict_survival(rossi, observed.times).mean(axis=0)
        assert np.abs(mean - observed.survival).max() < 0.02


def test_hazards_multiply_to_the_curve(telco, hazard):
    some = telco.head(50)
    periods = np.arange(1, 25)
    product = np.cumprod(1 - hazard.predict_hazard(some, periods), axis=1)
    np.testing.assert_allclose(product, hazard.predict_survival(some, periods), rtol=1e-10)


def test_lifetimes(telco, hazard):
    some = telco.head(100)
    endless = hazard.expected_remaining_lifetime(some)
    limited = hazard.expected_remaining_lifetime(some, horizon=12)
    cheaper = hazard.expected_remaining_lifetime(some, horizon=12, discount_rate=0.2)
    assert (endless > limited).all()
    assert (limited <= 12).all()
    assert (cheaper < limited).all()
    median = hazard.median_remaining_lifetime(some)
    at_median = hazard.predict_survival(some, median, tenure="tenure")
    np.testing.assert_allclose(np.diag(at_median), 0.5, rtol=1e-9)
    plateau = cvm.HazardChurn(tail="zero", ignore=LEFT_OUT).fit(telco, "tenure", "Churn")
    with pytest.warns(cvm.RowWarning, match="infinite"):
        assert np.isinf(plateau.expected_remaining_lifetime(some)).all()


def test_intervals_hold_the_curve(telco, hazard):
    some = telco.head(5)
    times = np.array([0.0, 6.0, 24.0])
    curve = hazard.predict_survival(some, times)
    lower, upper = hazard.predict_survival_interval(some, times, level=0.9)
    assert (lower <= curve).all()
    assert (curve <= upper).all()
    assert (upper[:, 1:] > lower[:, 1:]).all()
    cox = cvm.CoxChurn(ignore=LEFT_OUT, penalty=1.0).fit(telco, "tenure", "Churn")
    curve = cox.predict_survival(some, times)
    lower, upper = cox.predict_survival_interval(some, times)
    assert (lower[:, 1:] < curve[:, 1:]).all()
    assert (curve[:, 1:] < upper[:, 1:]).all()
    assert (upper[:, 1:] - lower[:, 1:] < 0.2).all()


def test_arrays_and_names_give_the_same_model(rossi):
    inputs = {name: rossi[name] for name in rossi if name not in {"week", "arrest"}}
    named = cvm.CoxChurn().fit(rossi, "week", "arrest")
    given = cvm.CoxChurn().fit(inputs, rossi["week"], rossi["arrest"].astype(bool))
    assert list(named.params_.values()) == list(given.params_.values())
    assert round(named.params_["fin"], 3) == -0.379
    assert round(named.concordance_, 2) == 0.64
    tests = {test["name"]: test["p_value"] for test in named.proportional_hazards_}
    assert tests["age"] < 0.05 < tests["fin"]


def test_strata_have_a_curve_each_and_survive_a_file(rossi):
    model = cvm.CoxChurn(strata="wexp").fit(rossi, "week", "arrest")
    # The table in lifelines' documentation of `strata`.
    rounded = [round(value, 2) for value in model.params_.values()]
    assert rounded == [-0.38, -0.06, 0.31, -0.45, -0.08, 0.09]
    assert round(model.log_likelihood_, 2) == -580.89
    for level in (0.0, 1.0):
        inside = {name: values[rossi["wexp"] == level] for name, values in rossi.items()}
        observed = cvm.churn.kaplan_meier(inside["week"], inside["arrest"] == 1)
        mean = model.predict_survival(inside, observed.times).mean(axis=0)
        assert np.abs(mean - observed.survival).max() < 0.02
    again = pickle.loads(pickle.dumps(model))
    curves = model.predict_survival(rossi, [10.0])
    np.testing.assert_array_equal(again.predict_survival(rossi, [10.0]), curves)
    rows = rossi | {"tenure": np.zeros(len(curves)), "wexp": np.full(len(curves), 2.0)}
    assert set(model.score_frame(rows, horizon=10.0)["status"]) == {"unseen_level"}


def test_weibull_lifetimes_are_accelerated_as_lifelines_has_them(rossi):
    model = cvm.WeibullChurn().fit(rossi, "week", "arrest", time_unit="week")
    ratios, errors = model.log_time_ratios_, model.log_time_ratio_errors_
    assert list(ratios) == ["fin", "age", "race", "wexp", "mar", "paro", "prio"]
    # The table of WeibullAFTFitter in lifelines' documentation.
    assert [round(v, 2) for v in ratios.values()] == [0.27, 0.04, -0.22, 0.11, 0.31, 0.06, -0.07]
    assert [round(v, 2) for v in errors.values()] == [0.14, 0.02, 0.22, 0.15, 0.27, 0.14, 0.02]
    assert round(model.shape_, 2) == 1.40
    assert round(model.log_likelihood_, 2) == -679.92
    times = np.array([1.0, 26.0, 52.0])
    curve = model.predict_survival(rossi, times)
    passed = np.exp(model.linear_predictor(rossi))[:, None] * (times / model.scale_) ** model.shape_
    np.testing.assert_allclose(curve, np.exp(-passed), rtol=1e-12)
    lower, upper = model.predict_survival_interval(rossi, times)
    assert ((lower < curve) & (curve < upper)).all()
    lifetimes = model.expected_remaining_lifetime(rossi, tenure=10.0)
    assert np.isfinite(lifetimes).all()
    assert (model.predict_hazard(rossi, times) < 1).all()
    assert "baseline[ln shape]" in str(model.summary())


def test_models_survive_files_and_pickling(telco, hazard, cox, tmp_path):
    late = telco[telco["tenure"] > 0]
    weibull = cvm.WeibullChurn(ignore=LEFT_OUT, penalty=1.0).fit(late, "tenure", "Churn")
    for model in (hazard, cox, weibull):
        expected = model.predict_survival(telco, [1, 12, 40]).tobytes()
        loaded = cvm.load(model.save(tmp_path / "model.cvm"))
        copied = pickle.loads(pickle.dumps(model))
        for other in (loaded, copied):
            assert type(other) is type(model)
            assert other.predict_survival(telco, [1, 12, 40]).tobytes() == expected


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        ({"duration": "week"}, "event"),
        ({"event": "arrest"}, "times"),
        ({"duration": "week", "event": "arrest", "start": "prio"}, "times"),
        ({"duration": "weeks", "event": "arrest"}, "weeks"),
        ({"duration": np.zeros(3), "event": "arrest"}, "duration"),
        ({"duration": "week", "event": "prio"}, "at most two"),
    ],
)
def test_wrong_times_are_refused_by_name(rossi, arguments, word):
    for model in (cvm.HazardChurn(), cvm.CoxChurn()):
        with pytest.raises(cvm.InvalidInputError, match=word):
            model.fit(rossi, **arguments)


def test_a_tenure_that_is_absent_is_asked_for(rossi):
    model = cvm.HazardChurn().fit(rossi, "week", "arrest")
    with pytest.raises(cvm.InvalidInputError, match="tenure"):
        model.predict_proba(rossi, horizon=4)
    with pytest.raises(cvm.InvalidInputError, match="times"):
        model.predict_survival(rossi, [-1.0])
    assert np.isfinite(model.predict_proba(rossi, horizon=4, tenure=10)).all()


def test_kaplan_meier_is_as_lifelines_has_it():
    # Freireich's treated group; S(6), S(23) and their intervals by lifelines 0.30.3.
    weeks = [6, 6, 6, 6, 7, 9, 10, 10, 11, 13, 16, 17, 19, 20, 22, 23, 25, 32, 32, 34, 35]
    kept = [0, 0, 0, 1, 0, 1, 0, 1, 1, 0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1]
    curve = cvm.churn.kaplan_meier(weeks, 1 - np.array(kept))
    np.testing.assert_allclose(curve.survival[[0, -1]], [0.857142857, 0.448179272], rtol=1e-8)
    np.testing.assert_allclose(curve.lower[[0, -1]], [0.61971796, 0.18805201], rtol=1e-6)
    np.testing.assert_allclose(curve.upper[[0, -1]], [0.95155175, 0.68014263], rtol=1e-6)
    late = cvm.churn.kaplan_meier([5, 6, 7], [1, 1, 0], entry=[0, 5, 2])
    assert late.at_risk.tolist() == [2.0, 2.0]


def test_the_picture_has_both_curves(telco, hazard):
    pytest.importorskip("matplotlib").use("Agg")
    axes = cvm.plot.plot_survival(hazard, telco, duration="tenure", event="Churn")
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["Kaplan-Meier", "model"]
