"""Logistic churn on the Telco table: accuracy, labels, scikit-learn, encodings."""

from __future__ import annotations

import numpy as np
import pandas as pd
import polars as pl
import pytest

import cvm
from cvm import metrics


def test_cross_validated_accuracy_is_what_is_promised(telco):
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    X, y = telco.drop(columns="Churn"), telco["Churn"]
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    p = cross_val_predict(cvm.LogisticChurn(), X, y, cv=folds, method="predict_proba")[:, 1]
    assert metrics.auc(y == "Yes", p) >= 0.845
    assert metrics.ece(y == "Yes", p, bins=10) <= 0.025


def test_scikit_learn_scores_it_by_any_scorer(telco):
    from sklearn.model_selection import cross_val_score

    X, y = telco.drop(columns="Churn"), telco["Churn"] == "Yes"
    for scoring in ("roc_auc", "neg_brier_score", None):
        scores = cross_val_score(cvm.LogisticChurn(), X, y, cv=2, scoring=scoring)
        assert np.isfinite(scores).all()
    aucs = cross_val_score(cvm.LogisticChurn(), X, y, cv=2, scoring="roc_auc")
    assert aucs.min() > 0.82


def test_labels_of_any_type_give_the_same_model(telco, churn):
    X = telco.drop(columns="Churn")
    expected = churn.predict_proba(telco)
    truths = {
        "text": (telco["Churn"], ["No", "Yes"]),
        "list": (telco["Churn"].tolist(), ["No", "Yes"]),
        "bool": ((telco["Churn"] == "Yes").to_numpy(), [False, True]),
        "int": ((telco["Churn"] == "Yes").astype(int), [0, 1]),
        "float": ((telco["Churn"] == "Yes").astype(float).to_numpy(), [0.0, 1.0]),
    }
    for y, classes in truths.values():
        model = cvm.LogisticChurn().fit(X, y)
        assert model.classes_.tolist() == classes
        assert model.predict_proba(X).tobytes() == expected.tobytes()
        assert set(np.unique(model.predict(X)).tolist()) == set(classes)


def test_the_label_of_churn_can_be_named(telco):
    X = telco.drop(columns="Churn")
    y = np.where(telco["Churn"] == "Yes", "gone", "here")
    with pytest.raises(cvm.InvalidInputError, match=r"gone.*here|positive"):
        cvm.LogisticChurn().fit(X, y)
    model = cvm.LogisticChurn(positive="gone").fit(X, y)
    assert model.classes_.tolist() == ["here", "gone"]
    assert metrics.auc(y == "gone", model.predict_proba(X)[:, 1]) > 0.84


@pytest.mark.parametrize("y", [np.zeros(20), np.arange(20) % 3, np.array(["a"] * 20)])
def test_a_target_needs_two_labels(y):
    with pytest.raises(cvm.InvalidInputError):
        cvm.LogisticChurn().fit({"x": np.arange(20.0)}, y)


def test_a_target_must_fit_the_table(telco):
    with pytest.raises(cvm.InvalidInputError, match=r"columns\.Gone: is missing: the target"):
        cvm.LogisticChurn().fit(telco, "Gone")
    with pytest.raises(cvm.InvalidInputError, match="y: has 2 rows, X has 7043"):
        cvm.LogisticChurn().fit(telco.drop(columns="Churn"), [0, 1])
    with pytest.raises(cvm.InvalidInputError, match="dimensions, expected 1"):
        cvm.LogisticChurn().fit(telco, np.zeros((7043, 2)))


def test_what_it_reads_and_what_it_found(churn, telco):
    assert set(churn.feature_names_in_) == set(telco.columns) - {"Churn"}
    assert churn.n_features_in_ == 19
    assert churn.coef_.shape == (1, len(churn.params_) - 1)
    assert churn.intercept_.shape == (1,)
    assert next(iter(churn.params_)) == "intercept"
    per_unit, per_sd = churn.coef_table(), churn.coef_table(standardised=True)
    assert len(per_sd) == len(per_unit) - 1
    for row in per_sd:
        assert row.z == pytest.approx(per_unit[row.parameter].z, nan_ok=True)


def test_columns_in_any_order_and_extra_ones_change_nothing(churn, telco):
    expected = churn.predict_proba(telco)
    shuffled = telco[telco.columns[::-1]].assign(extra=object())
    assert churn.predict_proba(shuffled).tobytes() == expected.tobytes()
    assert churn.predict_proba(pl.from_pandas(telco)).tobytes() == expected.tobytes()
    logit = churn.decision_function(telco)
    assert np.all((logit > 0) == (expected[:, 1] > 0.5))


def test_columns_can_be_chosen(telco):
    chosen = cvm.LogisticChurn(numeric=["tenure"], categorical=["Contract"]).fit(telco, "Churn")
    assert sorted(chosen.feature_names_in_) == ["Contract", "tenure"]
    ignoring = cvm.LogisticChurn(ignore=["gender", "tenure"]).fit(telco, "Churn")
    assert not {"gender", "tenure"} & set(ignoring.feature_names_in_)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"knots": 99}, "knots.*99"),
        ({"unseen": "guess"}, "guess"),
        ({"penalty": -1.0}, "penalty.*-1"),
        ({"ignore": ["customerId"]}, r"ignore: names \['customerId'\]"),
        ({"numeric": ["nope"], "categorical": []}, "columns.nope: is missing"),
        ({"categorical": ["Contract"], "max_levels": 2}, "max_levels|levels"),
    ],
)
def test_settings_are_checked_by_name(telco, setting, message):
    with pytest.raises(cvm.InvalidInputError, match=message):
        cvm.LogisticChurn(**setting).fit(telco, "Churn")


def test_an_unseen_level_is_scored_or_refused_as_told(churn, telco):
    odd = telco.head(2).copy()
    odd.loc[odd.index[0], "Contract"] = "Ten years"
    assert np.isfinite(churn.predict_proba(odd)).all()
    strict = cvm.LogisticChurn(unseen="reject").fit(telco, "Churn")
    assert strict.score_frame(odd)["status"].tolist() == ["unseen_level", "ok"]
    with pytest.raises(
        cvm.InvalidInputError, match=r"1 rows without a score, such as row 0: Contract"
    ):
        strict.predict(odd)


def test_missing_numbers_are_imputed(churn, telco):
    gap = telco.head(3).copy()
    gap["tenure"] = [np.nan, 1, 2]
    assert np.isfinite(churn.predict_proba(gap)).all()
    assert (
        churn.score_frame(gap.assign(tenure=[np.inf, 1, 2]))["status"].tolist()[0] == "not_finite"
    )


def test_a_threshold_moves_the_border(churn, telco):
    shares = [float((churn.predict(telco, threshold=t) == "Yes").mean()) for t in (0.2, 0.5, 0.8)]
    assert shares == sorted(shares, reverse=True)
    accuracy = churn.score(telco.drop(columns="Churn"), telco["Churn"])
    assert accuracy == pytest.approx(float((churn.predict(telco) == telco["Churn"]).mean()))


def test_sample_weights_count_rows(telco):
    X, y = telco.drop(columns="Churn").head(500), telco["Churn"].head(500)
    doubled = cvm.LogisticChurn(penalty=2.0).fit(pd.concat([X, X]), pd.concat([y, y]))
    weighted = cvm.LogisticChurn(penalty=2.0).fit(X, y, sample_weight=np.full(500, 2.0))
    a, b = doubled.predict_proba(X), weighted.predict_proba(X)
    assert a == pytest.approx(b, rel=1e-6)


def test_a_matrix_is_a_table():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(400, 2))
    y = (X[:, 0] + 0.5 * rng.normal(size=400)) > 0
    model = cvm.LogisticChurn(numeric_basis="linear").fit(X, y)
    assert model.feature_names_in_.tolist() == ["x0", "x1"]
    assert model.params_["x0"] > 1
    named = cvm.LogisticChurn(numeric_basis="linear").fit(X, y, columns=["u", "v"])
    assert named.predict_proba(X).tobytes() == model.predict_proba(X).tobytes()
