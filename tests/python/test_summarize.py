"""Transaction logs of every kind to summaries, with a report of every row."""

from __future__ import annotations

import datetime as dt
import warnings

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import cvm
from support import read_column

SPLIT = {"unit": "week", "calibration_end": "1997-09-30", "observation_end": "1998-06-30"}


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "dict"])
def test_every_kind_of_log_gives_the_same_summary_in_its_kind(kind, cdnow):
    log = cvm.datasets.load_cdnow(as_frame=kind)
    customers = cvm.summarize(log, **SPLIT)
    assert isinstance(customers, type(log))
    columns = {"pyarrow": "column_names", "polars": "columns"}
    names = list(getattr(customers, columns[kind]) if kind in columns else customers)
    assert names == list(cdnow)
    for name, expected in cdnow.items():
        got = read_column(customers, name)
        assert got.tolist() == expected.tolist(), name
    assert len(cdnow["T"]) == 2357


def test_the_published_summary_of_cdnow(cdnow):
    # Fader, Hardie & Lee (2005): 2,357 customers, 946 of them repeat buyers, 39 weeks each half.
    assert (cdnow["frequency"] > 0).sum() == 946
    assert cdnow["holdout_frequency"].sum() == 1882
    assert cdnow["holdout_duration"][0] == 39.0
    assert cdnow["recency"].max() <= cdnow["T"].max() == 272 / 7


def test_structured_logs_and_whole_number_identifiers():
    log = np.array(
        [(7, "2026-01-01", 1.0), (7, "2026-01-03", 3.0), (9, "2026-01-02", 2.0)],
        dtype=[("customer_id", "i8"), ("date", "M8[D]"), ("amount", "f8")],
    )
    customers = cvm.summarize(log)
    assert isinstance(customers, np.ndarray)
    assert customers["customer_id"].dtype == np.int64
    assert customers["customer_id"].tolist() == [7, 9]
    assert customers["recency"].tolist() == [2.0, 0.0]
    frame = cvm.summarize(pd.DataFrame(log))
    assert frame["customer_id"].tolist() == [7, 9]
    assert frame["customer_id"].dtype == np.int64
    assert frame.index.tolist() == [0, 1]


DATES = [
    ["2026-01-01", "2026-01-03", "2026-01-02"],
    [dt.date(2026, 1, 1), dt.date(2026, 1, 3), dt.date(2026, 1, 2)],
    [dt.datetime(2026, 1, 1, 5), dt.datetime(2026, 1, 3, 6), dt.datetime(2026, 1, 2, 7)],
    [20260101, 20260103, 20260102],
    np.array(["2026-01-01", "2026-01-03", "2026-01-02"], dtype="M8[D]"),
    np.array(["2026-01-01T05", "2026-01-03T06", "2026-01-02T07"], dtype="M8[ns]"),
]


@pytest.mark.parametrize("dates", DATES, ids=range(len(DATES)))
@pytest.mark.parametrize("kind", [dict, pd.DataFrame, pl.DataFrame, pa.table])
def test_dates_in_any_form(dates, kind):
    log = {"customer_id": ["a", "a", "b"], "date": dates, "amount": [1.0, 2.0, 3.0]}
    if kind is pl.DataFrame and isinstance(dates, np.ndarray):
        log["date"] = pl.Series(dates.astype("M8[us]"))
    customers = cvm.summarize(kind(log))
    assert read_column(customers, "recency").tolist() == [2.0, 0.0]
    assert read_column(customers, "T").tolist() == [2.0, 1.0]


def test_bad_rows_are_counted_and_warned_of():
    log = {
        "customer_id": ["a", None, "a", "b", "c"],
        "date": ["2026-01-01", "2026-01-01", "not a date", "2026-01-05", "2026-01-02"],
        "amount": [1.0, 1.0, 1.0, float("nan"), -4.0],
    }
    with pytest.warns(cvm.RowWarning, match="3 of 5 rows are left out") as caught:
        customers, report = cvm.summarize(log, return_report=True)
    assert caught[0].filename == __file__
    assert "1 missing_customer_id (row 1" in str(caught[0].message)
    assert customers["customer_id"].tolist() == ["a"]
    assert report["bad_row_count"] == 3
    assert report["refund_rows_excluded"] == 1
    assert "5 rows read, 1 used" in str(report)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cvm.summarize({name: values[:1] for name, values in log.items()})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"unit": "fortnight"}, 'is "fortnight": must be one of'),
        ({"customer_id": "id"}, "columns.id: is missing"),
        ({"negative_amounts": "ignore"}, "ignore"),
        ({"calibration_end": "tomorrow"}, "calibration_end"),
        ({"calibration_end": 5}, "calibration_end: is 5: must be a date"),
        ({"calibration_end": "2027-01-01"}, "calibration_end"),
        ({"date": "customer_id"}, "same column"),
    ],
)
def test_wrong_options_are_named(options, message):
    log = {"customer_id": ["a"], "date": ["2026-01-01"], "amount": [1.0]}
    with pytest.raises(cvm.InvalidInputError, match=message):
        cvm.summarize(log, **options)


def test_options_change_what_they_say():
    log = {
        "customer_id": ["a"] * 4,
        "date": ["2026-01-01", "2026-01-02", "2026-01-09", "2026-01-09"],
        "amount": [10.0, 20.0, 30.0, -5.0],
    }
    assert cvm.summarize(log)["monetary_value"].tolist() == [25.0]
    assert cvm.summarize(log, include_first_purchase=True)["monetary_value"].tolist() == [20.0]
    assert cvm.summarize(log, negative_amounts="net")["monetary_value"].tolist() == [22.5]
    assert cvm.summarize(log, grain="week")["frequency"].tolist() == [1.0]
    no_amount = cvm.summarize(log, amount=None, observation_end=dt.date(2026, 1, 31))
    assert list(no_amount) == ["customer_id", "frequency", "recency", "T"]
    assert no_amount["T"].tolist() == [30.0]
    assert cvm.summarize(log, observation_end=np.datetime64("2026-01-31"))["T"].tolist() == [30.0]


def test_an_empty_log_is_an_error():
    with pytest.raises(cvm.InvalidInputError):
        cvm.summarize({"customer_id": [], "date": [], "amount": []})


@pytest.mark.parametrize("kind", ["pandas", "polars", "pyarrow", "dict"])
def test_data_sets_come_in_every_kind(kind):
    telco = cvm.datasets.load_telco(as_frame=kind)
    total = read_column(telco, "TotalCharges")
    assert np.isnan(total).sum() == 11
    assert read_column(telco, "tenure").dtype == np.int64
    assert len(read_column(telco, "Churn")) == 7043
    with pytest.raises(cvm.InvalidInputError, match='as_frame: is "excel"'):
        cvm.datasets.load_telco(as_frame="excel")


def test_discrete_periods_from_a_log_and_from_a_panel_agree():
    rng = np.random.default_rng(4)
    panel = (rng.random((60, 9)) < 0.3).astype(float)
    panel[7] = 0
    rows, years = np.nonzero(panel)
    dates = [f"{2001 + year}-0{1 + row % 9}-15" for row, year in zip(rows, years, strict=True)]
    log = {"customer_id": rows, "date": dates}
    table = cvm.summarize(log, amount=None, calendar="year", observation_end="2009-12-31")
    found = cvm.summarize_panel(panel)
    order = np.argsort(table["customer_id"])
    assert np.asarray(table["customer_id"])[order].tolist() == found["row"].tolist()
    for name in ("frequency", "recency", "n_periods"):
        assert np.asarray(table[name])[order].tolist() == found[name].tolist()
    model = cvm.clv.BgBb.from_params({"alpha": 1.2, "beta": 0.75, "gamma": 0.66, "delta": 2.8})
    assert np.isfinite(model.p_alive(found)).all()


def test_a_panel_with_gaps_or_odd_cells_is_refused():
    nan = np.nan
    early = cvm.summarize_panel([[nan, 0, 1, 1], [1, 0, nan, nan], [nan] * 4], acquired="before")
    assert early["row"].tolist() == [0, 1]
    assert early["frequency"].tolist() == [2, 1]
    assert early["recency"].tolist() == [3, 1]
    assert early["n_periods"].tolist() == [3, 2]
    for panel, match in [
        ([[0, nan, 1]], r"panel\[0\]: has a gap"),
        ([[0, 1], [-1, 0]], r"panel\[1, 0\]: is -1"),
        ([[np.inf, 1]], r"panel\[0, 0\]"),
        ([1, 2], "1 dimensions"),
    ]:
        with pytest.raises(cvm.InvalidInputError, match=match):
            cvm.summarize_panel(panel)
    with pytest.raises(cvm.InvalidInputError, match="acquired"):
        cvm.summarize_panel([[1]], acquired="never")
