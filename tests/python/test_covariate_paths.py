"""Paths of covariates: a long table to numbered columns, fits, refusals, files."""

import numpy as np
import pytest

import cvm
from cvm.clv import BdwTv, ParetoNbd, ParetoNbdTv, covariate_path_columns
from cvm.errors import InvalidInputError, RowWarning

TRUTH = {"r": 0.9, "alpha": 6.0, "s": 1.2, "beta": 15.0, "purchase.season": 0.8}


def simulated(count, weeks=40, seed=4):
    """Customers, week by week, of the model in `TRUTH`; a season every fourth month."""
    rng = np.random.default_rng(seed)
    season = (np.arange(weeks + 20) // 4 % 3 == 1).astype(float)
    first = rng.integers(0, 12, count)
    log, rows = {"customer_id": [], "date": []}, []
    for customer in range(count):
        rate = rng.gamma(TRUTH["r"]) / TRUTH["alpha"]
        lifetime = rng.exponential() * TRUTH["beta"] / rng.gamma(TRUTH["s"])
        age = float(weeks - first[customer])
        edges = np.arange(first[customer], weeks)
        times = []
        for week in edges:
            count_here = rng.poisson(rate * np.exp(TRUTH["purchase.season"] * season[week]))
            times += list(week - first[customer] + rng.uniform(size=count_here))
        times = sorted(t for t in times if 0 < t < min(lifetime, age))
        rows.append((customer, len(times), times[-1] if times else 0.0, age))
        for time in [0.0, *times]:
            log["customer_id"].append(customer)
            log["date"].append(time)
    names = ("customer_id", "frequency", "recency", "T")
    customers = dict(zip(names, map(np.array, zip(*rows, strict=True)), strict=True))
    long = {"customer_id": [], "start": [], "end": [], "season": []}
    for customer in range(count):
        for week, value in enumerate(season):
            long["customer_id"].append(customer)
            long["start"].append(float(week - first[customer]))
            long["end"].append(float(week + 1 - first[customer]))
            long["season"].append(value)
    return customers, long, log


def test_a_fit_finds_the_coefficient_and_beats_the_plain_model():
    customers, long, log = simulated(400)
    model = ParetoNbdTv(purchase_covariates=["season"])
    model.fit(customers, covariate_paths=long, transactions=log, time_unit="week")
    assert model.converged_
    assert list(model.params_) == list(TRUTH)
    error = model.standard_errors_["purchase.season"]
    assert abs(model.params_["purchase.season"] - 0.8) < 4 * error
    assert error < 0.2
    plain = ParetoNbd().fit(customers)
    assert model.log_likelihood_ > plain.log_likelihood_ + 10


def test_scores_follow_the_plan_and_files_keep_them(tmp_path):
    customers, long, _ = simulated(30)
    model = ParetoNbdTv.from_params(TRUTH, time_unit="week")
    rows = covariate_path_columns(customers, long, ["season"])
    expected = model.predict(rows, horizon=20)
    quiet = dict(
        long,
        season=[v if s < 40 else 0.0 for v, s in zip(long["season"], long["start"], strict=True)],
    )
    assert (
        model.predict(covariate_path_columns(customers, quiet, ["season"]), horizon=20) <= expected
    ).all()
    again = cvm.load(model.save(tmp_path / "season.cvm"))
    assert isinstance(again, ParetoNbdTv)
    assert (again.predict(rows, horizon=20) == expected).all()
    assert list(again.params_) == list(TRUTH)
    with pytest.warns(RowWarning, match="covariates_until is"):
        assert np.isnan(model.predict(rows, horizon=100)).all()
    statuses = model.score_frame(rows, horizon=100)["status"]
    assert set(statuses) == {"not_covered"}


def test_zero_coefficients_are_the_plain_model():
    customers, long, _ = simulated(50)
    rows = covariate_path_columns(customers, long, ["season"])
    none = ParetoNbdTv.from_params({**TRUTH, "purchase.season": 0.0})
    own = {name: value for name, value in TRUTH.items() if "." not in name}
    plain = ParetoNbd.from_params(own)
    for got, want in [
        (none.p_alive(rows), plain.p_alive(customers)),
        (none.predict(rows, horizon=9.5), plain.predict(customers, horizon=9.5)),
        (none.pmf(rows, horizon=9.5, n_max=3), plain.pmf(customers, horizon=9.5, n_max=3)),
    ]:
        np.testing.assert_allclose(got, want, rtol=1e-10)


def test_dates_and_common_periods():
    customers = {
        "customer_id": ["a", "b"],
        "frequency": [1, 0],
        "recency": [1.0, 0.0],
        "T": [3.0, 2.0],
        "since": ["2026-01-05", "2026-01-12"],
    }
    weeks = {
        "start": ["2026-01-05", "2026-01-12", "2026-01-19", "2026-01-26"],
        "price": [1.0, 1.0, 2.0, 2.0],
    }
    rows = covariate_path_columns(
        customers, weeks, ["price"], unit="week", observation_end="2026-01-26"
    )
    assert rows["covariates_from_0"].tolist() == [0.0, 0.0]
    assert rows["covariates_from_1"].tolist() == [2.0, 1.0]
    assert rows["price_1"].tolist() == [2.0, 2.0]
    assert rows["covariates_until"].tolist() == [4.0, 3.0]
    other = covariate_path_columns(customers, weeks, ["price"], unit="week", origin="since")
    assert other["covariates_from_1"].tolist() == [2.0, 1.0]
    log = {"customer_id": ["a", "a", "b"], "date": ["2026-01-05", "2026-01-12", "2026-01-12"]}
    summed = covariate_path_columns(
        customers, weeks, ["price"], unit="week", origin="since", transactions=log
    )
    assert summed["price_at_purchases"].tolist() == [1.0, 0.0]
    with pytest.raises(InvalidInputError, match="unit"):
        covariate_path_columns(customers, weeks, ["price"], origin="since")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"customer_id": [0, 0, 7]}, "no period of customer"),
        ({"end": [1.0, 3.0, 9.0]}, "the next starts at 2"),
        ({"start": [0.0, 2.0, 9.0], "end": [2.0, 3.0, 12.0]}, None),
    ],
)
def test_gaps_and_absent_customers_are_refused(change, message):
    customers = {"customer_id": [0, 1], "frequency": [0, 0], "recency": [0, 0], "T": [1.0, 1.0]}
    long = {
        "customer_id": [0, 0, 1],
        "start": [0.0, 2.0, 0.0],
        "end": [2.0, 3.0, 9.0],
        "season": [1.0, 0.0, 1.0],
    }
    long.update(change)
    if message is None:
        rows = covariate_path_columns(customers, long, ["season"])
        assert rows["covariates_from_0"].tolist() == [0.0, 9.0]
        return
    with pytest.raises(InvalidInputError, match=message):
        covariate_path_columns(customers, long, ["season"])


def test_a_log_that_does_not_fit_the_summaries_is_refused():
    customers, long, log = simulated(5)
    log = {name: values[:-1] for name, values in log.items()}
    customers["frequency"] = customers["frequency"] + 1
    with pytest.raises(InvalidInputError, match="the summary"):
        covariate_path_columns(customers, long, ["season"], transactions=log)


def test_contracts_with_paths():
    rng = np.random.default_rng(8)
    count = 3000
    raised_at = rng.integers(1, 8, count)
    theta = rng.beta(1.5, 8.0, count)
    tenure, churned = np.full(count, 10.0), np.zeros(count)
    for k in range(1, 11):
        speed = np.exp(0.9 * (k > raised_at))
        leaves = (churned == 0) & (rng.uniform(size=count) > (1 - theta) ** speed)
        tenure[leaves], churned[leaves] = k, 1
    data = {"customer_id": np.arange(count), "tenure": tenure, "churned": churned}
    long = {
        "customer_id": np.repeat(np.arange(count), 2),
        "start": np.column_stack([np.zeros(count), raised_at]).ravel(),
        "end": np.column_stack([raised_at, np.full(count, 20)]).ravel(),
        "price": np.tile([0.0, 1.0], count),
    }
    model = BdwTv(contract_covariates=["price"], bounds={"c": (1, 1)})
    model.fit(data, covariate_paths=long, time_unit="month")
    error = model.standard_errors_["contract.price"]
    assert abs(model.params_["contract.price"] - 0.9) < 4 * error < 0.5
    present = {name: values[churned == 0][:5] for name, values in data.items()}
    rows = covariate_path_columns(present, long, ["price"], age="tenure")
    curve = model.predict(rows, horizon=5)
    assert ((curve > 0) & (curve < 1)).all()
    own = {**model.params_, "contract.price": 0.0}
    calm = BdwTv.from_params(own).predict(rows, horizon=5)
    assert (calm < curve).all()
