"""Transaction log to customer summaries."""

from __future__ import annotations

import datetime as dt
import json
import warnings
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from cvm import _core
from cvm._frames import Frame, Table, as_table, invalid
from cvm.errors import RowWarning

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

Moment: TypeAlias = str | dt.date | np.datetime64
NegativeAmounts: TypeAlias = Literal["exclude", "net", "reject"]
CalendarPeriod: TypeAlias = Literal["day", "week", "month", "quarter", "year"]
EpochUnit: TypeAlias = Literal["days", "seconds", "milliseconds", "microseconds", "nanoseconds"]


class SummaryReport(dict[str, Any]):
    """What became of every row of a log, as a dict that prints as text.

    ``rows_read = rows_used + bad_row_count + refund_rows_excluded``; ``bad_rows`` counts refused
    rows by cause, with examples.
    """

    def __init__(self, values: Mapping[str, Any], text: str) -> None:
        super().__init__(values)
        self.text = text

    def __str__(self) -> str:
        return self.text


def summarize(  # noqa: PLR0913 - each is a choice of its own, all have defaults
    transactions: Frame,
    *,
    customer_id: str = "customer_id",
    date: str = "date",
    amount: str | None = "amount",
    unit: str = "day",
    grain: str = "day",
    observation_end: Moment | None = None,
    calibration_end: Moment | None = None,
    include_first_purchase: bool = False,
    log_spend: bool = False,
    regularity: bool = False,
    calendar: CalendarPeriod | None = None,
    negative_amounts: NegativeAmounts = "exclude",
    date_format: str | None = None,
    epoch_unit: EpochUnit | None = None,
    columns: Sequence[str] | None = None,
    return_report: bool = False,
) -> Any:
    """Reduce a transaction log to one row per customer.

    Time is cut to the day (UTC), or to the grain where that is shorter; both ends are included.

    Parameters
    ----------
    transactions : table
        One row per transaction, in any order.
    customer_id, date : str
        Columns of the customer's identifier (text or whole numbers) and the date: dates,
        timestamps, ISO 8601 text, or ``YYYYMMDD``.
    amount : str or None, default "amount"
        Column of the amount; ``None`` for a log without amounts, and no ``monetary_value``.
    unit : str, default "day"
        Unit of ``recency`` and ``T``: ``second``, ``minute``, ``hour``, ``day``, ``week``,
        ``month`` (30.4375 days), ``quarter``, ``year`` (365.25 days).
    grain : str, default "day"
        Purchases of a customer in the same bucket of this length are one purchase.
    observation_end : str, date or datetime64, optional
        Last date observed; by default the last date in the log. Later rows are bad rows.
    calibration_end : str, date or datetime64, optional
        Last date of calibration: the rows after it become the ``holdout_*`` columns.
    include_first_purchase : bool, default False
        Whether the first purchase counts in ``monetary_value``; the literature leaves it out.
    log_spend : bool, default False
        Whether to add ``log_spend_mean`` and ``log_spend_sd``, the mean and standard deviation of
        the logarithms of the same purchases, as `cvm.clv.LogNormalSpend` reads them.
    regularity : bool, default False
        Whether to add ``log_gap_sum``, the sum of the logarithms of the times between purchases:
        what `cvm.clv.BgCnbdK` and `cvm.clv.MbgCnbdK` are fitted on besides.
    calendar : {"day", "week", "month", "quarter", "year"}, optional
        Count periods of the UTC calendar in place of time, as `cvm.clv.BgBb` reads them:
        ``frequency`` is the number of later periods with a purchase, ``recency`` the last of them,
        and ``n_periods``, in place of ``T``, the last period observed, all counted from that of the
        first purchase. Both ends must be last days of a period; by default observation ends with
        the period of the last date in the log.
    negative_amounts : {"exclude", "net", "reject"}, default "exclude"
        Refunds: left out and counted; taken off the purchase of their bucket; or bad rows.
    date_format : str, optional
        Format of dates given as text, in ``strftime`` notation.
    epoch_unit : str, optional
        Unit of dates given as numbers since 1970-01-01 UTC.
    columns : sequence of str, optional
        Names of the columns of a 2-D array.
    return_report : bool, default False
        Also return what became of every row.

    Returns
    -------
    table
        Of the kind given, customers in order of first appearance: the identifier, ``frequency``
        (repeat purchases), ``recency`` (first to last purchase), ``T`` (first purchase to the end),
        ``monetary_value`` (mean repeat purchase, 0 without any), and with a calibration end
        ``holdout_frequency``, ``holdout_duration``, ``holdout_monetary_value``.
    SummaryReport
        Only if ``return_report`` is true.

    Warns
    -----
    RowWarning
        If rows were refused: how many, why, and the first of them.

    Examples
    --------
    >>> log = {"customer_id": ["a", "a", "b"], "amount": [10.0, 30.0, 5.0],
    ...        "date": ["2026-01-01", "2026-01-15", "2026-01-08"]}
    >>> customers, report = summarize(log, unit="week", observation_end="2026-01-29",
    ...                               return_report=True)
    >>> for name, values in customers.items():
    ...     print(name, values.tolist())
    customer_id ['a', 'b']
    frequency [1.0, 0.0]
    recency [2.0, 0.0]
    T [4.0, 3.0]
    monetary_value [30.0, 0.0]
    >>> report["rows_used"]
    3
    """
    table = as_table(transactions, columns)
    options = {
        "customer_id": customer_id,
        "date": date,
        "amount": amount,
        "observation_end": _iso("observation_end", observation_end),
        "calibration_end": _iso("calibration_end", calibration_end),
        "include_first_purchase": include_first_purchase,
        "log_spend": log_spend,
        "regularity": regularity,
        "calendar": calendar,
        "negative_amounts": negative_amounts,
        "date_format": date_format,
        "epoch_unit": epoch_unit,
    }
    wanted = [name for name in (customer_id, date, amount) if name is not None]
    inputs = table.columns(dict.fromkeys(wanted))
    summary = _core.summarize(inputs, unit, grain, json.dumps(options))
    report = SummaryReport(json.loads(summary["report_json"]), summary["report_text"])
    _warn_bad_rows(report)
    arrays = {name: _array(column) for name, column in summary["columns"]}
    arrays[customer_id] = _like_source(arrays[customer_id], table, customer_id)
    frame = table.rows(arrays)
    return (frame, report) if return_report else frame


def _iso(field: str, moment: object) -> str | None:
    match moment:
        case None | str():
            return moment
        case dt.date():
            return moment.isoformat()
        case np.datetime64():
            return str(moment)
        case _:
            why = f"is {moment!r}: must be a date, a datetime64, or text in ISO 8601"
            raise invalid((field, why))


def _array(column: _core.SummaryColumn) -> NDArray[Any]:
    if isinstance(column, np.ndarray):
        return column
    dictionary, codes = column
    return np.array(dictionary, dtype=object)[codes]


def _like_source(ids: NDArray[Any], table: Table, name: str) -> NDArray[Any]:
    """Give whole-number identifiers the integer type they came in."""
    dtype = getattr(table.values(name), "dtype", None)
    kind = getattr(dtype, "kind", "") if dtype is not None else ""
    if kind in ("i", "u") and isinstance(dtype, np.dtype):
        return ids.astype(dtype)
    whole = ids.dtype.kind == "f" and bool(np.all(ids == np.floor(ids)))
    return ids.astype(np.int64) if whole and kind != "f" else ids


def _warn_bad_rows(report: SummaryReport) -> None:
    if not report["bad_row_count"]:
        return
    causes = [
        f"{bad['count']} {bad['cause']} (row {bad['examples'][0]['row']}: "
        f"{bad['examples'][0]['value']})"
        for bad in report["bad_rows"]
    ]
    text = f"{report['bad_row_count']} of {report['rows_read']} rows are left out: "
    warnings.warn(text + ", ".join(causes), RowWarning, stacklevel=3)


def summarize_panel(
    panel: Any,
    *,
    acquired: Literal["first_purchase", "before"] = "first_purchase",
) -> dict[str, NDArray[np.float64]]:
    """Reduce a panel of customers by periods to what models of discrete opportunities read.

    Parameters
    ----------
    panel : 2-D array or DataFrame
        One row per customer, one column per period in order; a cell above zero is a period with a
        purchase. NaN is a period in which the customer was not observed, and may only stand at the
        beginning or at the end of a row.
    acquired : {"first_purchase", "before"}, default "first_purchase"
        Whether a customer is acquired by their first purchase in the panel (periods before it do
        not count, nor does it as a repeat purchase), or was so before the panel begins (every
        observed period is an opportunity).

    Returns
    -------
    dict of str to numpy.ndarray
        ``frequency`` (later periods with a purchase), ``recency`` (the last of them) and
        ``n_periods`` (periods after acquisition), one number per customer acquired; ``row``, the
        customer's row in the panel.

    Raises
    ------
    InvalidInputError
        For a panel that is not two-dimensional, a negative or infinite cell, or a gap of NaN.

    Examples
    --------
    >>> panel = [[0, 1, 0, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    >>> for name, values in summarize_panel(panel).items():
    ...     print(name, values.tolist())
    row [0.0, 1.0]
    frequency [1.0, 0.0]
    recency [2.0, 0.0]
    n_periods [3.0, 4.0]
    """
    if acquired not in {"first_purchase", "before"}:
        why = f'is {acquired!r}: must be "first_purchase" or "before"'
        raise invalid(("acquired", why))
    cells = np.asarray(panel, dtype=np.float64)
    match cells.shape:
        case (_, periods):
            place = np.arange(1, periods + 1)
        case shape:
            why = f"has {len(shape)} dimensions: must have customers in rows, periods in columns"
            raise invalid(("panel", why))
    observed = ~np.isnan(cells)
    _check_panel(cells, observed)
    bought = observed & (np.nan_to_num(cells) > 0)
    if acquired == "first_purchase":
        kept = bought.any(axis=1)
        start = np.where(kept, bought.argmax(axis=1) + 1, 0)
    else:
        kept = observed.any(axis=1)
        start = np.where(kept, observed.argmax(axis=1), 0)
    later = bought & (place > start[:, None])
    last = np.where(later, place, start[:, None]).max(axis=1, initial=0)
    end = np.where(observed, place, 0).max(axis=1, initial=0)
    found = {
        "row": np.arange(len(cells)),
        "frequency": later.sum(axis=1),
        "recency": last - start,
        "n_periods": end - start,
    }
    return {name: values[kept].astype(np.float64) for name, values in found.items()}


def _check_panel(cells: NDArray[np.float64], observed: NDArray[np.bool_]) -> None:
    """Refuse the first cell that is no number of purchases, and the first gap in a row."""
    wrong = observed & ((cells < 0) | np.isinf(cells))
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        why = f"is {cells[row, column]}: must be 0 or more and finite, or NaN"
        raise invalid((f"panel[{row}, {column}]", why))
    # One run of observed cells begins at most once.
    begins = observed[:, :1].sum(axis=1) + (observed[:, 1:] & ~observed[:, :-1]).sum(axis=1)
    if (begins > 1).any():
        row = int(np.argmax(begins > 1))
        raise invalid((f"panel[{row}]", "has a gap of NaN: a customer is observed without a break"))
