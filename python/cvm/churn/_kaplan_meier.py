"""The Kaplan-Meier curve: retention as it was observed, censoring allowed for."""

from __future__ import annotations

from statistics import NormalDist
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from cvm._frames import Numbers, invalid

if TYPE_CHECKING:
    from numpy.typing import ArrayLike


class KaplanMeier(NamedTuple):
    """A retention curve in steps at the distinct times of leaving."""

    times: Numbers
    survival: Numbers
    lower: Numbers
    upper: Numbers
    at_risk: Numbers
    events: Numbers


def kaplan_meier(
    duration: ArrayLike,
    event: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    entry: ArrayLike | None = None,
    level: float = 0.95,
) -> KaplanMeier:
    """Return the Kaplan-Meier estimate of the retention curve.

    Parameters
    ----------
    duration : array of float
        Time from the start to the end or the last look.
    event : array of bool, or of 0 and 1
        Who left.
    weight : array of float, optional
        Number of customers each row stands for.
    entry : array of float, optional
        Time already survived when the customer came under observation.
    level : float, default 0.95
        Level of the pointwise interval: Greenwood's variance on the scale ``ln(-ln S)``.

    Returns
    -------
    KaplanMeier
        ``times``, ``survival``, ``lower``, ``upper``, ``at_risk``, ``events``.

    Examples
    --------
    >>> curve = kaplan_meier([1, 2, 2, 3], [1, 1, 0, 1])
    >>> curve.survival.tolist()
    [0.75, 0.5, 0.0]
    """
    stop = np.asarray(duration, np.float64)
    left = np.asarray(event)
    start = np.zeros_like(stop) if entry is None else np.asarray(entry, np.float64)
    counts = np.ones_like(stop) if weight is None else np.asarray(weight, np.float64)
    for name, values in (("event", left), ("entry", start), ("weight", counts)):
        if values.shape != stop.shape or stop.ndim != 1:
            raise invalid((name, f"has shape {values.shape}, duration {stop.shape}"))
    if not (np.isfinite(stop).all() and np.isfinite(start).all() and (counts >= 0).all()):
        raise invalid(("duration", "must be finite, as the entry; weights >= 0"))
    if left.dtype.kind not in "biuf" or not np.isin(left, (0, 1)).all():
        raise invalid(("event", "must be booleans, or 0 and 1"))
    if not 0 < level < 1:
        raise invalid(("level", f"is {level}: must be a number between 0 and 1"))
    happened = left.astype(bool)
    times = np.unique(stop[happened & (counts > 0)])
    events = _at(stop[happened], counts[happened], times)
    at_risk = _beyond(stop, counts, times) - _beyond(start, counts, times)
    survival: Numbers = np.cumprod(1.0 - events / at_risk).astype(np.float64)
    return KaplanMeier(times, survival, *_ends(survival, events, at_risk, level), at_risk, events)


def _at(values: Numbers, counts: Numbers, times: Numbers) -> Numbers:
    """Return the weight of the values at each time."""
    sums = np.bincount(np.searchsorted(times, values), counts, len(times))
    return sums[: len(times)].astype(np.float64)


def _beyond(values: Numbers, counts: Numbers, times: Numbers) -> Numbers:
    """Return the weight of the values at or after each time."""
    order = np.argsort(values, kind="stable")
    total = np.concatenate([[0.0], np.cumsum(counts[order])])
    return total[-1] - total[np.searchsorted(values[order], times, side="left")]


def _ends(
    survival: Numbers, events: Numbers, at_risk: Numbers, level: float
) -> tuple[Numbers, Numbers]:
    inside = (survival > 0) & (survival < 1)
    safe = np.where(inside, survival, 0.5)
    terms = np.where(inside, events / (at_risk * np.maximum(at_risk - events, 1e-300)), 0.0)
    half = NormalDist().inv_cdf(0.5 + level / 2) * np.sqrt(np.cumsum(terms)) / -np.log(safe)
    lower = np.where(inside, safe ** np.exp(half), survival)
    return lower, np.where(inside, safe ** np.exp(-half), survival)
