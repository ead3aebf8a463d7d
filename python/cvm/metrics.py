"""How good churn probabilities are: ranking, error, calibration and lift.

Each function takes the truth (booleans, or 0 and 1) and a score per row as one-dimensional arrays,
and optionally a weight per row. Rows of equal score count as one group, so nothing depends on the
order of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cvm import _core
from cvm._frames import Numbers, invalid

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

__all__ = [
    "CalibrationCurve",
    "LiftCurve",
    "auc",
    "brier",
    "calibration_curve",
    "ece",
    "lift_curve",
    "log_loss",
]


class LiftCurve(NamedTuple):
    """Churners captured when the highest-scoring share of customers is contacted."""

    contacted_share: Numbers
    captured_share: Numbers
    lift: Numbers


class CalibrationCurve(NamedTuple):
    """Observed churn rate against mean probability, in bins that are not empty."""

    mean_probability: Numbers
    observed_rate: Numbers
    weight: Numbers


def auc(churned: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return the probability that a churner scores above one who stayed, ties counting half.

    Parameters
    ----------
    churned : array of bool, or of 0 and 1
        Truth.
    score : array of float
        Probability, or any number that rises with it.
    weight : array of float, optional
        Weight of each row.

    Examples
    --------
    >>> auc([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    0.75
    """
    return _core.auc(_arrays(churned, score, weight))


def brier(churned: ArrayLike, probability: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return the mean squared difference of truth and probability.

    Parameters
    ----------
    churned : array of bool, or of 0 and 1
        Truth.
    probability : array of float
        From 0 to 1.
    weight : array of float, optional
        Weight of each row.

    Examples
    --------
    >>> brier([0, 1], [0.5, 0.5])
    0.25
    """
    return _core.brier(_arrays(churned, probability, weight))


def log_loss(churned: ArrayLike, probability: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return the mean of minus the log-likelihood; infinite where what happened had probability 0.

    Parameters
    ----------
    churned : array of bool, or of 0 and 1
        Truth.
    probability : array of float
        From 0 to 1; not clipped.
    weight : array of float, optional
        Weight of each row.

    Examples
    --------
    >>> round(log_loss([0, 1], [0.5, 0.5]), 6)
    0.693147
    """
    return _core.log_loss(_arrays(churned, probability, weight))


def ece(
    churned: ArrayLike,
    probability: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    bins: int = 10,
) -> float:
    """Return the expected calibration error over bins of equal width.

    The weighted mean, over the bins, of the difference between the observed churn rate and the mean
    probability.

    Parameters
    ----------
    churned : array of bool, or of 0 and 1
        Truth.
    probability : array of float
        From 0 to 1.
    weight : array of float, optional
        Weight of each row.
    bins : int, default 10
        Number of bins.

    Examples
    --------
    >>> round(ece([0, 0, 1, 1], [0.2, 0.2, 0.9, 0.9]), 3)
    0.15
    """
    return _core.ece(_arrays(churned, probability, weight), bins)


def lift_curve(
    churned: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None, *, points: int = 100
) -> LiftCurve:
    """Return the churners captured when the highest-scoring customers are contacted.

    Parameters
    ----------
    churned : array of bool, or of 0 and 1
        Truth.
    score : array of float
        Probability, or any number that rises with it.
    weight : array of float, optional
        Weight of each row.
    points : int, default 100
        Equal steps up to everyone.

    Examples
    --------
    >>> curve = lift_curve([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], points=2)
    >>> curve.captured_share.tolist()
    [0.5, 1.0]
    """
    curve = np.array(_core.lift_curve(_arrays(churned, score, weight), points))
    return LiftCurve(curve[:, 0], curve[:, 1], curve[:, 2])


def calibration_curve(
    churned: ArrayLike,
    probability: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    bins: int = 10,
) -> CalibrationCurve:
    """Return the observed churn rate against the mean probability in bins of equal width.

    Parameters
    ----------
    churned : array of bool, or of 0 and 1
        Truth.
    probability : array of float
        From 0 to 1.
    weight : array of float, optional
        Weight of each row.
    bins : int, default 10
        Number of bins; empty ones are left out.

    Examples
    --------
    >>> curve = calibration_curve([0, 0, 1, 1], [0.25, 0.25, 0.75, 0.75], bins=2)
    >>> curve.observed_rate.tolist()
    [0.0, 1.0]
    """
    if bins < 1:
        raise invalid(("bins", f"is {bins}: must be 1 or more"))
    truth, score, given = _arrays(churned, probability, weight)
    _core.brier((truth, score, given))  # checks the ranges
    weights: Numbers = np.ones(len(score)) if given is None else given
    place = np.minimum((score * bins).astype(np.intp), bins - 1)
    totals = np.bincount(place, weights=weights, minlength=bins).astype(np.float64)
    used = totals > 0
    means = np.bincount(place, weights=weights * score, minlength=bins)[used] / totals[used]
    rates = np.bincount(place, weights=weights * truth, minlength=bins)[used] / totals[used]
    return CalibrationCurve(means, rates, totals[used])


def _arrays(
    churned: ArrayLike, score: ArrayLike, weight: ArrayLike | None
) -> tuple[NDArray[np.bool_], Numbers, Numbers | None]:
    given = None if weight is None else _column("weight", weight)
    return _truth(churned), _column("score", score), given


def _column(name: str, values: ArrayLike) -> Numbers:
    array: NDArray[Any] = np.asarray(values)
    if array.ndim != 1 or array.dtype.kind not in "fiub":
        why = f"is an array of {array.ndim} dimensions and type {array.dtype}: must be 1-D numbers"
        raise invalid((name, why))
    return array.astype(np.float64)


def _truth(values: ArrayLike) -> NDArray[np.bool_]:
    array: NDArray[Any] = np.asarray(values)
    if array.dtype.kind == "b" and array.ndim == 1:
        return array
    numbers = _column("churned", array)
    wrong = np.flatnonzero((numbers != 0) & (numbers != 1))
    if len(wrong):
        raise invalid((f"churned[{wrong[0]}]", f"is {numbers[wrong[0]]}: must be 0 or 1"))
    return numbers == 1
