"""Which purchase model to use: a sensible set compared on a time-split hold-out, and explained."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from cvm._base import MODEL_CLASSES
from cvm._frames import as_table, invalid
from cvm._progress import callback
from cvm._summarize import summarize
from cvm.clv._purchase import PurchaseModel
from cvm.errors import ConvergenceWarning, CvmError, FitWarning, RowWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    from cvm._frames import Frame, Numbers

_DEFAULT_KINDS = (
    "clv.nbd",
    "clv.bg_nbd",
    "clv.mbg_nbd",
    "clv.pareto_nbd",
    "clv.bg_cnbd_k",
    "clv.mbg_cnbd_k",
)
_STRICT_ERRORS = 2.0
_HOLDOUT_SHARE = 1.0 / 3.0


@dataclass(frozen=True)
class Candidate:
    """One model of a comparison.

    Attributes
    ----------
    model : PurchaseModel
        Fitted to the calibration period.
    log_likelihood, aic, bic : float
        Of the calibration period.
    log_score : float
        Mean log probability of each customer's own number of purchases in the hold-out: higher is
        better; the only figure here that judges the whole forecast (a proper score, Gneiting &
        Raftery 2007).
    log_score_gap, log_score_gap_error : float
        How far below the best, and the standard error of that, customer by customer.
    total_error : float
        Forecast total over actual total, minus one.
    mean_absolute_error : float
        Over customers, in purchases.
    notes : tuple of str
        What the fit warned of.
    """

    model: PurchaseModel
    log_likelihood: float
    aic: float
    bic: float
    log_score: float
    log_score_gap: float
    log_score_gap_error: float
    total_error: float
    mean_absolute_error: float
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Recommendation:
    """What `recommend` found; prints as a table with a verdict.

    Attributes
    ----------
    best : PurchaseModel
        The recommended model, fitted to the calibration period.
    candidates : list of Candidate
        All that could be fitted, best first.
    failed : dict of str to str
        Titles of models that could not be fitted, and why.
    horizon : float
        Length of the hold-out, in periods.
    reasons : list of str
        The verdict in sentences.
    """

    best: PurchaseModel
    candidates: list[Candidate]
    failed: dict[str, str]
    horizon: float
    reasons: list[str] = field(default_factory=list)

    def table(self) -> dict[str, list[Any]]:
        """Return the comparison as columns, for a data frame or a plot."""
        names = ("log_likelihood", "aic", "bic", "log_score", "log_score_gap")
        names += ("log_score_gap_error", "total_error", "mean_absolute_error")
        columns: dict[str, list[Any]] = {"model": [c.model.title for c in self.candidates]}
        for name in names:
            columns[name] = [getattr(candidate, name) for candidate in self.candidates]
        return columns

    def __str__(self) -> str:
        head = f"{'model':<16}{'BIC':>12}{'log score':>11}{'gap (s.e.)':>18}{'total':>9}{'MAE':>8}"
        lines = [head]
        for c in self.candidates:
            gap = f"{c.log_score_gap:.4f} ({c.log_score_gap_error:.4f})"
            lines.append(
                f"{c.model.title:<16}{c.bic:>12.1f}{c.log_score:>11.4f}{gap:>18}"
                f"{c.total_error:>+9.1%}{c.mean_absolute_error:>8.4f}"
            )
        lines += [f"{title}: not fitted: {why}" for title, why in self.failed.items()]
        return "\n".join([*lines, "", *self.reasons])


def recommend(
    data: Frame,
    *,
    unit: str | None = None,
    calibration_end: str | np.datetime64 | None = None,
    kinds: Sequence[str] | None = None,
    customer_id: str = "customer_id",
    date: str = "date",
    progress: bool | Callable[[int, int], object] = True,
) -> Recommendation:
    """Compare purchase models on a time-split hold-out and recommend one.

    Every model is fitted to the calibration period and asked for the probability of what each
    customer then did. The recommended one has the highest mean log score, unless a model with fewer
    parameters is within two standard errors of it.

    Parameters
    ----------
    data : table
        A transaction log with ``unit``; or a summary with the columns ``holdout_frequency`` and
        ``holdout_duration``, as `cvm.summarize` makes it with a ``calibration_end``.
    unit : str, optional
        Unit of time of a transaction log: ``day``, ``week`` …; must be unset for a summary.
    calibration_end : str or datetime64, optional
        Where to split a log; by default two thirds of the way.
    kinds : sequence of str, optional
        Kinds to compare, such as ``clv.bg_nbd``; by default a sensible set.
    customer_id, date : str
        Columns of a log.
    progress : bool or callable, default True
        Draw a line when it takes more than two seconds; or a function of ``(done, total)``.

    Returns
    -------
    Recommendation
        Prints as a table with a verdict; ``best`` is the recommended model.

    Examples
    --------
    >>> import cvm
    >>> log = cvm.datasets.load_cdnow()
    >>> found = cvm.clv.recommend(
    ...     log, unit="week", calibration_end="1997-09-30", kinds=["clv.bg_nbd"]
    ... )
    >>> found.best.title
    'BG/NBD'
    >>> print(f"{found.candidates[0].mean_absolute_error:.4f}")
    0.7855
    """
    customers = _customers(data, unit, calibration_end, customer_id, date)
    actual, horizon = _holdout(customers)
    chosen = _classes(kinds)
    told, close = callback(progress, "comparing models")
    fitted: list[tuple[PurchaseModel, Numbers, Numbers, tuple[str, ...]]] = []
    failed: dict[str, str] = {}
    try:
        for done, model_class in enumerate(chosen):
            told(done, len(chosen))
            try:
                fitted.append(_evaluate(model_class, customers, actual, horizon, unit))
            except CvmError as error:
                failed[model_class.title] = str(error)
    finally:
        close()
    if not fitted:
        raise invalid(("data", f"no model could be fitted: {failed}"))
    candidates = _ranked(fitted, actual)
    best, reasons = _verdict(candidates)
    return Recommendation(best.model, candidates, failed, horizon, reasons)


def _customers(
    data: Frame,
    unit: str | None,
    calibration_end: str | np.datetime64 | None,
    customer_id: str,
    date: str,
) -> Frame:
    if unit is None:
        return data
    if calibration_end is None:
        column = as_table(data, None).values(date)
        days = np.asarray(column).astype("datetime64[D]")
        first, last = days.min(), days.max()
        calibration_end = last - (last - first) * _HOLDOUT_SHARE
    return summarize(
        data,
        customer_id=customer_id,
        date=date,
        amount=None,
        unit=unit,
        calibration_end=str(calibration_end),
        regularity=True,
    )


def _holdout(customers: Frame) -> tuple[NDArray[np.float64], float]:
    table = as_table(customers, None)
    actual, duration = (
        np.asarray(table.values(name), dtype=np.float64)
        for name in ("holdout_frequency", "holdout_duration")
    )
    if len(actual) == 0 or not (duration == duration[0]).all() or not duration[0] > 0:
        raise invalid(("data", "needs one hold-out of the same positive length for all customers"))
    return actual, float(duration[0])


def _classes(kinds: Sequence[str] | None) -> list[type[PurchaseModel]]:
    chosen: list[type[PurchaseModel]] = []
    for kind in kinds or _DEFAULT_KINDS:
        model_class = MODEL_CLASSES.get(kind)
        if model_class is None or not issubclass(model_class, PurchaseModel):
            known = [k for k, c in MODEL_CLASSES.items() if issubclass(c, PurchaseModel)]
            raise invalid(("kinds", f'holds "{kind}": must be of {", ".join(known)}'))
        chosen.append(model_class)
    return chosen


def _evaluate(
    model_class: type[PurchaseModel],
    customers: Frame,
    actual: NDArray[np.float64],
    horizon: float,
    unit: str | None,
) -> tuple[PurchaseModel, Numbers, Numbers, tuple[str, ...]]:
    """Fit, forecast, and score each customer: model, expected purchases, log scores, notes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        model = model_class().fit(customers, time_unit=unit)
        expected = model.predict(customers, horizon=horizon)
        scores = np.full(len(actual), np.nan)
        for count in np.unique(actual).tolist():
            rows = actual == count
            every = model.p_purchases(customers, horizon=horizon, n=int(count), log=True)
            scores[rows] = every[rows]
    told = (FitWarning, ConvergenceWarning, RowWarning)
    notes = [str(entry.message) for entry in caught if issubclass(entry.category, told)]
    return model, expected, scores, tuple(dict.fromkeys(notes))


def _ranked(
    fitted: list[tuple[PurchaseModel, Numbers, Numbers, tuple[str, ...]]],
    actual: NDArray[np.float64],
) -> list[Candidate]:
    best_scores = max((scores for _, _, scores, _ in fitted), key=lambda s: float(np.mean(s)))
    total = float(actual.sum())
    candidates: list[Candidate] = []
    for model, expected, scores, notes in fitted:
        gap = best_scores - scores
        report = model.fit_report_
        candidates.append(
            Candidate(
                model=model,
                log_likelihood=model.log_likelihood_,
                aic=report["aic"],
                bic=report["bic"],
                log_score=float(scores.mean()),
                log_score_gap=float(gap.mean()),
                log_score_gap_error=float(gap.std() / np.sqrt(len(gap))),
                total_error=float(expected.sum() / total - 1.0) if total > 0 else np.inf,
                mean_absolute_error=float(np.abs(expected - actual).mean()),
                notes=notes,
            )
        )
    return sorted(candidates, key=lambda candidate: -candidate.log_score)


def _verdict(candidates: list[Candidate]) -> tuple[Candidate, list[str]]:
    top = candidates[0]
    close = [
        c
        for c in candidates
        if c.log_score_gap <= _STRICT_ERRORS * c.log_score_gap_error and c.model.converged_
    ] or [top]
    best = min(close, key=lambda c: (len(c.model.params_), -c.log_score))
    reasons = [f"Recommended: {best.model.title}."]
    if best is top:
        reasons.append("It gives the hold-out the highest probability, customer by customer.")
    else:
        reasons.append(
            f"{top.model.title} scores higher by {best.log_score_gap:.4f} a customer, which is "
            f"within two standard errors ({best.log_score_gap_error:.4f}), with more parameters."
        )
    worse = [c.model.title for c in candidates if c not in close]
    if worse:
        reasons.append(f"Clearly worse on the hold-out: {', '.join(worse)}.")
    reasons.append(
        f"Its forecast of all purchases is {best.total_error:+.1%} off; the mean absolute error is "
        f"{best.mean_absolute_error:.3f} purchases a customer."
    )
    reasons.extend(f"Mind: {note}" for note in best.notes)
    return best, reasons
