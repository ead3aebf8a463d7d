"""Models by the conventions: known answers, parameters, errors, warnings, tables of parameters."""

from __future__ import annotations

import inspect

import numpy as np
import pytest

import cvm
from cvm._base import MODEL_CLASSES
from cvm._core import CATALOG
from cvm._fitted import FittedModel
from cvm.clv._parametric import ParametricModel
from support import PUBLISHED


def test_every_kind_has_a_class_with_its_title():
    assert {kind: MODEL_CLASSES[kind].title for kind, _, _ in CATALOG} == {
        kind: title for kind, title, _ in CATALOG
    }


def test_bg_nbd_on_cdnow_is_the_published_fit(cdnow, purchase):
    # Fader, Hardie & Lee (2005), table 2: .243 4.414 .793 2.426, LL -9582.4.
    expected = {"r": 0.2426, "alpha": 4.4136, "a": 0.7929, "b": 2.4259}
    assert purchase.params_ == pytest.approx(expected, abs=5e-5)
    assert purchase.log_likelihood_ == pytest.approx(-9582.429, abs=5e-4)
    assert purchase.converged_ is True
    forecast = purchase.predict(cdnow, horizon=39)
    assert forecast.sum() == pytest.approx(1653.4, abs=0.05)
    error = np.abs(forecast - cdnow["holdout_frequency"]).mean()
    assert error == pytest.approx(0.7855, abs=5e-5)


def test_gamma_gamma_on_cdnow_is_the_published_fit(spend):
    assert spend.params_ == pytest.approx({"p": 6.249, "q": 3.744, "v": 15.447}, abs=4e-3)
    assert spend.log_likelihood_ == pytest.approx(-4055.918, abs=5e-4)
    assert spend.fit_report_["excluded_row_count"] == 2357 - 946


def test_standard_errors_are_the_roots_of_the_covariance(purchase, spend, churn):
    for model in (purchase, spend, churn):
        errors = np.array(list(model.standard_errors_.values()))
        assert np.sqrt(np.diag(model.covariance_)) == pytest.approx(errors, rel=1e-12, nan_ok=True)
        assert np.all(errors[np.isfinite(errors)] > 0)
        assert list(model.standard_errors_) == list(model.params_)


def test_a_summary_says_estimate_error_and_interval(purchase, churn):
    table = purchase.summary(level=0.9)
    row = table["r"]
    assert row.estimate == purchase.params_["r"]
    assert row.standard_error == purchase.standard_errors_["r"]
    assert row.z == pytest.approx(row.estimate / row.standard_error)
    assert 0 < row.ci_low < row.estimate < row.ci_high
    # On the logarithm the interval is symmetric: 1.6449 standard errors each way.
    assert np.log(row.ci_high / row.estimate) == pytest.approx(
        1.644854 * row.standard_error / row.estimate, rel=1e-6
    )
    text = str(table)
    assert "log-likelihood: -9582.429" in text
    assert "90 % low" in text
    assert table.to_pandas().loc["alpha", "estimate"] == purchase.params_["alpha"]
    assert "<table>" in table._repr_html_()
    assert len(churn.summary()) == len(churn.params_)
    with pytest.raises(cvm.InvalidInputError, match="level: is 1"):
        purchase.summary(level=1)


def test_a_paper_s_parameters_make_a_model(published):
    assert published.params_ == PUBLISHED
    assert published.converged_ is None
    assert np.isnan(published.log_likelihood_)
    customer = {"frequency": [2.0], "recency": [30.43], "T": [38.86]}
    # Fader, Hardie & Lee (2005): 1.226 purchases in the next 39 weeks.
    assert published.predict(customer, horizon=39)[0] == pytest.approx(1.226, abs=5e-4)
    assert (
        published.expected_purchases(customer, horizon=39).tobytes()
        == published.predict(customer, horizon=39).tobytes()
    )
    alive = published.p_alive(customer)[0]
    assert alive == pytest.approx(0.7266, abs=5e-4)
    assert published.predict_proba(customer)[0].tolist() == [alive, 1 - alive]
    assert published.classes_.tolist() == ["alive", "lapsed"]


@pytest.mark.parametrize(
    ("params", "field"),
    [
        ({"r": 1.0}, "params.alpha: is missing"),
        ({**PUBLISHED, "q": 1.0}, "params.q: is unknown; known: r, alpha, a, b"),
        ({**PUBLISHED, "r": -1.0}, "params.r: is -1: must be a finite number > 0"),
        ({**PUBLISHED, "r": float("nan")}, "params.r: is NaN"),
        ({**PUBLISHED, "r": "x"}, "params.r: is 'x': must be a number"),
    ],
)
def test_wrong_parameters_are_named(params, field):
    with pytest.raises(cvm.InvalidInputError, match=field):
        cvm.BgNbd.from_params(params)


def test_time_units_have_names():
    assert (
        cvm.BgNbd.from_params(PUBLISHED, time_unit="Weeks").fingerprint_
        == cvm.BgNbd.from_params(PUBLISHED, time_unit="week").fingerprint_
    )
    with pytest.raises(
        cvm.InvalidInputError, match='time_unit: is "fortnight": must be one of second'
    ):
        cvm.BgNbd.from_params(PUBLISHED, time_unit="fortnight")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"horizon": 0.0}, r"options.horizon_periods: is 0: must be a number > 0"),
        ({"horizon": float("nan")}, "options.horizon_periods: is NaN"),
        ({"horizon": "39"}, "horizon: is '39': must be a number"),
        ({"horizon": True}, "horizon: is True: must be a number"),
        ({"outputs": ["p_alve"], "horizon": 1}, r"options.outputs\[0\]: `p_alve` is unknown"),
        ({"outputs": "p_alive"}, 'outputs: is the text "p_alive"'),
        ({"outputs": ["expected_purchases"]}, "options.horizon_periods: is not set"),
        ({"elapsed": -1.0}, "options.elapsed_periods: is -1: must be a finite number >= 0"),
    ],
)
def test_wrong_options_are_named(published, rows, options, message):
    with pytest.raises(cvm.InvalidInputError, match=message):
        published.score_frame(rows, **options)


def test_a_fit_refuses_rows_it_cannot_use(rows):
    with pytest.raises(
        cvm.InvalidInputError, match=r"1 missing, 1 out_of_range, 1 inconsistent"
    ) as caught:
        cvm.BgNbd().fit(rows)
    assert caught.value.violations[0][0] == "columns.frequency[3]"


def test_a_fit_that_stops_early_warns_or_raises(cdnow):
    with pytest.warns(cvm.ConvergenceWarning, match="did not converge in 1 steps") as caught:
        model = cvm.BgNbd(max_iter=1).fit(cdnow)
    assert caught[0].filename == __file__
    assert model.converged_ is False
    with pytest.raises(cvm.NotConvergedError, match="reached log-likelihood"):
        cvm.BgNbd(max_iter=1, on_not_converged="raise").fit(cdnow)
    with pytest.raises(cvm.InvalidInputError, match="on_not_converged"):
        cvm.BgNbd(on_not_converged="ignore").fit(cdnow)


def test_a_search_is_told_of_and_ends_by_an_error_of_the_callback(cdnow):
    seen = []
    model = cvm.BgNbd().fit(cdnow, progress=lambda *told: seen.append(told))
    assert [step for step, _ in seen[:3]] == [0, 1, 2]
    assert seen[-1][1] == pytest.approx(model.log_likelihood_, abs=1e-3)

    def stop(step, _log_likelihood):
        if step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cvm.BgNbd().fit(cdnow, progress=stop)


def test_weights_count_rows(cdnow):
    twice = {name: np.concatenate([values, values]) for name, values in cdnow.items()}
    doubled = cvm.BgNbd().fit(twice)
    weights = np.full(len(cdnow["T"]), 2.0)
    by_array = cvm.BgNbd().fit(cdnow, weight=weights)
    by_column = cvm.BgNbd().fit({**cdnow, "w": weights}, weight="w")
    assert by_array.params_ == by_column.params_
    assert by_array.log_likelihood_ == pytest.approx(doubled.log_likelihood_, rel=1e-12)
    assert by_array.params_ == pytest.approx(doubled.params_, rel=1e-6)
    with pytest.raises(cvm.InvalidInputError, match="must be a finite number > 0"):
        cvm.BgNbd().fit(cdnow, weight=-weights)


def test_threads_and_a_penalty(cdnow, purchase):
    for threads in (1, 2, 3):
        assert (
            cvm.BgNbd(threads=threads).fit(cdnow, time_unit="week").fingerprint_
            == purchase.fingerprint_
        )
    shrunk = cvm.BgNbd(penalty=100.0).fit(cdnow)
    assert shrunk.params_["alpha"] < purchase.params_["alpha"]
    with pytest.raises(cvm.InvalidInputError, match="penalty"):
        cvm.BgNbd(penalty=-1.0).fit(cdnow)


def test_a_newcomer_s_purchases_grow_from_zero(purchase):
    times = np.array([[0.0, 32.0], [78.0, 32.0]])
    expected = purchase.expected_purchases_new(times)
    assert expected.shape == (2, 2)
    assert expected[0, 0] == 0.0
    assert expected[0, 1] == expected[1, 1]
    # Hardie's spreadsheet for Fader, Hardie & Lee (2005), as quoted in the tests of lifetimes.
    assert expected[0, 1] == pytest.approx(1.0437, abs=5e-5)
    assert expected[1, 0] == pytest.approx(1.8576, abs=5e-4)


def test_lifetime_value_is_the_product(cdnow, purchase, spend, value):
    plain = value.predict(cdnow, horizon=39)
    product = purchase.predict(cdnow, horizon=39) * spend.predict(cdnow)
    assert plain == pytest.approx(product, rel=1e-13)
    discounted = value.predict(cdnow, horizon=39, discount_rate=0.15, margin=0.5)
    assert np.all(discounted < 0.5 * plain)
    assert value.p_alive(cdnow).tobytes() == purchase.p_alive(cdnow).tobytes()
    names = list(value.score_frame(cdnow, horizon=39))
    assert names == ["p_alive", "expected_purchases", "expected_spend", "lifetime_value", "status"]
    assert [row.parameter for row in value.summary()] == ["r", "alpha", "a", "b", "p", "q", "v"]


def test_discounting_needs_a_time_unit(cdnow, spend):
    timeless = cvm.LifetimeValue(cvm.BgNbd.from_params(PUBLISHED), spend)
    assert np.isfinite(timeless.predict(cdnow, horizon=39)).all()
    with pytest.raises(cvm.InvalidInputError, match=r"time_unit|time unit"):
        timeless.predict(cdnow, horizon=39, discount_rate=0.1)


def test_lifetime_value_follows_its_parts(cdnow, purchase, spend, published):
    model = cvm.LifetimeValue(purchase, spend)
    before = model.predict(cdnow, horizon=39)
    model.set_params(purchase=published)
    assert model.purchase_ is published
    assert model.predict(cdnow, horizon=39).tobytes() != before.tobytes()
    fitted = cvm.LifetimeValue(cvm.BgNbd(), cvm.GammaGamma()).fit(cdnow, time_unit="week")
    assert fitted.predict(cdnow, horizon=39).tobytes() == before.tobytes()
    assert fitted.purchase._fitted is None
    with pytest.raises(cvm.NotFittedError):
        cvm.LifetimeValue(cvm.BgNbd(), cvm.GammaGamma()).predict(cdnow, horizon=39)
    with pytest.raises(cvm.InvalidInputError, match="purchase: is None"):
        cvm.LifetimeValue().predict(cdnow, horizon=39)


def test_parts_of_a_composed_model_come_back_whole():
    count = np.arange(60.0)
    frequency = np.array([0.0, 0, 0, 1, 0, 6, 0, 2, 0, 12] * 6)
    rows = {"frequency": frequency, "recency": np.minimum(frequency, 19.0), "T": 20.0 + count % 7}
    rows |= {
        "z": count // 10 % 2,
        "monetary_value": np.where(frequency > 0, 1 + count * 37 % 101, 0.0),
    }
    purchase = cvm.clv.Nbd(purchase_covariates=["z"]).fit(rows, time_unit="week")
    model = cvm.LifetimeValue(purchase, cvm.GammaGamma().fit(rows))
    again = cvm.from_bytes(model.to_bytes())
    assert again.purchase_.params_ == purchase.params_
    assert "purchase.z" in again.purchase_.params_
    assert again.purchase_.standard_errors_ == purchase.standard_errors_
    assert again.purchase_.fit_report_ == purchase.fit_report_
    scores = again.purchase_.expected_purchases(rows, horizon=4)
    assert scores.tobytes() == purchase.expected_purchases(rows, horizon=4).tobytes()
    # Composed again of its parts, it is the same file.
    assert cvm.LifetimeValue(again.purchase_, again.spend_).fingerprint_ == model.fingerprint_


def test_contract_value_is_the_payment_times_the_lifetime():
    history = {"tenure": [1.0, 2.0, 2.0, 4.0, 5.0], "churned": [1.0, 1.0, 0.0, 1.0, 0.0]}
    model = cvm.clv.ContractValue(cvm.clv.Geometric(), currency="EUR")
    assert model.fit(history, time_unit="year") is model
    assert model.contract._fitted is None
    customers = {"tenure": np.array([0.0, 3.0]), "value_per_period": np.array([40.0, -2.5])}
    options = {"horizon": np.inf, "discount_rate": 0.1}
    value = model.predict(customers, margin=0.5, cost_per_period=1, **options)
    paid = model.contract_.expected_lifetime(customers, **options)
    assert value.tolist() == ([19.0, -2.25] * paid).tolist()
    residual = model.residual_value(customers, margin=0.5, cost_per_period=1, **options)
    assert value == pytest.approx(np.array([19.0, -2.25]) + residual / 1.1, rel=1e-13)
    scores = model.score_frame(customers, interval=0.9, **options)
    assert (scores["lifetime_value_lower"] < scores["lifetime_value"]).all()
    assert [row.parameter for row in model.summary()] == ["odds"]
    again = cvm.from_bytes(model.to_bytes())
    assert isinstance(again, cvm.clv.ContractValue)
    assert again.currency == "EUR"
    assert again.contract_.params_ == model.contract_.params_
    again_value = again.predict(customers, margin=0.5, cost_per_period=1, **options)
    assert again_value.tobytes() == value.tobytes()
    with pytest.raises(cvm.InvalidInputError, match="contract: is None"):
        cvm.clv.ContractValue().predict(customers)


def test_an_unfitted_model_says_so(rows):
    with pytest.raises(cvm.NotFittedError, match="this BgNbd is not fitted"):
        cvm.BgNbd().predict(rows, horizon=1)
    assert not hasattr(cvm.BgNbd(), "params_")


@pytest.mark.parametrize("model_class", list(MODEL_CLASSES.values()), ids=list(MODEL_CLASSES))
def test_init_only_stores_its_arguments(model_class):
    signature = inspect.signature(model_class.__init__)
    names = [name for name in signature.parameters if name != "self"]
    sentinels = {name: object() for name in names}
    model = model_class(**sentinels)
    assert {name: getattr(model, name) for name in names} == sentinels
    assert model.get_params(deep=False) == sentinels
    if issubclass(model_class, FittedModel):
        kinds = {signature.parameters[name].kind for name in names}
        assert kinds == {inspect.Parameter.KEYWORD_ONLY}


def test_parameters_can_be_set_and_shown():
    model = cvm.LifetimeValue(cvm.BgNbd(), cvm.GammaGamma())
    model.set_params(purchase__penalty=0.5)
    assert model.get_params()["purchase__penalty"] == 0.5
    assert repr(model) == "LifetimeValue(purchase=BgNbd(penalty=0.5), spend=GammaGamma())"
    with pytest.raises(cvm.InvalidInputError, match=r"params\.penalti: is unknown; known: penalty"):
        cvm.BgNbd().set_params(penalti=1)


def test_scikit_learn_clones_every_model(purchase):
    from sklearn.base import clone

    for model_class in MODEL_CLASSES.values():
        copy = clone(model_class())
        assert type(copy) is model_class
    assert clone(purchase.set_params(max_iter=200)).get_params() == purchase.get_params()


def test_parametric_classes_name_the_columns_they_read():
    for model_class in MODEL_CLASSES.values():
        if issubclass(model_class, ParametricModel):
            with pytest.raises(cvm.InvalidInputError) as caught:
                model_class().fit({"nothing": [1.0]})
            fields = [field for field, _ in caught.value.violations]
            assert fields == [f"columns.{name}" for name in model_class.fit_columns]
