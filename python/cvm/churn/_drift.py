"""Drift of a table from training, for people and for frames."""

from __future__ import annotations

import html
import importlib
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

_COLUMNS = ("name", "psi", "noise", "level", "missing_before", "missing_now")


class FieldDrift(NamedTuple):
    """Drift of one input, or of the score.

    ``psi`` is the population stability index, ``noise`` what it stays below in 95 % of tables in
    which nothing changed, ``level`` is ``stable``, ``watch`` or ``alarm``; ``other_before`` and
    ``other_now`` are the shares of levels that training hardly had.
    """

    name: str
    psi: float
    noise: float
    level: str
    missing_before: float
    missing_now: float
    other_before: float
    other_now: float


@dataclass(frozen=True)
class DriftReport:
    """How far a table is from the rows a model was trained on.

    Attributes
    ----------
    score : FieldDrift or None
        Drift of the model's own score.
    fields : list of FieldDrift
        Drift of the inputs, in the model's order.
    row_count_before, row_count_now : int
        Rows of training and of the table.
    """

    row_count_before: int
    row_count_now: int
    score: FieldDrift | None
    fields: list[FieldDrift] = field(repr=False)

    @classmethod
    def of(cls, told: dict[str, Any]) -> Self:
        """Return the report of the engine."""
        score = None if told["score"] is None else FieldDrift(**told["score"])
        fields = [FieldDrift(**own) for own in told["fields"]]
        return cls(told["row_count_before"], told["row_count_now"], score, fields)

    def __getitem__(self, name: str) -> FieldDrift:
        for own in self._all():
            if own.name == name:
                return own
        raise KeyError(name)

    def _all(self) -> list[FieldDrift]:
        ranked = sorted(self.fields, key=lambda own: -own.psi)
        return ranked if self.score is None else [self.score, *ranked]

    @property
    def alarms(self) -> list[str]:
        """Names of what moved far."""
        return [own.name for own in self._all() if own.level == "alarm"]

    def to_dict(self) -> dict[str, list[Any]]:
        """Return the table column by column, the score first, then the farthest."""
        rows = self._all()
        return {name: [getattr(row, name) for row in rows] for name in FieldDrift._fields}

    def to_pandas(self) -> Any:
        """Return the table as a pandas ``DataFrame``."""
        return importlib.import_module("pandas").DataFrame(self.to_dict())

    def _cells(self) -> list[list[str]]:
        return [
            [
                own.name,
                f"{own.psi:.4f}",
                f"{own.noise:.4f}",
                own.level,
                f"{own.missing_before:.1%}",
                f"{own.missing_now:.1%}",
            ]
            for own in self._all()
        ]

    def __str__(self) -> str:
        table = [list(_COLUMNS), *self._cells()]
        widths = [max(len(row[i]) for row in table) for i in range(len(_COLUMNS))]
        pairs = (zip(row, widths, strict=True) for row in table)
        lines = ["  ".join(cell.ljust(width) for cell, width in row).rstrip() for row in pairs]
        head = f"{self.row_count_now} rows, {self.row_count_before} in training"
        return "\n".join([head, *lines])

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
        rows = "".join(
            "<tr>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in row) + "</tr>"
            for row in self._cells()
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"
