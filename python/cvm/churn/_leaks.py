"""Leaks that can be seen: what a model should not know, and rows it should not have seen."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np

from cvm import metrics
from cvm._frames import as_table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cvm._frames import Frame, Table
    from cvm.churn._splits import Split

# A single column that ranks this well has most likely seen the outcome.
AUC_ALONE = 0.95
# Share of distinct values from which a column of texts or whole numbers looks like an identifier.
_DISTINCT = 0.99
# Share of test rows with a twin in training that chance may explain, with few distinct inputs.
_TWINS = 0.01
_FEW_ROWS = 50
_MOST_LEVELS = 200
_LEAST_LEVEL = 10
_OUTCOME_WORDS = re.compile(
    r"churn|attrit|cancel|terminat|deactivat|closed|closing|closure|left_|_left|exited|lapsed|"
    r"lost_customer|win_?back",
    re.IGNORECASE,
)


def leaks(
    X: Frame,
    churned: NDArray[np.bool_],
    *,
    splits: Sequence[Split] = (),
    target: str | None = None,
    observed: Mapping[str, Any] | None = None,
    as_of: Any = None,
) -> list[str]:
    """Return what looks like a leak, one sentence each.

    Parameters
    ----------
    X : table
        Inputs, without the target.
    churned : array of bool
        Who churned.
    splits : sequence of Split, optional
        Training and test rows: rows in both are told.
    target : str, optional
        Name of the target.
    observed : mapping of str to date, optional
        When each of some columns was observed: one date, or one per row.
    as_of : date or array of dates, optional
        When the outcome began to be observed: what is known later is a leak.
    """
    table = as_table(X)
    found: list[str] = []
    for name in table.names:
        values = _values(table, name)
        found += _named(name, target) + _identifier(name, values) + _alone(name, values, churned)
    found += _late(observed or {}, as_of)
    return found + _shared(table, splits)


def _values(table: Table, name: str) -> NDArray[Any]:
    values = np.asarray(table.values(name))
    if values.dtype.kind in "fiub":
        return values.astype(np.float64)
    return np.array([None if v is None or v != v else str(v) for v in values.tolist()], object)  # noqa: PLR0124


def _named(name: str, target: str | None) -> list[str]:
    plain = re.sub(r"[^a-z0-9]", "", name.lower())
    own = re.sub(r"[^a-z0-9]", "", (target or "").lower())
    if (own and own in plain) or _OUTCOME_WORDS.search(name):
        return [f"column `{name}` is named like the outcome: was it known before?"]
    return []


def _identifier(name: str, values: NDArray[Any]) -> list[str]:
    is_text = values.dtype == object
    if not is_text and not np.all(np.mod(values[~np.isnan(values)], 1) == 0):
        return []
    present = [v for v in values.tolist() if v is not None and v == v]  # noqa: PLR0124
    if len(present) < _FEW_ROWS or len(set(present)) < _DISTINCT * len(present):
        return []
    return [f"column `{name}` looks like an identifier: nearly every row has its own value"]


def _alone(name: str, values: NDArray[Any], churned: NDArray[np.bool_]) -> list[str]:
    score = _rates(values, churned) if values.dtype == object else _numbers(values)
    if score is None:
        return []
    missing = np.array([value is None or value != value for value in values.tolist()])  # noqa: PLR0124
    ranks = [metrics.auc(churned, score), metrics.auc(churned, missing.astype(np.float64))]
    auc = max(max(rank, 1.0 - rank) for rank in ranks)
    if auc <= AUC_ALONE:
        return []
    return [f"column `{name}` alone has an AUC of {auc:.3f}: has it seen the outcome?"]


def _numbers(values: NDArray[np.float64]) -> NDArray[np.float64] | None:
    if np.isnan(values).all():
        return None
    return np.where(np.isnan(values), np.nanmedian(values), values)


def _rates(values: NDArray[Any], churned: NDArray[np.bool_]) -> NDArray[np.float64] | None:
    """Return each level's churn rate; rare levels share one, or any identifier would rank well."""
    levels, codes, counts = np.unique(
        np.array([str(v) for v in values.tolist()]), return_inverse=True, return_counts=True
    )
    if len(levels) > _MOST_LEVELS and counts.max() < _LEAST_LEVEL:
        return None
    rates = np.bincount(codes, weights=churned.astype(np.float64)) / counts
    rates[counts < _LEAST_LEVEL] = churned.mean()
    return rates[codes]


def _late(observed: Mapping[str, Any], as_of: Any) -> list[str]:
    if as_of is None:
        return []
    start = np.asarray(as_of).astype("datetime64[s]")
    found: list[str] = []
    for name, when in observed.items():
        late = np.asarray(when).astype("datetime64[s]") > start
        if np.any(late):
            rows = "" if late.ndim == 0 else f" in {int(late.sum())} rows"
            found.append(f"column `{name}` was observed after the outcome began{rows}")
    return found


def _shared(table: Table, splits: Sequence[Split]) -> list[str]:
    """Tell of rows that are tested on and, with the same inputs, trained on."""
    if not splits or not table.names:
        return []
    codes = [
        np.unique(np.array([str(v) for v in _values(table, name).tolist()]), return_inverse=True)[1]
        for name in table.names
    ]
    _, rows = np.unique(np.column_stack(codes), axis=0, return_inverse=True)
    rows = rows.reshape(-1)
    shared = sum(int(np.isin(rows[split.test], rows[split.train]).sum()) for split in splits)
    tested = sum(len(split.test) for split in splits)
    if shared <= _TWINS * tested:
        return []
    why = "if they are the same customers, give `groups`"
    return [f"{shared} of {tested} test rows have a twin with the same inputs in training: {why}"]
