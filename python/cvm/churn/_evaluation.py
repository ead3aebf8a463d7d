"""The result of an evaluation: metrics with intervals, paired differences, pictures."""

from __future__ import annotations

import html
import importlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from cvm import metrics
from cvm._frames import invalid

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from cvm._frames import Numbers

# Less is better.
LOSSES = frozenset({"log_loss", "brier", "ece"})


class Difference(NamedTuple):
    """A metric of one model less that of another, on the same rows, with its interval."""

    model: str
    reference: str
    metric: str
    difference: float
    lower: float
    upper: float

    @property
    def is_clear(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.lower > 0 or self.upper < 0


@dataclass(frozen=True)
class Evaluation:
    """Churn models judged on rows they were not fitted on.

    Attributes
    ----------
    results : dict of str to dict of str to Estimate
        By model and metric: ``value``, ``lower``, ``upper``, ``replicates``.
    probabilities : dict of str to array
        Probability of churn of every row by each model; NaN for rows that were not tested.
    churned : array of bool
        Who churned.
    fold : array of int
        Split in which each row was tested; -1 for none.
    warnings : list of str
        What looks like a leak.
    level : float
        Level of the intervals.
    """

    results: dict[str, dict[str, metrics.Estimate]] = field(repr=False)
    probabilities: dict[str, Numbers] = field(repr=False)
    churned: NDArray[np.bool_] = field(repr=False)
    fold: NDArray[np.intp] = field(repr=False)
    splits: list[str]
    warnings: list[str]
    level: float = 0.95
    weight: Numbers | None = field(default=None, repr=False)
    value: Numbers | None = field(default=None, repr=False)
    campaign: metrics.Campaign = field(default_factory=metrics.Campaign, repr=False)

    def __getitem__(self, model: str) -> dict[str, metrics.Estimate]:
        if model not in self.results:
            known = ", ".join(self.results)
            raise invalid(("model", f'is "{model}": must be one of {known}'))
        return self.results[model]

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the table column by column."""
        cells: list[tuple[str, str, float, float, float]] = [
            (model, name, found.value, found.lower, found.upper)
            for model, own in self.results.items()
            for name, found in own.items()
        ]
        names = ("model", "metric", "value", "lower", "upper")
        return {name: [row[i] for row in cells] for i, name in enumerate(names)}

    def table(self) -> Any:
        """Return one row per model and metric: a pandas ``DataFrame``, or a dict without pandas."""
        try:
            pandas = importlib.import_module("pandas")
        except ImportError:
            return self.to_dict()
        return pandas.DataFrame(self.to_dict())

    def differences(self, reference: str | None = None) -> list[Difference]:
        """Return how every model differs from one of them, paired replicate by replicate.

        Parameters
        ----------
        reference : str, optional
            Name of the model to compare with; by default the first.
        """
        base_name = reference or next(iter(self.results))
        base = self[base_name]
        return [
            self._difference(model, base_name, name, found, base[name])
            for model, own in self.results.items()
            if model != base_name
            for name, found in own.items()
        ]

    def _difference(
        self,
        model: str,
        reference: str,
        name: str,
        own: metrics.Estimate,
        base: metrics.Estimate,
    ) -> Difference:
        gaps = own.replicates - base.replicates
        low, high = metrics.percentiles(gaps, 0.5 * (1.0 - self.level))
        return Difference(model, reference, name, own.value - base.value, low, high)

    def tested(self, model: str) -> tuple[NDArray[np.bool_], Numbers, Numbers | None]:
        """Return outcomes, probabilities and weights of the rows tested."""
        self[model]
        rows = self.fold >= 0
        weight = None if self.weight is None else self.weight[rows]
        return self.churned[rows], self.probabilities[model][rows], weight

    def _header(self) -> list[str]:
        names = list(next(iter(self.results.values())))
        return ["model", *names]

    def _cells(self) -> list[list[str]]:
        return [[model, *map(_cell, own.values())] for model, own in self.results.items()]

    def __str__(self) -> str:
        rows = int((self.fold >= 0).sum())
        left = int(self.churned[self.fold >= 0].sum())
        lines = [f"{rows} rows tested, {left} of them churned; {len(self.splits)} splits"]
        names = list(next(iter(self.results.values())))
        models = list(self.results)
        table = [["", *models]]
        table += [[name, *(_cell(self.results[m][name]) for m in models)] for name in names]
        widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
        for row in table:
            pairs = zip(row, widths, strict=True)
            lines.append("  ".join(cell.ljust(width) for cell, width in pairs).rstrip())
        lines += [f"leak? {warning}" for warning in self.warnings]
        return "\n".join(lines)

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        models = list(self.results)
        names = list(next(iter(self.results.values())))
        head = "".join(f"<th>{html.escape(model)}</th>" for model in ["", *models])
        body = "".join(
            f"<tr><th>{name}</th>"
            + "".join(f"<td>{html.escape(_cell(self.results[m][name]))}</td>" for m in models)
            + "</tr>"
            for name in names
        )
        notes = "".join(f"<li>{html.escape(text)}</li>" for text in self.warnings)
        listed = f"<p>Leaks?</p><ul>{notes}</ul>" if notes else ""
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>{listed}"

    def plot_gain(self, models: Sequence[str] | None = None, ax: Any = None) -> Any:
        """Draw the share of churners captured against the share contacted, a line per model."""
        return self._each("plot_lift", models, ax)

    def plot_lift(self, models: Sequence[str] | None = None, ax: Any = None) -> Any:
        """Draw the lift against the share contacted, a line per model."""
        return self._each("plot_lift_ratio", models, ax)

    def plot_reliability(self, models: Sequence[str] | None = None, ax: Any = None) -> Any:
        """Draw observed rates with intervals against probabilities, a line per model."""
        return self._each("plot_calibration", models, ax, binning="mass", level=self.level)

    def plot_profit(self, models: Sequence[str] | None = None, ax: Any = None) -> Any:
        """Draw the profit per customer against the share contacted, a line per model."""
        value = None if self.value is None else self.value[self.fold >= 0]
        return self._each("plot_profit", models, ax, value=value, campaign=self.campaign)

    def _each(self, name: str, models: Sequence[str] | None, ax: Any, **options: Any) -> Any:
        plot = importlib.import_module("cvm.plot")
        for model in models or self.results:
            churned, probability, weight = self.tested(model)
            draw = getattr(plot, name)
            ax = draw(churned, probability, weight, label=model, ax=ax, **options)
        return ax


def _cell(found: metrics.Estimate) -> str:
    if np.isnan(found.lower):
        return f"{found.value:.4g}"
    return f"{found.value:.4g} [{found.lower:.4g}, {found.upper:.4g}]"
