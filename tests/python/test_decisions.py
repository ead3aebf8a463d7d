"""Decision metrics, the one honest door, leaks and drift."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import polars as pl
import pytest
from sklearn import metrics as sk
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

import cvm
from cvm import metrics, plot
from cvm.churn import LogisticChurn, cross_validate, evaluate

mpl.use("Agg")


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(11)
    n = 1200
    X = pd.DataFrame({"fee": rng.normal(50, 10, n), "calls": rng.poisson(2, n)})
    logit = (X["fee"] - 50) / 10 + 0.5 * X["calls"] - 2.2
    y = rng.uniform(size=n) < 1 / (1 + np.exp(-logit))
    return X, np.asarray(y)


def test_metrics_agree_with_scikit_learn_and_with_their_definitions():
    rng = np.random.default_rng(2)
    y, w = rng.integers(0, 2, 400), rng.uniform(0.1, 3, 400)
    p = np.round(rng.uniform(0.01, 0.99, 400), 2)
    for weight in (None, w):
        assert metrics.average_precision(y, p, weight) == pytest.approx(
            sk.average_precision_score(y, p, sample_weight=weight)
        )
        fpr, tpr, _ = sk.roc_curve(y, p, sample_weight=weight)
        assert metrics.ks(y, p, weight).distance == pytest.approx((tpr - fpr).max())
        parts = metrics.brier_parts(y, p, weight, bins=None)
        assert parts.brier == pytest.approx(sk.brier_score_loss(y, p, sample_weight=weight))
        assert parts.brier == pytest.approx(
            parts.reliability - parts.resolution + parts.uncertainty
        )
    assert metrics.top_decile_lift(y, p) == metrics.lift_at(y, p, share=0.1)
    raw = metrics.calibration_error(y, p, binning="width", debiased=False)
    assert raw == pytest.approx(metrics.ece(y, p))


def test_debiasing_takes_off_what_chance_shows():
    rng = np.random.default_rng(4)
    raw, debiased = [], []
    for _ in range(60):
        p = rng.uniform(size=300)
        y = rng.uniform(size=300) < p
        raw.append(metrics.calibration_error(y, p, debiased=False))
        debiased.append(metrics.calibration_error(y, p))
    assert np.mean(debiased) < 0.6 * np.mean(raw)


def test_published_profits():
    y = [1, 1, 0, 0, 0, 1, 1, 1, 1, 0]
    s = [
        0.6125478, 0.3642710, 0.4321361, 0.1402911, 0.3848959,
        0.2444155, 0.9706413, 0.8901728, 0.7817814, 0.8687518,
    ]  # fmt: skip
    assert metrics.empc(y, s).profit == pytest.approx(30.3003222629848, abs=1e-9)
    richer = metrics.empc(y, s, value=np.full(10, 200.0))
    assert richer == metrics.empc(y, s)
    assert metrics.empc(y, s, value=np.full(10, 400.0)).profit > richer.profit
    campaign = metrics.Campaign(contact_cost=1e4)
    assert metrics.mpc(y, s, campaign=campaign).contacted_share == 0
    with pytest.raises(cvm.InvalidInputError, match="offer_cost is -1"):
        metrics.empc(y, s, campaign=metrics.Campaign(offer_cost=-1))


def test_the_bootstrap_is_seeded_and_does_not_depend_on_threads(rows):
    X, y = rows
    p = 1 / (1 + np.exp(-(X["fee"] - 50) / 10))
    calls = []
    found = [
        metrics.bootstrap(
            y, p, replicates=200, threads=t, seed=3, progress=lambda *done: calls.append(done)
        )
        for t in (1, 3)
    ]
    for name in metrics.METRICS:
        one, three = (f[name] for f in found)
        assert np.array_equal(one.replicates, three.replicates)
        assert one.lower <= one.value <= one.upper or name == "ece", name
    assert calls[-1] == (200, 200)
    other = metrics.bootstrap(y, p, metrics=["auc"], replicates=200, seed=4)
    assert not np.array_equal(other["auc"].replicates, found[0]["auc"].replicates)
    delong = metrics.auc_interval(y, p)
    assert delong.lower == pytest.approx(found[0]["auc"].lower, abs=0.01)
    with pytest.raises(cvm.InvalidInputError, match="name `gini`"):
        metrics.bootstrap(y, p, metrics=["gini"])
    with pytest.raises(ZeroDivisionError):
        metrics.bootstrap(y, p, progress=lambda *_: 1 / 0)


def test_models_of_any_make_are_judged_on_the_same_folds(rows):
    X, y = rows
    models = {
        "ours": LogisticChurn(),
        "scikit-learn": LogisticRegression(),
        "forest": RandomForestClassifier(n_estimators=20, max_depth=2, random_state=0),
    }
    found = cross_validate(models, X, y, replicates=200, progress=False)
    assert list(found.results) == list(models)
    assert not found.warnings
    for name, p in found.probabilities.items():
        auc = found[name]["auc"]
        assert auc.value == pytest.approx(sk.roc_auc_score(y, p))
        assert auc.lower < auc.value < auc.upper
    shares = [y[found.fold == k].mean() for k in range(5)]
    assert max(shares) - min(shares) < 0.01
    gaps = {(d.model, d.metric): d for d in found.differences("ours")}
    close = gaps["scikit-learn", "auc"]
    own = found["ours"]["auc"]
    assert close.upper - close.lower < 0.5 * (own.upper - own.lower), "pairs differ by less"
    assert gaps["forest", "log_loss"].is_clear
    assert len(found.table()) == 3 * len(metrics.METRICS)
    assert "scikit-learn" in str(found)
    assert "<table>" in found._repr_html_()
    again = cross_validate(LogisticChurn(), X, y, replicates=0, progress=False)
    assert np.array_equal(again.probabilities["LogisticChurn"], found.probabilities["ours"])
    for draw in ("gain", "lift", "reliability", "profit"):
        axes = getattr(found, f"plot_{draw}")()
        labels = [line.get_label() for line in axes.get_lines()]
        assert set(models) <= set(labels)
    mpl.pyplot.close("all")


@pytest.mark.parametrize("kind", ["pandas", "polars", "dict"])
def test_tables_of_any_kind_give_the_same_numbers(rows, kind):
    X, y = rows
    table = {"pandas": X, "polars": pl.from_pandas(X), "dict": {c: X[c].to_numpy() for c in X}}
    found = cross_validate(LogisticChurn(), table[kind], y, replicates=0, progress=False)
    want = cross_validate(LogisticChurn(), X, y, replicates=0, progress=False)
    got, expected = (f.probabilities["LogisticChurn"] for f in (found, want))
    assert np.array_equal(got, expected)


def test_time_based_splits_never_train_on_the_future(rows):
    X, y = rows
    dates = pd.date_range("2023-01-01", periods=len(X), freq="6h")
    X = X.assign(month=dates, left=y)

    seen = []

    class Watcher:
        def fit(self, X, _):
            seen.append(X.index.max())
            return self

        def predict_proba(self, X):
            assert X.index.min() > seen[-1] + 39, "ten days of six hours"
            assert list(X.columns) == ["fee", "calls"]
            return np.column_stack([np.full(len(X), 0.7), np.full(len(X), 0.3)])

    found = cross_validate(
        Watcher(), X, "left", time="month", gap="10 days", folds=3, replicates=0, progress=False
    )
    assert len(found.splits) == 3
    assert (found.fold[: len(X) // 2 - 1] == -1).all()
    assert (found.fold[len(X) // 2 :] >= 0).all()
    marked = cross_validate(
        Watcher(),
        X,
        "left",
        time="month",
        gap=np.timedelta64(10, "D"),
        cutoffs=["2023-08-01"],
        replicates=0,
        progress=False,
    )
    assert [label[:15] for label in marked.splits] == ["from 2023-08-01"]
    with pytest.raises(cvm.InvalidInputError, match="gap: is"):
        cross_validate(Watcher(), X, "left", time="month", gap="a while")
    with pytest.raises(cvm.InvalidInputError, match="time: is not given"):
        cross_validate(Watcher(), X, "left", gap="10 days")


def test_groups_are_never_on_both_sides(rows):
    X, y = rows
    customer = np.arange(len(X)) // 4

    class Watcher:
        def fit(self, X, _):
            self.customers = set(customer[X.index])
            return self

        def predict_proba(self, X):
            assert not self.customers & set(customer[X.index])
            return np.full((len(X), 2), 0.5)

    found = cross_validate(Watcher(), X, y, groups=customer, replicates=50, progress=False)
    assert (found.fold >= 0).all()
    with pytest.raises(cvm.InvalidInputError, match="groups: are 1"):
        cross_validate(Watcher(), X, y, groups=np.zeros(len(X)))


def test_leaks_that_can_be_seen_are_told(rows):
    X, y = rows
    rng = np.random.default_rng(0)
    bad = X.assign(
        oracle=y + rng.normal(0, 0.1, len(y)),
        churn_reason=np.where(y, "price", "none"),
        customer=[f"c{i}" for i in range(len(y))],
        refund=np.where(y, 1.0, np.nan),
        survey=rng.normal(size=len(y)),
    )
    with pytest.warns(cvm.LeakWarning) as told:
        found = cross_validate(
            LogisticRegression(),
            bad[["fee", "calls", "survey"]].assign(oracle=bad["oracle"]),
            y,
            replicates=0,
            progress=False,
            observed={"survey": "2024-02-01"},
            as_of="2024-01-01",
        )
    assert len(told) == len(found.warnings) == 2
    assert "`oracle` alone has an AUC" in found.warnings[0]
    assert "`survey` was observed after" in found.warnings[1]
    flat = np.full(len(y), 0.5)
    with pytest.warns(cvm.LeakWarning):
        found = evaluate(flat, bad, y, replicates=0)
    text = "\n".join(found.warnings)
    for words in (
        "`churn_reason` is named like",
        "`churn_reason` alone",
        "`customer` looks like an identifier",
        "`refund` alone",
    ):
        assert words in text, text
    twice = pd.concat([X, X], ignore_index=True)
    with pytest.warns(cvm.LeakWarning, match="twin"):
        cross_validate(LogisticRegression(), twice, np.tile(y, 2), replicates=0, progress=False)
    with pytest.warns(cvm.LeakWarning, match="named like the outcome"):
        evaluate(flat, X.assign(was_gone=X["fee"], gone=y), "gone", replicates=0)


def test_what_cannot_be_judged_is_named(rows):
    X, y = rows
    with pytest.raises(cvm.InvalidInputError, match="folds: is 1"):
        cross_validate(LogisticChurn(), X, y, folds=1)
    with pytest.raises(cvm.InvalidInputError, match="must have fit"):
        cross_validate(object(), X, y)
    with pytest.raises(cvm.InvalidInputError, match="no probability for 1 of"):
        evaluate(np.r_[np.nan, np.full(len(y) - 1, 0.5)], X, y)
    with pytest.raises(cvm.InvalidInputError, match='is "maybe"'):
        evaluate(np.full(2, 0.5), {"x": [1.0, 2.0]}, ["maybe", "yes"])


def test_drift_tells_what_moved_and_only_that(rows):
    X, y = rows
    rng = np.random.default_rng(1)
    X = X.assign(plan=rng.choice(["a", "b", "c"], len(X), p=[0.6, 0.39, 0.01]))
    model = LogisticChurn().fit(X, y)
    same = model.drift(X)
    assert same.score.psi == 0
    assert {own.level for own in same.fields} == {"stable"}
    stored = str(model.fit_report_["profile"])
    assert "'c'" not in stored, "a level of a dozen customers is not told"
    now = X.assign(
        fee=X["fee"] + 12, plan=np.where(rng.uniform(size=len(X)) < 0.3, "new", X["plan"])
    )
    moved = cvm.from_bytes(model.to_bytes()).drift(now)
    assert moved.alarms[0] in {"fee", "plan", "churn_probability"}
    assert {"fee", "plan"} <= set(moved.alarms)
    assert moved["calls"].level == "stable"
    assert moved["plan"].other_now == pytest.approx(0.3, abs=0.06)
    assert moved.score.name == "churn_probability"
    assert "alarm" in str(moved)
    assert "<table>" in moved._repr_html_()
    assert len(moved.to_pandas()) == 4
    # The index of half the fields of small samples is above 0.1 by chance alone.
    small = model.drift(X.sample(60, random_state=0))
    assert small["fee"].level == "stable"
    trees = cvm.from_sklearn(RandomForestClassifier(5, max_depth=3).fit(X[["fee", "calls"]], y))
    with pytest.raises(cvm.InvalidInputError, match="has no profile"):
        trees.drift(X)
    assert trees.profiled(X).drift(X).score.psi == 0


def test_profit_and_reliability_are_drawn(rows):
    X, y = rows
    p = 1 / (1 + np.exp(-(X["fee"] - 50) / 10))
    axes = plot.plot_profit(y, p, value=np.full(len(y), 300.0))
    curve = metrics.profit_curve(y, p, value=np.full(len(y), 300.0))
    assert np.array_equal(axes.get_lines()[0].get_ydata(), curve.profit)
    axes = plot.plot_calibration(y, p, binning="mass")
    assert len(axes.collections) == 1, "intervals"
    mpl.pyplot.close("all")
