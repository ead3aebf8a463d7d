"""Data sets shipped with the package, small and free to use.

The files and their licences are described in ``data/README.md`` and the repository's ``NOTICE``.
"""

from __future__ import annotations

import csv
import gzip
import importlib
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

import numpy as np

from cvm._frames import Frame, invalid
from cvm._summarize import summarize

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["load_cdnow", "load_cdnow_summary", "load_telco"]

Kind: TypeAlias = Literal["pandas", "polars", "pyarrow", "dict"]

_DATA = Path(__file__).parent / "data"
_CALIBRATION_END = "1997-09-30"
_OBSERVATION_END = "1998-06-30"


def load_cdnow(*, as_frame: Kind | None = None) -> Frame:
    """Return the purchases of the CDNOW sample.

    Parameters
    ----------
    as_frame : {"pandas", "polars", "pyarrow", "dict"}, optional
        Kind of table; by default pandas if it is installed, else a dict of numpy arrays.

    Returns
    -------
    table
        6,919 purchases of 2,357 customers from 1997-01-01 to 1998-06-30: ``customer_id`` (text),
        ``date``, ``quantity`` (CDs), ``amount`` (US dollars).

    Notes
    -----
    A one-tenth sample of customers who first bought at CDNOW in the first quarter of 1997,
    published for research by P. S. Fader and B. G. S. Hardie; this copy is that of the MIT-licensed
    Python package ``lifetimes``.

    Examples
    --------
    >>> log = load_cdnow(as_frame="dict")
    >>> len(log["date"]), str(log["date"].max()), round(float(log["amount"].sum()), 2)
    (6919, '1998-06-30', 244091.94)
    """
    text = _read(_DATA / "cdnow_sample.csv")
    columns = {
        "customer_id": text["customer_id"],
        "date": text["date"].astype("datetime64[D]"),
        "quantity": text["quantity"].astype(np.int64),
        "amount": text["amount"].astype(np.float64),
    }
    return _as(as_frame, columns)


def load_cdnow_summary(*, as_frame: Kind | None = None) -> Frame:
    """Return one row per customer of the CDNOW sample, split as in the literature.

    Calibration is 1997-01-01 to 1997-09-30 (39 weeks), hold-out the 39 weeks to 1998-06-30.

    Parameters
    ----------
    as_frame : {"pandas", "polars", "pyarrow", "dict"}, optional
        Kind of table; by default pandas if it is installed, else a dict of numpy arrays.

    Returns
    -------
    table
        2,357 customers: ``customer_id``, ``frequency``, ``recency``, ``T`` (weeks),
        ``monetary_value``, and the hold-out columns of `cvm.summarize`.

    Examples
    --------
    >>> customers = load_cdnow_summary(as_frame="dict")
    >>> int(customers["frequency"].sum()), int(customers["holdout_frequency"].sum())
    (2457, 1882)
    """
    return summarize(
        load_cdnow(as_frame=as_frame),
        unit="week",
        calibration_end=_CALIBRATION_END,
        observation_end=_OBSERVATION_END,
    )


def load_telco(*, as_frame: Kind | None = None) -> Frame:
    """Return the customers of the Telco churn table.

    Parameters
    ----------
    as_frame : {"pandas", "polars", "pyarrow", "dict"}, optional
        Kind of table; by default pandas if it is installed, else a dict of numpy arrays.

    Returns
    -------
    table
        7,043 customers, 21 columns: ``customerID``, ``SeniorCitizen`` (0 or 1), ``tenure``
        (months), ``MonthlyCharges`` and ``TotalCharges`` (USD; NaN in the 11 rows of tenure 0), the
        rest text; ``Churn`` is ``Yes`` (26.54 %) or ``No``.

    Notes
    -----
    IBM's sample data of a fictional company, Apache-2.0.

    Examples
    --------
    >>> telco = load_telco(as_frame="dict")
    >>> len(telco), int((telco["Churn"] == "Yes").sum())
    (21, 1869)
    """
    text = _read(_DATA / "telco.csv.gz")
    columns: dict[str, NDArray[Any]] = dict(text)
    for name in ("SeniorCitizen", "tenure"):
        columns[name] = text[name].astype(np.int64)
    for name in ("MonthlyCharges", "TotalCharges"):
        columns[name] = np.array([float(cell.strip() or "nan") for cell in text[name].tolist()])
    return _as(as_frame, columns)


def _read(path: Path) -> dict[str, NDArray[np.str_]]:
    """Return a CSV file's columns as text."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rt", encoding="utf-8", newline="") as file:
        header, *rows = csv.reader(file)
    return {name: np.array([row[i] for row in rows]) for i, name in enumerate(header)}


def _as(kind: str | None, columns: dict[str, NDArray[Any]]) -> Frame:
    if kind is None:
        kind = "pandas" if find_spec("pandas") else "dict"
    match kind:
        case "dict":
            return columns
        case "pandas":
            return importlib.import_module("pandas").DataFrame(columns)
        case "polars":
            return importlib.import_module("polars").DataFrame(_plain(columns))
        case "pyarrow":
            return importlib.import_module("pyarrow").table(_plain(columns))
        case _:
            why = f'is "{kind}": must be "pandas", "polars", "pyarrow" or "dict"'
            raise invalid(("as_frame", why))


def _plain(columns: dict[str, NDArray[Any]]) -> dict[str, Any]:
    return {n: v.tolist() if v.dtype.kind == "U" else v for n, v in columns.items()}
