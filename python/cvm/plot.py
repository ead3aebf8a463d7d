"""Pictures of how a model fits; each function draws on and returns matplotlib ``Axes``.

Needs matplotlib: ``pip install cvm[plot]``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import numpy as np

from cvm import metrics
from cvm._frames import as_table, invalid
from cvm.churn._kaplan_meier import kaplan_meier

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

    from cvm._frames import Frame, Numbers
    from cvm.churn._explain import ExplainedModel
    from cvm.churn._shapes import Shape
    from cvm.churn._survival import SurvivalModel
    from cvm.clv._purchase import PurchaseModel

__all__ = [
    "plot_calibration",
    "plot_contributions",
    "plot_lift",
    "plot_lift_ratio",
    "plot_profit",
    "plot_reasons",
    "plot_shape",
    "plot_survival",
    "plot_tracking",
]

_ACTUAL = "#1f2937"
_EXPECTED = "#d9480f"
_QUIET = "#9ca3af"
_COLORS = (_EXPECTED, "#1c7ed6", "#2b8a3e", "#862e9c", "#e67700", _ACTUAL)
_DAY = np.timedelta64(1, "D")
_PERIOD_DAYS = {"day": 1.0, "week": 7.0, "month": 30.4375, "quarter": 91.3125, "year": 365.25}


def plot_tracking(
    model: PurchaseModel,
    transactions: Frame,
    *,
    unit: str = "week",
    calibration_end: str | np.datetime64 | None = None,
    customer_id: str = "customer_id",
    date: str = "date",
    ax: Any = None,
) -> Any:
    """Draw the cumulative repeat purchases of a cohort, actual and expected.

    Expected are, at each time, the repeat purchases a new customer makes in the time since their
    own first purchase, summed over customers.

    Parameters
    ----------
    model : PurchaseModel
        A fitted model whose period is ``unit``.
    transactions : table
        The log; customers whose first purchase is after the end of calibration are left out.
    unit : str, default "week"
        Period of the model: ``day``, ``week``, ``month``, ``quarter`` or ``year``.
    calibration_end : str or datetime64, optional
        Last date the model was fitted on: drawn as a line.
    customer_id, date : str
        Columns of the log.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.
    """
    curves = tracking(
        model,
        transactions,
        unit=unit,
        calibration_end=calibration_end,
        customer_id=customer_id,
        date=date,
    )
    axes = _axes(ax)
    axes.plot(curves["period"], curves["actual"], color=_ACTUAL, label="actual")
    axes.plot(curves["period"], curves["expected"], color=_EXPECTED, ls="--", label="expected")
    if calibration_end is not None:
        start = curves["start"]
        end = (np.datetime64(str(calibration_end), "D") - start) / _DAY / _PERIOD_DAYS[unit]
        axes.axvline(end, color=_QUIET, lw=1)
        axes.annotate("hold-out", (end, 0), (4, 4), textcoords="offset points", color=_QUIET)
    axes.set_xlabel(f"{unit}s since the first purchase of all")
    axes.set_ylabel("cumulative repeat purchases")
    axes.legend(frameon=False)
    return axes


def tracking(
    model: PurchaseModel,
    transactions: Frame,
    *,
    unit: str = "week",
    calibration_end: str | np.datetime64 | None = None,
    customer_id: str = "customer_id",
    date: str = "date",
) -> dict[str, Any]:
    """Return what `plot_tracking` draws: ``period``, ``actual``, ``expected``, and ``start``.

    Parameters
    ----------
    model, transactions, unit, calibration_end, customer_id, date
        As in `plot_tracking`.
    """
    if unit not in _PERIOD_DAYS:
        known = ", ".join(_PERIOD_DAYS)
        raise invalid(("unit", f'is "{unit}": must be one of {known}'))
    days, customers = _purchases(transactions, customer_id, date)
    first = _firsts(days, customers)
    if calibration_end is not None:
        kept = first <= np.datetime64(str(calibration_end), "D")
        chosen = kept[customers]
        days, customers = days[chosen], customers[chosen]
        cohort = first[kept]
    else:
        cohort = first
    repeats = np.sort(days[days > first[customers]])
    start, period_days = cohort.min(), _PERIOD_DAYS[unit]
    steps = np.arange(int((days.max() - start) / _DAY / period_days) + 1)
    ends = start + np.rint(steps * period_days).astype(np.int64) * _DAY
    return {
        "start": start,
        "period": steps,
        "actual": np.searchsorted(repeats, ends, side="right").astype(np.float64),
        "expected": _expected(model, cohort, ends, period_days),
    }


def _purchases(
    transactions: Frame, customer_id: str, date: str
) -> tuple[NDArray[np.datetime64], NDArray[np.intp]]:
    """Return day and customer number of every purchase, those of one day counted once."""
    table = as_table(transactions)
    table.columns([customer_id, date])
    days = np.asarray(table.values(date)).astype("datetime64[D]")
    _, numbers = np.unique(np.asarray(table.values(customer_id)), return_inverse=True)
    distinct = np.unique(np.column_stack([numbers, days.astype(np.int64)]), axis=0)
    return distinct[:, 1].astype("datetime64[D]"), distinct[:, 0].astype(np.intp)


def _firsts(days: NDArray[np.datetime64], customers: NDArray[np.intp]) -> NDArray[np.datetime64]:
    # Rows are ordered by customer, then day.
    starts = np.flatnonzero(np.diff(customers, prepend=-1))
    return days[starts]


def _expected(
    model: PurchaseModel,
    cohort: NDArray[np.datetime64],
    ends: NDArray[np.datetime64],
    period_days: float,
) -> Numbers:
    starts, counts = np.unique(cohort, return_counts=True)
    ages = np.maximum((ends[:, None] - starts[None, :]) / _DAY, 0.0) / period_days
    return model.expected_purchases_new(ages) @ counts.astype(np.float64)


def plot_lift(
    churned: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    label: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the share of churners captured against the share of customers contacted.

    Parameters
    ----------
    churned : array of bool, or of 0 and 1
        Truth.
    score : array of float
        Probability, or any number that rises with it.
    weight : array of float, optional
        Weight of each row.
    label : str, optional
        Name of the curve.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.
    """
    curve = metrics.lift_curve(churned, score, weight)
    axes = _axes(ax)
    shares = np.concatenate([[0.0], curve.contacted_share])
    captured = np.concatenate([[0.0], curve.captured_share])
    color = _next_color(axes)
    axes.plot(shares, captured, color=color, label=label or "model")
    _reference(axes, [0, 1], [0, 1], "at random")
    axes.set_xlabel("share of customers contacted, highest scores first")
    axes.set_ylabel("share of churners among them")
    axes.legend(frameon=False)
    return axes


def plot_calibration(
    churned: ArrayLike,
    probability: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    bins: int = 10,
    binning: str = "width",
    level: float = 0.95,
    label: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the observed churn rate against the mean probability, bin by bin, with intervals.

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
    binning : {"width", "mass"}, default "width"
        Bins of equal width, or of equal weight.
    level : float, default 0.95
        Level of the intervals of the observed rates.
    label : str, optional
        Name of the curve.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.
    """
    curve = metrics.calibration_curve(
        churned, probability, weight, bins=bins, binning=binning, level=level
    )
    axes = _axes(ax)
    color = _next_color(axes)
    name = label or "model"
    axes.plot(curve.mean_probability, curve.observed_rate, "o-", color=color, label=name)
    axes.vlines(curve.mean_probability, curve.lower, curve.upper, color=color, lw=1, alpha=0.6)
    _reference(axes, [0, 1], [0, 1], "perfect")
    axes.set_xlabel("predicted probability of churn")
    axes.set_ylabel("observed churn rate")
    axes.legend(frameon=False)
    return axes


def plot_survival(
    model: SurvivalModel,
    data: Frame,
    *,
    duration: str | ArrayLike,
    event: str | ArrayLike,
    times: ArrayLike | None = None,
    level: float | None = 0.95,
    label: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the mean retention curve of customers beside the Kaplan-Meier curve of the same.

    Parameters
    ----------
    model : HazardChurn, CoxChurn or WeibullChurn
        A fitted duration model.
    data : table
        One row per customer, all followed from the start of their relation.
    duration : str or array
        Time from the start to the end or the last look.
    event : str or array
        Who left: booleans, 0 and 1, or the model's own label.
    times : array of float, optional
        Where to draw the model's curve; by default 40 times up to the longest duration.
    level : float, optional
        Level of the Kaplan-Meier curve's confidence band; ``None`` draws none.
    label : str, optional
        Name of the model's curve.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.
    """
    table = as_table(data)
    lengths = _plain_column(table, duration).astype(np.float64)
    left = _events(_plain_column(table, event), model)
    observed = kaplan_meier(lengths, left, level=0.95 if level is None else level)
    at = np.linspace(0, lengths.max(), 40) if times is None else np.asarray(times, np.float64)
    curve = np.nanmean(model.predict_survival(data, at), axis=0)
    axes = _axes(ax)
    steps = np.concatenate([[0.0], observed.times])
    band = [np.concatenate([[1.0], values]) for values in (observed.lower, observed.upper)]
    if level is not None:
        axes.fill_between(steps, *band, step="post", color=_QUIET, alpha=0.3, lw=0)
    survival = np.concatenate([[1.0], observed.survival])
    axes.step(steps, survival, where="post", color=_ACTUAL, label="Kaplan-Meier")
    axes.plot(at, curve, color=_EXPECTED, ls="--", label=label or "model")
    axes.set_xlabel("time since the start of the relation")
    axes.set_ylabel("share of customers still there")
    axes.set_ylim(0, 1.02)
    axes.legend(frameon=False)
    return axes


def _plain_column(table: Any, given: str | ArrayLike) -> NDArray[Any]:
    return np.asarray(table.values(given) if isinstance(given, str) else given)


def _events(values: NDArray[Any], model: SurvivalModel) -> NDArray[np.bool_]:
    if values.dtype.kind in "biuf":
        return values == 1
    return values.astype(str) == model.positive_label_


def plot_lift_ratio(
    churned: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    label: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the lift, churners captured over chance, against the share of customers contacted.

    Parameters
    ----------
    churned : array of bool, or of 0 and 1
        Truth.
    score : array of float
        Probability, or any number that rises with it.
    weight : array of float, optional
        Weight of each row.
    label : str, optional
        Name of the curve.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.
    """
    curve = metrics.lift_curve(churned, score, weight)
    axes = _axes(ax)
    color = _next_color(axes)
    axes.plot(curve.contacted_share, curve.lift, color=color, label=label or "model")
    _reference(axes, [0, 1], [1, 1], "at random")
    axes.set_xlabel("share of customers contacted, highest scores first")
    axes.set_ylabel("lift")
    axes.legend(frameon=False)
    return axes


def plot_profit(
    churned: ArrayLike,
    score: ArrayLike,
    weight: ArrayLike | None = None,
    *,
    value: ArrayLike | None = None,
    campaign: metrics.Campaign | None = None,
    label: str | None = None,
    ax: Any = None,
) -> Any:
    """Draw the profit per customer of a campaign against the share of customers contacted.

    Parameters
    ----------
    churned : array of bool, or of 0 and 1
        Truth.
    score : array of float
        Probability, or any number that rises with it.
    weight : array of float, optional
        Weight of each row.
    value : array of float, optional
        What each customer is worth if kept.
    campaign : Campaign, optional
        Costs; see `cvm.metrics.Campaign`.
    label : str, optional
        Name of the curve.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes, with the best share as a dot.
    """
    curve = metrics.profit_curve(churned, score, weight, value=value, campaign=campaign)
    best = metrics.mpc(churned, score, weight, value=value, campaign=campaign)
    axes = _axes(ax)
    color = _next_color(axes)
    axes.plot(curve.contacted_share, curve.profit, color=color, label=label or "model")
    axes.plot([best.contacted_share], [best.profit], "o", color=color)
    _reference(axes, [0, 1], [0, 0], "nobody contacted")
    axes.set_xlabel("share of customers contacted, highest scores first")
    axes.set_ylabel("profit per customer")
    axes.legend(frameon=False)
    return axes


def _next_color(axes: Any) -> str:
    """Return a color that the axes do not show yet."""
    used = {line.get_color() for line in axes.get_lines()}
    return next((color for color in _COLORS if color not in used), _COLORS[-1])


def _reference(axes: Any, x: list[float], y: list[float], label: str) -> None:
    """Draw what to compare with, once."""
    if label not in {line.get_label() for line in axes.get_lines()}:
        axes.plot(x, y, color=_QUIET, lw=1, ls="--", label=label)


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    try:
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        why = "plots need matplotlib: pip install cvm[plot]"
        raise ImportError(why) from error
    return pyplot.subplots(figsize=(7, 4.2), layout="constrained")[1]


_MATRIX = 2


def plot_reasons(
    model: ExplainedModel,
    X: Frame,
    *,
    k: int = 8,
    columns: Sequence[str] | None = None,
    ax: Any = None,
) -> Any:
    """Draw how one row's raw score comes about: a waterfall from what is expected to the score.

    Parameters
    ----------
    model : ExplainedModel
        A churn model with attributions, such as `cvm.LogisticChurn` or `cvm.TreeEnsemble`.
    X : table
        One row.
    k : int, default 8
        Reasons drawn one by one, in the words of the feature dictionary; the rest is one bar.
    columns : sequence of str, optional
        Names of the columns of a 2-D array.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.
    """
    steps = waterfall(model, X, k=k, columns=columns)
    axes = _axes(ax)
    ends = steps["expected"] + np.cumsum(steps["contribution"])
    starts = ends - steps["contribution"]
    places = np.arange(len(ends))[::-1]
    colors = [_EXPECTED if c > 0 else _ACTUAL for c in steps["contribution"]]
    axes.barh(places, steps["contribution"], left=starts, color=colors, height=0.6)
    axes.set_yticks(places, steps["text"])
    axes.axvline(steps["expected"], color=_QUIET, lw=1, ls="--")
    axes.axvline(ends[-1], color=_QUIET, lw=1)
    axes.set_xlabel("raw score: from what is expected (dashed) to this row's")
    return axes


def waterfall(
    model: ExplainedModel, X: Frame, *, k: int = 8, columns: Sequence[str] | None = None
) -> dict[str, Any]:
    """Return what `plot_reasons` draws: ``expected``, ``text`` and ``contribution`` by bar.

    Parameters
    ----------
    model, X, k, columns
        As in `plot_reasons`.
    """
    values = model.shap_values(X, columns=columns)
    if values.ndim != _MATRIX or len(values) != 1 or np.isnan(values).any():
        raise invalid(("X", f"has {len(values)} rows: must have one, with one raw score"))
    told = as_table(model.reasons(X, k=k, columns=columns))
    places = [f"reason_{place + 1}" for place in range(k)]
    texts = [np.asarray(told.values(place))[0] for place in places]
    adds = [float(np.asarray(told.values(f"{place}_contribution"))[0]) for place in places]
    known = [place for place, add in enumerate(adds) if not np.isnan(add)]
    rest = float(values.sum()) - sum(adds[place] for place in known)
    return {
        "expected": float(model.expected_value(X, columns=columns)[0]),
        "text": [*(str(texts[place]) for place in known), "all else"],
        "contribution": np.array([*(adds[place] for place in known), rest]),
    }


def plot_contributions(
    model: ExplainedModel,
    X: Frame,
    *,
    k: int = 15,
    columns: Sequence[str] | None = None,
    ax: Any = None,
) -> Any:
    """Draw the mean size of each column's contribution to the raw score over many rows.

    Parameters
    ----------
    model : ExplainedModel
        A churn model with attributions.
    X : table
        Rows, such as some hundred drawn at random.
    k : int, default 15
        Columns drawn, the largest first.
    columns : sequence of str, optional
        Names of the columns of a 2-D array.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.
    """
    names, sizes, shares = contributions(model, X, columns=columns)
    axes = _axes(ax)
    places = np.arange(min(k, len(names)))[::-1]
    shown = slice(len(places))
    raised = sizes[shown] * shares[shown]
    axes.barh(places, raised, color=_EXPECTED, height=0.6, label="raises")
    lowered = sizes[shown] - raised
    axes.barh(places, lowered, left=raised, color=_ACTUAL, height=0.6, label="lowers")
    axes.set_yticks(places, names[shown])
    axes.set_xlabel("mean size of the contribution to the raw score")
    axes.legend(frameon=False)
    return axes


def contributions(
    model: ExplainedModel, X: Frame, *, columns: Sequence[str] | None = None
) -> tuple[list[str], Numbers, Numbers]:
    """Return what `plot_contributions` draws: names, mean sizes, and the share that raises.

    Parameters
    ----------
    model, X, columns
        As in `plot_contributions`.
    """
    values = model.shap_values(X, columns=columns)
    if values.ndim != _MATRIX:
        raise invalid(("model", "has several raw scores: contributions are drawn of one"))
    values = values[~np.isnan(values).any(axis=1)]
    if not len(values):
        raise invalid(("X", "has no row that can be explained"))
    sizes = np.abs(values).mean(axis=0)
    raised = np.maximum(values, 0.0).mean(axis=0)
    order = np.argsort(-sizes, kind="stable")
    names = model.feature_names_in_
    shares = np.divide(raised, sizes, out=np.zeros_like(sizes), where=sizes > 0)
    return [str(names[place]) for place in order], sizes[order], shares[order]


def plot_shape(shape: Shape, *, ax: Any = None) -> Any:
    """Draw the effect of a column, or of a pair of columns as a map of colours.

    Parameters
    ----------
    shape : Shape
        One of ``BoostedChurn.shape_functions_``.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.
    """
    axes = _axes(ax)
    first = shape.axes[0]
    axes.set_xlabel(first.name)
    if len(shape.axes) > 1:
        known = shape.values[: first.bins, : shape.axes[1].bins]
        mesh = axes.imshow(known.T, origin="lower", aspect="auto", cmap="RdBu_r")
        axes.figure.colorbar(mesh, ax=axes, label="logit added")
        axes.set_ylabel(shape.axes[1].name)
        for own, place in ((axes.xaxis, first), (axes.yaxis, shape.axes[1])):
            names = place.levels or tuple(f"{edge:.4g}" for edge in place.edges)
            shown = range(0, len(names), max(1, len(names) // 8))
            own.set_ticks(list(shown), [names[at] for at in shown])
        return axes
    values, missing = shape.values[: first.bins], float(shape.values[first.bins])
    axes.axhline(0, color=_QUIET, lw=1)
    if first.levels:
        axes.bar(list(first.levels), values, color=_EXPECTED)
    elif len(first.edges):
        low, high = first.edges[0], first.edges[-1]
        margin = 0.05 * (high - low) or 1.0
        axes.stairs(values, [low - margin, *first.edges, high + margin], color=_EXPECTED)
    axes.axhline(missing, color=_QUIET, lw=1, ls="--", label="missing")
    axes.set_ylabel("logit added")
    axes.legend(frameon=False)
    return axes
