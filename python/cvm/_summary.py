"""The parameter table of a fitted model, for people and for frames."""

from __future__ import annotations

import html
import importlib
import math
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

COLUMNS = ("parameter", "estimate", "standard_error", "z", "ci_low", "ci_high")


@dataclass(frozen=True)
class Row:
    """One parameter: estimate, standard error, ``estimate / standard_error``, and an interval.

    The interval is symmetric on the logarithm for a parameter that must be positive, so it never
    crosses zero, and on the parameter itself otherwise.
    """

    parameter: str
    estimate: float
    standard_error: float
    z: float
    ci_low: float
    ci_high: float

    @classmethod
    def of(cls, name: str, estimate: float, error: float, *, positive: bool, level: float) -> Row:
        """Return the row of one estimate at a confidence level."""
        reach = NormalDist().inv_cdf(0.5 + level / 2) * error
        z = estimate / error if error > 0 else math.nan
        if positive and estimate > 0:
            factor = math.exp(min(reach / estimate, 700.0)) if math.isfinite(reach) else math.nan
            return cls(name, estimate, error, z, estimate / factor, estimate * factor)
        return cls(name, estimate, error, z, estimate - reach, estimate + reach)

    def values(self) -> tuple[str, float, float, float, float, float]:
        """Return the cells in the order of the columns."""
        return (
            self.parameter,
            self.estimate,
            self.standard_error,
            self.z,
            self.ci_low,
            self.ci_high,
        )


@dataclass(frozen=True)
class ParameterTable:
    """Estimates with their uncertainty; prints as text and shows as HTML in a notebook.

    Attributes
    ----------
    title : str
        Name of the model.
    facts : dict of str to str
        How the fit went: log-likelihood, rows, convergence.
    rows : list of Row
        One per parameter.
    level : float
        Confidence level of the intervals.
    """

    title: str
    facts: dict[str, str]
    rows: list[Row] = field(repr=False)
    level: float = 0.95

    def __iter__(self) -> Iterator[Row]:
        return iter(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, parameter: str) -> Row:
        for row in self.rows:
            if row.parameter == parameter:
                return row
        raise KeyError(parameter)

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the table column by column."""
        cells = [row.values() for row in self.rows]
        return {name: [row[i] for row in cells] for i, name in enumerate(COLUMNS)}

    def to_pandas(self) -> Any:
        """Return the table as a pandas ``DataFrame`` indexed by parameter."""
        pandas = importlib.import_module("pandas")
        return pandas.DataFrame(self.to_dict()).set_index("parameter")

    def _header(self) -> list[str]:
        percent = f"{100 * self.level:g} %"
        return ["parameter", "estimate", "std. error", "z", f"{percent} low", f"{percent} high"]

    def _cells(self) -> list[list[str]]:
        return [[row.parameter, *map(_digits, row.values()[1:])] for row in self.rows]

    def __str__(self) -> str:
        table = [self._header(), *self._cells()]
        widths = [max(len(row[i]) for row in table) for i in range(len(COLUMNS))]
        lines = [_align(row, widths) for row in table]
        rule = "-" * max(len(lines[0]), len(self.title))
        facts = [f"{name}: {value}" for name, value in self.facts.items()]
        return "\n".join([self.title, rule, lines[0], *lines[1:], rule, *facts])

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{html.escape(cell)}</th>" for cell in self._header())
        body = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._cells()
        )
        facts = html.escape(", ".join(f"{name}: {value}" for name, value in self.facts.items()))
        caption = f"<caption>{html.escape(self.title)}<br>{facts}</caption>"
        return f"<table>{caption}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _align(row: list[str], widths: list[int]) -> str:
    first, *rest = (
        cell.ljust(width) if i == 0 else cell.rjust(width)
        for i, (cell, width) in enumerate(zip(row, widths, strict=True))
    )
    return "  ".join([first, *rest]).rstrip()


def _digits(value: object) -> str:
    return f"{value:.5g}" if isinstance(value, float) and math.isfinite(value) else "-"
