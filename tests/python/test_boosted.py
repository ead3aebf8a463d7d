"""Boosted churn trees from Python: labels, held-out customers, shape functions, Ctrl-C."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import cvm

SETTINGS = {"rounds": 60, "learning_rate": 0.1}


@pytest.fixture(scope="module")
def boosted(telco):
    return cvm.BoostedChurn(**SETTINGS).fit(telco, "Churn")


def test_probabilities_rank_the_churners(telco, boosted):
    p = boosted.predict_proba(telco)
    assert boosted.classes_.tolist() == ["No", "Yes"]
    assert np.allclose(p.sum(axis=1), 1.0)
    assert cvm.metrics.auc(telco["Churn"] == "Yes", p[:, 1]) > 0.85
    assert set(boosted.predict(telco)) == {"No", "Yes"}
    assert boosted.feature_importances_.sum() == pytest.approx(1.0)
    assert boosted.n_trees_ <= 60


def test_threads_and_files_keep_every_bit(telco, boosted, tmp_path):
    again = cvm.BoostedChurn(**SETTINGS, threads=1).fit(telco, "Churn")
    assert again.fingerprint_ == boosted.fingerprint_
    loaded = cvm.load(boosted.save(tmp_path / "trees.cvm"))
    assert isinstance(loaded, cvm.BoostedChurn)
    logits = boosted.decision_function(telco)
    assert np.array_equal(loaded.decision_function(telco), logits)
    assert np.array_equal(pickle.loads(pickle.dumps(boosted)).decision_function(telco), logits)


def test_attributions_add_up(telco, boosted):
    rows = telco.head(50)
    values = boosted.shap_values(rows)
    base = boosted.decision_function(rows) - values.sum(axis=1)
    assert np.ptp(base) < 1e-9


@pytest.mark.parametrize("grow", ["oblivious", "leafwise"])
@pytest.mark.parametrize("order", [1, 2])
def test_shape_functions_add_up_to_the_logit(telco, grow, order):
    model = cvm.BoostedChurn(**SETTINGS, grow=grow, interaction_order=order).fit(telco, "Churn")
    effects = model.shape_functions_
    assert max(len(shape.axes) for shape in effects) == order
    rows = telco.head(300)
    total = np.full(len(rows), effects.intercept)
    for shape in effects:
        total += shape.contribution(*(rows[name] for name in shape.names))
    assert np.abs(total - model.decision_function(rows)).max() < 1e-10


def test_models_of_higher_order_have_no_shape_functions(boosted):
    with pytest.raises(cvm.InvalidInputError, match="interaction_order"):
        _ = boosted.shape_functions_


def test_held_out_customers_stop_the_fit(telco):
    early = cvm.BoostedChurn(early_stopping_rounds=5, learning_rate=0.3, min_gain=0.0)
    mask = np.arange(len(telco)) % 5 == 0
    model = early.fit(telco, "Churn", validation=mask)
    assert len(model.held_out_loss_) == model.n_trees_ + 5
    assert model.fit_report_["data"]["held_out_count"] == mask.sum()
    by_group = early.fit(telco, "Churn", groups=np.arange(len(telco)) // 10)
    assert by_group.fit_report_["data"]["held_out_count"] % 10 in {0, 3}


def test_an_error_of_the_callback_stops_the_fit(telco):
    seen = []

    def tell(done, total):
        seen.append((done, total))
        if done == 3:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cvm.BoostedChurn(**SETTINGS).fit(telco, "Churn", progress=tell)
    assert seen == [(1, 60), (2, 60), (3, 60)]


def test_mistakes_are_told_by_name(telco, boosted):
    with pytest.raises(cvm.InvalidInputError, match="depth"):
        cvm.BoostedChurn(depth=99).fit(telco, "Churn")
    named = telco.assign(customerID=[f"c{row}" for row in range(len(telco))])
    with pytest.raises(cvm.InvalidInputError, match="customerID"):
        cvm.BoostedChurn().fit(named, "Churn")
    with pytest.raises(cvm.InvalidInputError, match="tenure"):
        boosted.predict_proba(telco.drop(columns="tenure"))
    with pytest.raises(cvm.InvalidInputError, match="gone"):
        cvm.BoostedChurn(**SETTINGS).fit(telco, "Churn", groups="gone")


def test_a_class_weight_leaves_the_mean_alone(telco, boosted):
    weighted = cvm.BoostedChurn(**SETTINGS, class_weight="balanced").fit(telco, "Churn")
    means = [model.predict_proba(telco)[:, 1].mean() for model in (boosted, weighted)]
    assert means[0] == pytest.approx(means[1], abs=0.01)
    assert weighted.fit_report_["data"]["class_weight_correction"] > 1.0
