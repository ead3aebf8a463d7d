"""Calibration: probabilities that come true, as a part of the model."""

from __future__ import annotations

import copy
import json
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np

from cvm._base import BaseModel
from cvm._frames import invalid
from cvm.churn._drift import DriftReport
from cvm.churn._outcomes import outcomes, weights_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike

    from cvm._core import RawModel
    from cvm._frames import Frame

METHODS = ("auto", "none", "temperature", "platt", "beta", "isotonic", "venn_abers")


class CalibratedByRows(BaseModel):
    """A churn model that can be given a calibrator."""

    def _positive(self) -> str | None:
        """Return the label that means churn, where the model knows it."""
        settings = json.loads(self._raw.settings_json)
        label = settings.get("positive")
        return label if isinstance(label, str) else None

    def _around(self, raw: RawModel) -> Self:
        """Return a copy of the model around another fitted one, with the labels it was given."""
        made = copy.copy(self)
        labels = made.__dict__.get("classes_")
        made._adopt(raw)
        if labels is not None:
            made.__dict__["classes_"] = labels
        return made

    def calibrated(
        self,
        X: Frame,
        y: str | ArrayLike,
        sample_weight: str | ArrayLike | None = None,
        *,
        method: str = "auto",
        columns: Sequence[str] | None = None,
    ) -> Self:
        """Return a copy of the model whose probabilities are calibrated on these rows.

        Parameters
        ----------
        X : table
            Customers that the model was not fitted on: its own training rows flatter it.
        y : str or array
            Who churned: a column of ``X``, or an array.
        sample_weight : str or array, optional
            Weight of each row, as a column of ``X`` or an array.
        method : str, default "auto"
            ``auto`` takes the simplest of ``none``, ``temperature``, ``platt``, ``beta`` and (from
            1000 rows of the rarer outcome) ``isotonic`` whose log-loss on held-out folds is within
            a standard error of the best. ``venn_abers`` also gives the outputs ``venn_abers_p0``
            and ``venn_abers_p1``, between which the probability lies.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.

        Returns
        -------
        Self
            The copy: same inputs, same ``decision_function``, calibrated ``predict_proba``; the
            output ``uncalibrated_probability`` is what it was before.

        Raises
        ------
        InvalidInputError
            If there are too few rows, one outcome only, or scores that do not rise with churn.
        """
        table = self._table(X, columns)
        churned, _ = outcomes(X, y, self._positive())
        weights = weights_of(X, sample_weight)
        inputs = table.columns(self._inputs())
        raw = self._raw.calibrated(inputs, churned, weights, _method(method))
        return self._around(raw)

    def calibrated_on(
        self,
        probability: ArrayLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        method: str = "auto",
    ) -> Self:
        """Return a copy calibrated on probabilities that models like it gave rows unseen.

        Such as those of `cross_validate`: then all rows serve the fit and the calibrator.

        Parameters
        ----------
        probability : array of float
            Uncalibrated probability of churn of each row; NaN for none.
        y : array
            Who churned.
        sample_weight : array, optional
            Weight of each row.
        method : str, default "auto"
            As in `calibrated`.
        """
        p = np.asarray(probability, dtype=np.float64)
        rows = {"probability": p}
        churned, _ = outcomes(rows, y, self._positive())
        weights = weights_of(rows, sample_weight)
        return self._around(self._raw.calibrated_on(p, churned, weights, _method(method)))

    def uncalibrated(self) -> Self:
        """Return a copy of the model without its calibrator."""
        return self._around(self._raw.uncalibrated())

    def profiled(self, X: Frame, *, columns: Sequence[str] | None = None) -> Self:
        """Return a copy of the model that knows what its training rows looked like.

        A model fitted here knows already. For an imported one, give the rows it was trained on:
        their quantiles and shares of frequent levels go into its file, never a row, a rare level
        (fewer than 20 rows) or a value of one customer.

        Parameters
        ----------
        X : table
            The training rows.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.
        """
        table = self._table(X, columns)
        return self._around(self._raw.profiled(table.columns(self._inputs())))

    def drift(self, X: Frame, *, columns: Sequence[str] | None = None) -> DriftReport:
        """Return how far a table is from the rows the model was trained on.

        Parameters
        ----------
        X : table
            Customers of today.
        columns : sequence of str, optional
            Names of the columns of a 2-D array.

        Returns
        -------
        DriftReport
            The population stability index of the score and of every input. From 0.1 it is a thing
            to watch, from 0.25 an alarm (Siddiqi 2006), if it is more than chance explains.
        """
        table = self._table(X, columns)
        told = json.loads(self._raw.drift_json(table.columns(self._inputs())))
        return DriftReport.of(told)

    @property
    def calibration_(self) -> dict[str, Any] | None:
        """How the model was calibrated: method, log-loss of those tried, rows; or ``None``."""
        return json.loads(self._raw.training_json).get("calibration")


Model = TypeVar("Model", bound=CalibratedByRows)


def calibrate(
    model: Model,
    X: Frame,
    y: str | ArrayLike,
    sample_weight: str | ArrayLike | None = None,
    *,
    method: str = "auto",
    columns: Sequence[str] | None = None,
) -> Model:
    """Return a copy of a churn model whose probabilities are calibrated on these rows.

    Parameters
    ----------
    model : LogisticChurn or TreeEnsemble
        A fitted or imported model.
    X : table
        Customers that the model was not fitted on: its own training rows flatter it.
    y : str or array
        Who churned: a column of ``X``, or an array.
    sample_weight : str or array, optional
        Weight of each row, as a column of ``X`` or an array.
    method : str, default "auto"
        ``auto``, ``none``, ``temperature``, ``platt``, ``beta``, ``isotonic`` or ``venn_abers``;
        see `LogisticChurn.calibrated`.
    columns : sequence of str, optional
        Names of the columns of a 2-D array.

    Returns
    -------
    model
        The copy, calibrated.

    Examples
    --------
    >>> from cvm.churn import LogisticChurn, calibrate
    >>> from cvm.datasets import load_telco
    >>> telco = load_telco()
    >>> model = LogisticChurn(ignore=["customerID"]).fit(telco[:5000], "Churn")
    >>> better = calibrate(model, telco[5000:], "Churn", method="platt")
    >>> better.calibration_["method"]
    'platt'
    """
    if not isinstance(model, CalibratedByRows):
        why = f"is a {type(model).__name__}: must be a churn model of this package"
        raise invalid(("model", why))
    return model.calibrated(X, y, sample_weight, method=method, columns=columns)


def _method(name: str) -> str | None:
    if name not in METHODS:
        raise invalid(("method", f"is {name!r}: must be one of {', '.join(METHODS)}"))
    return None if name == "auto" else name
