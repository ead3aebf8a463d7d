"""Who churned: a column or an array of booleans, 0 and 1, or two texts, as an array of booleans."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cvm._frames import as_table, invalid

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from cvm._frames import Frame, Numbers, Table

_TRUE = {"1", "1.0", "true", "yes"}
_FALSE = {"0", "0.0", "false", "no"}


def outcomes(
    X: Frame, y: str | ArrayLike, positive: object = None
) -> tuple[NDArray[np.bool_], str | None]:
    """Return who churned, and the name of the column of ``X`` that told it, if one did.

    Parameters
    ----------
    X : table
        One row per customer.
    y : str or array
        A column of ``X``, or an array.
    positive : object, optional
        The label that means churn; by default 1, true or yes.
    """
    table = as_table(X)
    name, values = _values(table, y)
    if len(values) != table.row_count:
        raise invalid(("y", f"has {len(values)} rows, X has {table.row_count}"))
    return churned(values, positive), name


def _values(table: Table, y: str | ArrayLike) -> tuple[str | None, NDArray[Any]]:
    if not isinstance(y, str):
        return None, np.asarray(y)
    if y not in table.names:
        given = ", ".join(table.names[:40])
        raise invalid((f"columns.{y}", f"is missing: the target; the data has [{given}]"))
    return y, np.asarray(table.values(y))


def churned(values: NDArray[Any], positive: object = None) -> NDArray[np.bool_]:
    """Return labels as booleans; a label that is missing or says nothing is an error."""
    if values.ndim != 1:
        raise invalid(("y", f"has {values.ndim} dimensions, expected 1"))
    if values.dtype.kind == "b":
        return values.astype(np.bool_)
    labels = [_word(value) for value in values.tolist()]
    for row, label in enumerate(labels):
        if label is None:
            raise invalid((f"y[{row}]", "is missing: must say whether the customer churned"))
    distinct = sorted({label for label in labels if label is not None})
    says_itself = set(distinct) <= _TRUE | _FALSE
    wanted = None if positive is None else _word(positive)
    if wanted is not None and not (says_itself and wanted not in distinct):
        if wanted not in distinct or len(distinct) > len(("stay", "leave")):
            why = f"has labels [{', '.join(distinct[:8])}]: must be two, one of them {wanted}"
            raise invalid(("y", why))
        return np.array([label == wanted for label in labels])
    for row, label in enumerate(labels):
        if label not in _TRUE and label not in _FALSE:
            why = f'is "{label}": must be 0, 1, true, false, yes or no, or set `positive`'
            raise invalid((f"y[{row}]", why))
    return np.array([label in _TRUE for label in labels])


def _word(value: object) -> str | None:
    if value is None or value != value:  # noqa: PLR0124 - NaN and NaT of any library
        return None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().lower()


def weights_of(X: Frame, weight: str | ArrayLike | None) -> Numbers | None:
    """Return row weights: a column of ``X`` or an array."""
    if weight is None:
        return None
    table = as_table(X)
    given = table.values(weight) if isinstance(weight, str) else weight
    values = np.asarray(given, dtype=np.float64)
    if values.shape != (table.row_count,):
        why = f"has shape {values.shape}, expected ({table.row_count},)"
        raise invalid(("sample_weight", why))
    return values
