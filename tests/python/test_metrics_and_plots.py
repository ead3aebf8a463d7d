"""Measures against scikit-learn's, and pictures that draw what they say."""

from __future__ import annotations

import matplotlib as mpl
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

import cvm
from cvm import metrics, plot

mpl.use("Agg")


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(2, 60))
def test_measures_agree_with_scikit_learn(seed, size):
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 2, size)
    truth[:2] = [0, 1]
    probability = np.round(rng.uniform(0.01, 0.99, size), 1 + seed % 3).clip(0.01, 0.99)
    weight = rng.uniform(0.1, 3.0, size)
    for w in (None, weight):
        assert metrics.auc(truth, probability, w) == pytest.approx(
            sk.roc_auc_score(truth, probability, sample_weight=w)
        )
        assert metrics.brier(truth, probability, w) == pytest.approx(
            sk.brier_score_loss(truth, probability, sample_weight=w)
        )
        assert metrics.log_loss(truth, probability, w) == pytest.approx(
            sk.log_loss(truth, probability, sample_weight=w)
        )


def test_calibration_error_is_the_weighted_gap_of_the_curve():
    rng = np.random.default_rng(3)
    probability = rng.uniform(size=500)
    truth = rng.uniform(size=500) < probability**2
    curve = metrics.calibration_curve(truth, probability, bins=7)
    gap = np.abs(curve.mean_probability - curve.observed_rate) @ curve.weight / curve.weight.sum()
    assert metrics.ece(truth, probability, bins=7) == pytest.approx(gap)
    assert len(curve.weight) == 7
    assert curve.weight.sum() == 500


def test_a_perfect_ranking_captures_all_churners_first():
    truth = np.arange(100) >= 75
    curve = metrics.lift_curve(truth, np.arange(100.0), points=4)
    assert curve.contacted_share.tolist() == [0.25, 0.5, 0.75, 1.0]
    assert curve.captured_share.tolist() == [1.0, 1.0, 1.0, 1.0]
    assert curve.lift.tolist() == [4.0, 2.0, 4 / 3, 1.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: metrics.auc([0, 1], [0.5]), "expected 2"),
        (lambda: metrics.auc([0, 0], [0.5, 0.5]), "both classes"),
        (lambda: metrics.auc([0, 2], [0.5, 0.5]), r"churned\[1\]: is 2.0: must be 0 or 1"),
        (lambda: metrics.brier([0, 1], [0.5, 1.5]), "row 1 is 1.5: must be a number from 0 to 1"),
        (lambda: metrics.ece([0, 1], [0.5, 0.5], bins=0), "bins"),
        (lambda: metrics.auc([0, 1], ["a", "b"]), "must be 1-D numbers"),
        (lambda: metrics.auc([0, 1], [0.1, 0.2], [1.0, -1.0]), "weights"),
    ],
)
def test_what_cannot_be_measured_is_named(call, message):
    with pytest.raises(cvm.InvalidInputError, match=message):
        call()


def test_the_tracking_curve_starts_at_zero_and_ends_at_the_total(purchase):
    log = cvm.datasets.load_cdnow()
    curves = plot.tracking(purchase, log, calibration_end="1997-09-30")
    assert curves["actual"][0] == curves["expected"][0] == 0
    assert np.all(np.diff(curves["actual"]) >= 0)
    # The last whole week ends 77 weeks after 1997-01-01.
    known = cvm.summarize(log[log["date"] <= "1998-06-24"])
    assert curves["actual"][-1] == known["frequency"].sum()
    error = curves["expected"][-1] / curves["actual"][-1] - 1
    assert abs(error) < 0.06
    axes = plot.plot_tracking(purchase, log, calibration_end="1997-09-30")
    actual, expected = axes.get_lines()[:2]
    assert np.array_equal(actual.get_ydata(), curves["actual"])
    assert np.array_equal(expected.get_ydata(), curves["expected"])
    with pytest.raises(cvm.InvalidInputError, match='unit: is "fortnight"'):
        plot.tracking(purchase, log, unit="fortnight")


def test_churn_plots_draw_their_curves(churn, telco):
    truth, p = telco["Churn"] == "Yes", churn.predict_proba(telco)[:, 1]
    axes = plot.plot_lift(truth, p)
    assert axes.get_lines()[0].get_ydata()[-1] == 1.0
    same = plot.plot_calibration(truth, p, bins=5, ax=axes)
    assert same is axes
    curve = metrics.calibration_curve(truth, p, bins=5)
    assert np.array_equal(axes.get_lines()[2].get_ydata(), curve.observed_rate)
    mpl.pyplot.close("all")
