"""How good churn probabilities are: ranking, error, calibration, lift, profit and drift.

Each function takes the truth (booleans, or 0 and 1) and a score per row as one-dimensional arrays,
and optionally a weight per row. Rows of equal score count as one group, so nothing depends on the
order of rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cvm import _core
from cvm._frames import Numbers, invalid
from cvm._progress import callback

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from cvm._core import BootstrapArgs

__all__ = [
    "METRICS",
    "BrierParts",
    "CalibrationCurve",
    "Campaign",
    "Estimate",
    "KsPoint",
    "LiftCurve",
    "Profit",
    "ProfitCurve",
    "auc",
    "auc_interval",
    "average_precision",
    "bootstrap",
    "brier",
    "brier_parts",
    "calibration_curve",
    "calibration_error",
    "ece",
    "empc",
    "h_measure",
    "ks",
    "lift_at",
    "lift_curve",
    "log_loss",
    "mpc",
    "profit_curve",
    "psi",
    "top_decile_lift",
]


class LiftCurve(NamedTuple):
    """Churners captured when the highest-scoring share of customers is contacted."""

    contacted_share: Numbers
    captured_share: Numbers
    lift: Numbers


class CalibrationCurve(NamedTuple):
    """Observed churn rate against mean probability, in bins that are not empty.

    ``lower`` and ``upper`` are the ends of Wilson's interval of the observed rate.
    """

    mean_probability: Numbers
    observed_rate: Numbers
    weight: Numbers
    lower: Numbers
    upper: Numbers


class BrierParts(NamedTuple):
    """Brier score = reliability - resolution + uncertainty + within_bins."""

    brier: float
    reliability: float
    resolution: float
    uncertainty: float
    within_bins: float


class KsPoint(NamedTuple):
    """Kolmogorov-Smirnov distance and the score where it is reached."""

    distance: float
    threshold: float


class Campaign(NamedTuple):
    """What a retention campaign costs and brings; defaults of Verbraken et al. (2013).

    ``value`` is what a customer kept is worth, ``offer_cost`` what the offer costs with everybody
    who accepts it, ``contact_cost`` what reaching a customer costs; ``alpha`` and ``beta`` shape
    the distribution of the share of contacted churners who accept.
    """

    value: float = 200.0
    offer_cost: float = 10.0
    contact_cost: float = 1.0
    alpha: float = 6.0
    beta: float = 14.0


class Profit(NamedTuple):
    """Profit per customer of the whole base, and whom to contact for it."""

    profit: float
    contacted_share: float
    threshold: float


class ProfitCurve(NamedTuple):
    """Profit per customer when everybody at or above a score is contacted; nobody comes first."""

    contacted_share: Numbers
    profit: Numbers
    threshold: Numbers


class Estimate(NamedTuple):
    """A metric with its interval, and its value in every replicate of the bootstrap."""

    value: float
    lower: float
    upper: float
    replicates: Numbers


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
    binning: str = "width",
    level: float = 0.95,
) -> CalibrationCurve:
    """Return the observed churn rate against the mean probability, bin by bin.

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
    binning : {"width", "mass"}, default "width"
        Bins of equal width in probability, or of equal weight.
    level : float, default 0.95
        Level of the intervals of the observed rates.

    Examples
    --------
    >>> curve = calibration_curve([0, 0, 1, 1], [0.25, 0.25, 0.75, 0.75], bins=2)
    >>> curve.observed_rate.tolist()
    [0.0, 1.0]
    """
    rows = _arrays(churned, probability, weight)
    found = np.array(_core.calibration_bins(rows, _bins(bins), binning, _level(level)))
    return CalibrationCurve(found[:, 0], found[:, 1], found[:, 4], found[:, 2], found[:, 3])


def calibration_error(
    churned: ArrayLike,
    probability: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    bins: int = 10,
    binning: str = "mass",
    norm: str = "l1",
    debiased: bool = True,
) -> float:
    """Return how far observed churn rates are from the probabilities, over bins.

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
    binning : {"mass", "width"}, default "mass"
        Bins of equal weight, or of equal width.
    norm : {"l1", "l2"}, default "l1"
        Mean absolute difference, or root of the mean square.
    debiased : bool, default True
        Take off what the sampling of outcomes alone would show: a perfect model then scores near
        0 however few its rows are.

    Examples
    --------
    >>> y, p = [0, 0, 1, 1], [0.2, 0.2, 0.9, 0.9]
    >>> round(calibration_error(y, p, bins=2, debiased=False), 3)
    0.15
    """
    if norm not in {"l1", "l2"}:
        raise invalid(("norm", f'is "{norm}": must be l1 or l2'))
    rows = _arrays(churned, probability, weight)
    return _core.calibration_error(rows, _bins(bins), binning, norm == "l2", debiased)


def brier_parts(
    churned: ArrayLike,
    probability: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    bins: int | None = 10,
) -> BrierParts:
    """Return the Brier score with its reliability, resolution and uncertainty.

    Parameters
    ----------
    churned : array of bool, or of 0 and 1
        Truth.
    probability : array of float
        From 0 to 1.
    weight : array of float, optional
        Weight of each row.
    bins : int or None, default 10
        Bins of equal weight; ``None`` takes every distinct probability as a bin.

    Examples
    --------
    >>> parts = brier_parts([0, 1, 1, 1], [0.5, 0.5, 1.0, 1.0], bins=None)
    >>> parts.reliability, parts.resolution, parts.uncertainty
    (0.0, 0.0625, 0.1875)
    """
    rows = _arrays(churned, probability, weight)
    return BrierParts(*_core.brier_parts(rows, None if bins is None else _bins(bins)))


def auc_interval(
    churned: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    level: float = 0.95,
) -> Estimate:
    """Return the AUC with DeLong's interval.

    Parameters
    ----------
    churned : array of bool, or of 0 and 1
        Truth.
    score : array of float
        Probability, or any number that rises with it.
    weight : array of float, optional
        Weight of each row.
    level : float, default 0.95
        Level of the interval.

    Examples
    --------
    >>> round(auc_interval([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]).lower, 3)
    0.057
    """
    found = _core.auc_interval(_arrays(churned, score, weight), _level(level))
    return Estimate(*found, replicates=np.empty(0))


def average_precision(
    churned: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None
) -> float:
    """Return the mean precision over the churners, from the highest score down.

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
    >>> round(average_precision([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8]), 4)
    0.8333
    """
    return _core.average_precision(_arrays(churned, score, weight))


def ks(churned: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> KsPoint:
    """Return the largest distance of the score distributions of churners and of stayers.

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
    >>> ks([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8])
    KsPoint(distance=0.5, threshold=0.8)
    """
    return KsPoint(*_core.ks(_arrays(churned, score, weight)))


def lift_at(
    churned: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None, *, share: float
) -> float:
    """Return the share of churners among the highest-scoring share, over that share.

    Parameters
    ----------
    churned : array of bool, or of 0 and 1
        Truth.
    score : array of float
        Probability, or any number that rises with it.
    weight : array of float, optional
        Weight of each row.
    share : float
        Share of customers contacted, above 0 and at most 1. Where the cut falls among equal
        scores, they are taken in proportion.

    Examples
    --------
    >>> lift_at([0, 0, 1, 1], [0.1, 0.4, 0.35, 0.8], share=0.25)
    2.0
    """
    return _core.lift_at(_arrays(churned, score, weight), float(share))


def top_decile_lift(churned: ArrayLike, score: ArrayLike, weight: ArrayLike | None = None) -> float:
    """Return the lift of the highest-scoring tenth of customers; see `lift_at`."""
    return lift_at(churned, score, weight, share=0.1)


def h_measure(
    churned: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    alpha: float = 2.0,
    beta: float = 2.0,
) -> float:
    """Return Hand's H-measure: the loss a score saves under costs that are not known exactly.

    Parameters
    ----------
    churned : array of bool, or of 0 and 1
        Truth.
    score : array of float
        Probability, or any number that rises with it.
    weight : array of float, optional
        Weight of each row.
    alpha, beta : float, default 2.0
        Shapes of the distribution of the cost share of a stayer called a churner.

    Examples
    --------
    >>> h_measure([0, 0, 1, 1], [0.1, 0.2, 0.8, 0.9])
    1.0
    """
    return _core.h_measure(_arrays(churned, score, weight), float(alpha), float(beta))


def empc(
    churned: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    value: ArrayLike | None = None,
    campaign: Campaign | None = None,
) -> Profit:
    """Return the expected maximum profit of a retention campaign, per customer of the base.

    Parameters
    ----------
    churned : array of bool, or of 0 and 1
        Truth.
    score : array of float
        Probability, or any number that rises with it: who is contacted first.
    weight : array of float, optional
        Weight of each row.
    value : array of float, optional
        What each customer is worth if kept, such as a lifetime value, in place of the constant.
    campaign : Campaign, optional
        Costs and the distribution of who accepts; by default those of Verbraken et al. (2013).

    Returns
    -------
    Profit
        ``profit``, the share of customers to contact, and the score it begins at.

    Examples
    --------
    >>> round(empc([0, 1], [0.0, 1.0]).profit, 6)
    28.0
    """
    return _best(churned, score, weight, value, campaign, expected=True)


def mpc(
    churned: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    value: ArrayLike | None = None,
    campaign: Campaign | None = None,
) -> Profit:
    """Return the maximum profit of a retention campaign at the mean share who accept.

    Parameters
    ----------
    churned, score, weight, value, campaign
        As in `empc`.

    Examples
    --------
    >>> mpc([0, 1], [0.0, 1.0])
    Profit(profit=28.0, contacted_share=0.5, threshold=1.0)
    """
    return _best(churned, score, weight, value, campaign, expected=False)


def _best(
    churned: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike | None,
    value: ArrayLike | None,
    campaign: Campaign | None,
    *,
    expected: bool,
) -> Profit:
    values = None if value is None else _column("value", value)
    rows = _arrays(churned, score, weight)
    return Profit(*_core.best_profit(rows, values, Campaign(*(campaign or ())), expected))


def profit_curve(
    churned: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    value: ArrayLike | None = None,
    campaign: Campaign | None = None,
) -> ProfitCurve:
    """Return the profit per customer of contacting everybody at or above each score.

    Parameters
    ----------
    churned, score, weight, value, campaign
        As in `empc`; the share who accept is at its mean.

    Examples
    --------
    >>> profit_curve([0, 1], [0.0, 1.0]).profit.tolist()
    [0.0, 28.0, 22.5]
    """
    values = None if value is None else _column("value", value)
    rows = _arrays(churned, score, weight)
    found = np.array(_core.profit_curve(rows, values, Campaign(*(campaign or ()))))
    return ProfitCurve(found[:, 0], found[:, 1], found[:, 2])


def psi(before: ArrayLike, now: ArrayLike) -> float:
    """Return the population stability index of two lists of counts of the same bins.

    Parameters
    ----------
    before, now : array of float
        Rows in each bin; half a row is added to every bin, so that an empty one is not infinite.

    Examples
    --------
    >>> psi([50, 50], [50, 50])
    0.0
    >>> round(psi([500, 500], [600, 400]), 2)
    0.04
    """
    return _core.psi(_column("before", before).tolist(), _column("now", now).tolist())


METRICS = (
    "auc",
    "average_precision",
    "log_loss",
    "brier",
    "ece",
    "ks",
    "top_decile_lift",
    "h_measure",
    "empc",
    "mpc",
)


def bootstrap(  # noqa: PLR0913 - each is a choice of its own, all but two have defaults
    churned: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    metrics: Sequence[str] = METRICS,
    value: ArrayLike | None = None,
    groups: ArrayLike | None = None,
    campaign: Campaign | None = None,
    replicates: int = 1000,
    level: float = 0.95,
    seed: int = 0,
    threads: int = 0,
    progress: bool | Callable[[int, int], object] = True,
) -> dict[str, Estimate]:
    """Return metrics with intervals from drawing the rows anew; the same bits for a seed.

    Parameters
    ----------
    churned : array of bool, or of 0 and 1
        Truth.
    score : array of float
        From 0 to 1 where a metric of probabilities is asked for.
    weight : array of float, optional
        Weight of each row.
    metrics : sequence of str, optional
        Which; by default all of ``METRICS``. ``ece`` is over ten bins of equal weight.
    value : array of float, optional
        What each customer is worth if kept, for ``empc`` and ``mpc``.
    groups : array, optional
        Which rows belong together, such as the customer of each: groups are drawn whole.
    campaign : Campaign, optional
        For ``empc`` and ``mpc``.
    replicates : int, default 1000
        How often to draw; 0 gives no intervals.
    level : float, default 0.95
        Level of the percentile intervals.
    seed : int, default 0
        Seed. Two scores of the same rows under one seed see the same draws: the differences of
        their replicates are paired.
    threads : int, default 0
        Threads to use; 0 means all. The numbers do not depend on it.
    progress : bool or callable, default True
        Show a line while working, or call ``progress(done, total)``.

    Examples
    --------
    >>> y, p = [0, 1] * 50, [0.3, 0.6, 0.5, 0.4] * 25
    >>> found = bootstrap(y, p, metrics=["auc"], replicates=200)
    >>> found["auc"].lower < found["auc"].value < found["auc"].upper
    True
    """
    names = list(metrics)
    values = None if value is None else _column("value", value)
    rows = _arrays(churned, score, weight)
    clusters = None
    if groups is not None:
        _, numbers = np.unique(np.asarray(groups), return_inverse=True)
        clusters = numbers.astype(np.int64)
    options: BootstrapArgs = {
        "campaign": Campaign(*(campaign or ())),
        "replicates": int(replicates),
        "seed": int(seed),
        "threads": int(threads),
    }
    tell, close = callback(progress, "bootstrap")
    try:
        found = _core.bootstrap_metrics(rows, values, clusters, names, options, tell)
    finally:
        close()
    tail = 0.5 * (1.0 - _level(level))
    return {
        name: _estimate(point, np.array(drawn), tail)
        for name, (point, drawn) in zip(names, found, strict=True)
    }


def _estimate(point: float, drawn: Numbers, tail: float) -> Estimate:
    return Estimate(point, *percentiles(drawn, tail), replicates=drawn)


def percentiles(drawn: Numbers, tail: float) -> tuple[float, float]:
    """Return the ends that leave ``tail`` of the replicates on either side."""
    known = drawn[~np.isnan(drawn)]
    if not len(known):
        return np.nan, np.nan
    low, high = np.quantile(known, [tail, 1.0 - tail])
    return float(low), float(high)


def _bins(bins: int) -> int:
    if bins < 1:
        raise invalid(("bins", f"is {bins}: must be 1 or more"))
    return int(bins)


def _level(level: float) -> float:
    if not 0 < level < 1:
        raise invalid(("level", f"is {level}: must be a number between 0 and 1"))
    return float(level)


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
