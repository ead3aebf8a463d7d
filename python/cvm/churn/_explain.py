"""Explanations that every churn model shares: what each column adds to each row's raw score."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import numpy as np

from cvm._base import (
    BaseModel,
    count,
    reason_arguments,
    reason_columns,
    score_arguments,
    status_names,
    warn_rows,
)
from cvm._frames import invalid

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from cvm._frames import Frame, Numbers, Table

METHODS = ("exact", "interventional", "approximate")


class Found(NamedTuple):
    """Attributions of a table's rows."""

    table: Table
    method: str
    is_exact: bool
    outputs: list[str]
    base: Numbers
    values: Numbers
    """Of shape (rows, outputs, columns)."""
    status: NDArray[np.uint8]


class ExplainedModel(BaseModel):
    """A model whose raw scores are split among its columns."""

    def shap_values(
        self,
        X: Frame,
        *,
        method: str = "exact",
        background: Frame | None = None,
        columns: Sequence[str] | None = None,
        threads: int = 0,
    ) -> Numbers:
        """Return what each column adds to each row's raw score.

        Parameters
        ----------
        X : table
            One row per customer.
        method : {"exact", "interventional", "approximate"}, default "exact"
            ``"exact"`` needs no other rows: path-dependent TreeSHAP of trees, linear SHAP of a
            logistic regression. ``"interventional"`` compares with the rows of ``background``, one
            column at a time. ``"approximate"`` is many times faster for trees and no Shapley
            value: what each split on a row's path changes goes to the split's column.
        background : table, optional
            Rows to compare with, 1 to 256: some 100 drawn at random from those of training. A
            model's file carries no customers, so they are given with each call.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        threads : int, default 0
            Threads to use; 0 means all. The numbers do not depend on it.

        Returns
        -------
        numpy.ndarray of shape (n, columns) or (n, columns, classes)
            In the order of ``feature_names_in_``. With `expected_value` they add up to
            ``decision_function``. NaN where a row cannot be used.
        """
        found = self._explained(X, method, background, columns, threads)
        if len(found.outputs) == 1:
            return found.values[:, 0, :]
        return np.moveaxis(found.values, 1, 2)

    def expected_value(
        self,
        X: Frame,
        *,
        method: str = "exact",
        background: Frame | None = None,
        columns: Sequence[str] | None = None,
    ) -> Numbers:
        """Return the raw score expected before anything is known of a row, by class.

        Parameters
        ----------
        X : table
            Any rows, such as none: the value is the model's.
        method, background, columns
            As in `shap_values`.
        """
        return self._explained(X, method, background, columns, 1).base

    def explain(
        self,
        X: Frame,
        *,
        method: str = "exact",
        background: Frame | None = None,
        columns: Sequence[str] | None = None,
        threads: int = 0,
    ) -> Frame:
        """Return `shap_values` as a table of the kind given.

        Parameters
        ----------
        X : table
            One row per customer.
        method, background, columns, threads
            As in `shap_values`.

        Returns
        -------
        table
            One row per customer: ``expected``, one column per column of the model, and ``status``.
            With several classes the columns start with the name of the class's raw score.
        """
        found = self._explained(X, method, background, columns, threads)
        many = len(found.outputs) > 1
        answer: dict[str, NDArray[np.generic]] = {}
        for place, (output, base) in enumerate(zip(found.outputs, found.base, strict=True)):
            start = f"{output}: " if many else ""
            answer[f"{start}expected"] = np.full(len(found.status), base)
            for column, name in enumerate(self._inputs()):
                answer[f"{start}{name}"] = found.values[:, place, column]
        return found.table.wrap({**answer, "status": status_names(found.status)})

    def reasons(
        self,
        X: Frame,
        *,
        k: int = 3,
        only_actionable: bool = False,
        direction: str = "any",
        method: str = "exact",
        columns: Sequence[str] | None = None,
        threads: int = 0,
    ) -> Frame:
        """Return the ``k`` largest contributions to each row's score, in words.

        Parameters
        ----------
        X : table
            One row per customer.
        k : int, default 3
            Most reasons a row has.
        only_actionable : bool, default False
            Only what the feature dictionary does not call out of reach.
        direction : {"any", "raises", "lowers"}, default "any"
            Only what raises or lowers the score.
        method : {"exact", "approximate"}, default "exact"
            As in `shap_values`.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        threads : int, default 0
            Threads to use; 0 means all. The reasons do not depend on it.

        Returns
        -------
        table
            Of the kind given, one row per customer: ``reason_1`` in words, ``reason_1_name`` (the
            column or the group), ``reason_1_contribution`` to the raw score, and so on, the largest
            first; empty where a row has fewer, or no score. With the scores in one call:
            ``score_frame(X, reasons=3)``.
        """
        asked = reason_arguments(
            k, only_actionable=only_actionable, direction=direction, method=method
        )
        table = self._table(X, columns)
        arguments = score_arguments([], {"threads": threads}, asked)
        scores = self._raw.score(self._columns(table), arguments)
        warn_rows(scores["status"], scores["issues"], stacklevel=3)
        told = scores["reasons"]
        return table.wrap({} if told is None else reason_columns(told, k))

    @property
    def feature_dictionary_(self) -> dict[str, Any]:
        """Words for the columns: ``fields`` and ``groups``; empty if none were given."""
        return self.metadata_.get("feature_dictionary", {})

    def set_feature_dictionary(
        self,
        fields: Mapping[str, Mapping[str, Any]],
        *,
        groups: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> Self:
        """Give words to the columns, in which reasons are told; they are saved with the model.

        Parameters
        ----------
        fields : mapping
            By column, any of: ``label``, what it is called; ``raises`` and ``lowers``, the wording
            of a reason, which may hold ``{label}``, ``{value}`` and ``{field}``; ``group``, with
            whose columns it is told as one (the one-hot columns of a category, lags of a measure);
            ``actionable``, whether somebody can act on it, by default ``True``.
        groups : mapping, optional
            By group, any of ``label``, ``raises``, ``lowers`` and ``actionable``.

        Returns
        -------
        self
            The model; its fingerprint changes, its scores do not.

        Raises
        ------
        InvalidInputError
            For every name that is no column and every wording that cannot be used.
        """
        words = {
            "fields": {name: dict(own) for name, own in fields.items()},
            "groups": {name: dict(own) for name, own in (groups or {}).items()},
        }
        return self._adopt(self._raw.with_dictionary(json.dumps(words, allow_nan=False)))

    def _explained(
        self,
        X: Frame,
        method: str,
        background: Frame | None,
        columns: Sequence[str] | None,
        threads: int,
    ) -> Found:
        if method not in METHODS:
            raise invalid(("method", f"is {method!r}: must be one of {', '.join(METHODS)}"))
        raw, table = self._raw, self._table(X, columns)
        usual = None
        if background is not None:
            usual = self._columns(self._table(background, columns))
        threads = count("threads", threads)
        found = raw.explain(self._columns(table), method, usual, threads)
        shape = (-1, len(found["outputs"]), self.n_features_in_)
        return Found(
            table,
            found["method"],
            found["is_exact"],
            found["outputs"],
            found["base"],
            found["values"].reshape(shape),
            found["status"],
        )
