"""Whether spend depends on how often customers buy: the assumption of every spend model."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cvm import _core
from cvm._frames import as_table

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cvm._frames import Frame, Numbers

_BOX = "#9ca3af"
_MEDIAN = "#d9480f"
_MEAN = "#1f2937"


@dataclass(frozen=True)
class SpendIndependence:
    """What the data say of spend and frequency; prints as its verdict.

    Attributes
    ----------
    customers, excluded : int
        Customers tested, and left out: without a repeat purchase, or with free ones only.
    pearson, spearman, kendall : tuple of float
        Coefficient and two-sided p-value; NaN where one of the two never varies.
    verdict : str
        The finding in a sentence, judged by the size of the rank correlation.
    bins : dict of str to numpy.ndarray
        Per bin of frequency: ``frequency_low``, ``frequency_high``, ``customers``,
        ``lower_quartile``, ``median``, ``upper_quartile``, ``mean``.
    """

    customers: int
    excluded: int
    pearson: tuple[float, float]
    spearman: tuple[float, float]
    kendall: tuple[float, float]
    verdict: str
    bins: dict[str, Numbers]

    def __str__(self) -> str:
        return self.verdict

    def plot(self, ax: Any = None) -> Any:
        """Draw quartiles and mean of spend by frequency; the same as `plot_spend_independence`."""
        return plot_spend_independence(self, ax=ax)


def spend_independence(
    data: Frame,
    *,
    permutations: int = 0,
    seed: int = 0,
    bins: int = 10,
    columns: Sequence[str] | None = None,
) -> SpendIndependence:
    """Test whether the mean spend of repeat buyers depends on how often they buy.

    Parameters
    ----------
    data : table
        One row per customer, with ``frequency`` and ``monetary_value``.
    permutations : int, default 0
        Permutations behind the p-values of Pearson and Spearman; 0 means the distribution of t.
    seed : int, default 0
        Seed of the permutations.
    bins : int, default 10
        Bins of frequency at most, of about equal numbers of customers.
    columns : sequence of str, optional
        Names of the columns of a 2-D array.

    Returns
    -------
    SpendIndependence
        Correlations, verdict, and what `plot_spend_independence` draws.

    Examples
    --------
    >>> from cvm.datasets import load_cdnow_summary
    >>> found = spend_independence(load_cdnow_summary())
    >>> found.customers
    946
    >>> round(found.spearman[0], 3)
    0.206
    """
    table = as_table(data, columns)
    inputs = table.columns(["frequency", "monetary_value"])
    found = _core.spend_independence(inputs, permutations, seed, bins)
    bins_found = found["bins"]
    return SpendIndependence(
        customers=found["customers"],
        excluded=found["excluded"],
        pearson=found["pearson"],
        spearman=found["spearman"],
        kendall=found["kendall"],
        verdict=found["verdict"],
        bins={
            "frequency_low": bins_found["frequency_low"],
            "frequency_high": bins_found["frequency_high"],
            "customers": bins_found["customers"],
            "lower_quartile": bins_found["lower_quartile"],
            "median": bins_found["median"],
            "upper_quartile": bins_found["upper_quartile"],
            "mean": bins_found["mean"],
        },
    )


def plot_spend_independence(found: SpendIndependence | Frame, *, ax: Any = None) -> Any:
    """Draw the quartiles and the mean of spend by frequency: level lines mean independence.

    Parameters
    ----------
    found : SpendIndependence, or table
        What `spend_independence` found, or the customers to test.
    ax : matplotlib.axes.Axes, optional
        Where to draw; by default on a new figure.

    Returns
    -------
    matplotlib.axes.Axes
        The axes.
    """
    if not isinstance(found, SpendIndependence):
        found = spend_independence(found)
    axes = _axes(ax)
    bins = found.bins
    places = np.arange(len(bins["median"]))
    height = bins["upper_quartile"] - bins["lower_quartile"]
    axes.bar(
        places,
        height,
        bottom=bins["lower_quartile"],
        width=0.6,
        color=_BOX,
        alpha=0.5,
        label="middle half of customers",
    )
    axes.plot(places, bins["median"], "_", color=_MEDIAN, ms=22, mew=2.5, label="median")
    axes.plot(places, bins["mean"], "o", color=_MEAN, ms=4, label="mean")
    axes.set_xticks(places, [_range(*ends) for ends in _ends(bins)])
    axes.set_xlabel("repeat purchases")
    axes.set_ylabel("mean spend per purchase")
    axes.set_title(f"rank correlation {found.spearman[0]:.2f}", fontsize="medium")
    axes.legend(frameon=False)
    return axes


def _ends(bins: dict[str, Numbers]) -> list[tuple[float, float]]:
    return list(zip(bins["frequency_low"], bins["frequency_high"], strict=True))


def _range(low: float, high: float) -> str:
    return f"{low:.0f}" if low == high else f"{low:.0f}-{high:.0f}"


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    try:
        pyplot = importlib.import_module("matplotlib.pyplot")
    except ImportError as error:
        why = "plots need matplotlib: pip install cvm[plot]"
        raise ImportError(why) from error
    return pyplot.subplots(figsize=(7, 4.2), layout="constrained")[1]
