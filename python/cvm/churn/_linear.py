"""scikit-learn's logistic regression, alone or behind encoders, as one of this package.

Scalers are folded into slopes, one-hot columns into effects of levels. scikit-learn adds the terms
of a row in the order its BLAS likes, so logits are equal to rounding (1e-11), not in every bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from cvm._frames import invalid
from cvm.churn._import import level_text
from cvm.churn._pipeline import Feature, Inputs, Scale, Shift

if TYPE_CHECKING:
    from collections.abc import Sequence

_BINARY = 2
_NONE = "__none__"
_MISSING = "__missing__"


def document(
    model: Any, columns: list[Feature], inputs: Inputs, names: Sequence[str] | None
) -> dict[str, Any]:
    """Return the document of a fitted ``LogisticRegression`` over encoded columns."""
    if len(model.classes_) != _BINARY:
        raise invalid(("model", f"has {len(model.classes_)} classes: must have 2"))
    weights = np.ravel(model.coef_).astype(np.float64)
    used = sorted({column.source for column in columns})
    if names is not None and len(names) != len(used):
        raise invalid(("feature_names", f"has {len(names)} names: must have {len(used)}"))
    state = _State(float(np.ravel(model.intercept_)[0]))
    for place, source in enumerate(used):
        own = [
            (column, float(weight))
            for column, weight in zip(columns, weights, strict=True)
            if column.source == source
        ]
        name = inputs.names[source] if names is None else names[place]
        if source in inputs.levels:
            _category(state, name, own, inputs, source)
        else:
            _number(state, name, own)
    return state.document(level_text_of(model.classes_[1]))


def level_text_of(label: Any) -> str:
    """Return a class as text."""
    return label if isinstance(label, str) else level_text(label)


class _State:
    """The state of the model as it grows."""

    def __init__(self, intercept: float) -> None:
        self.intercept = intercept
        self.fields: list[dict[str, Any]] = []
        self.names: list[str] = []
        self.coefficients: list[float] = []
        self.means: list[float] = []
        self.imputed: list[float] = []

    def add(self, name: str, coefficient: float, mean: float) -> None:
        self.names.append(name)
        self.coefficients.append(coefficient)
        self.means.append(mean)

    def document(self, positive: str) -> dict[str, Any]:
        shift = sum(c * m for c, m in zip(self.coefficients, self.means, strict=True))
        return {
            "document": "cvm logistic 1",
            "settings": {"target": "target", "positive": positive, "fields": self.fields},
            "arrays": {
                "intercept": [self.intercept],
                "coefficients": self.coefficients,
                "means": self.means,
                "scales": [1.0] * len(self.means),
                "imputed": self.imputed,
                "knots": [],
            },
            "training": {
                "imported": {"library": "scikit-learn LogisticRegression"},
                "param_names": ["intercept", *self.names],
                "params": [self.intercept - shift, *self.coefficients],
            },
        }


def _number(state: _State, name: str, own: list[tuple[Feature, float]]) -> None:
    if len(own) != 1:
        raise invalid((f"columns.{name}", "is encoded as several numbers: encode it once"))
    ((column, weight),) = own
    slope, zero = 1.0, 0.0
    # `zero` is the value that is encoded as 0: the mean, behind a StandardScaler.
    for step in column.steps:
        match step:
            case Shift(by, sign):
                zero -= sign * by / slope
            case Scale(by, divides):
                slope = slope / by if divides else slope * by
            case _:
                raise invalid((f"columns.{name}", "is clipped: leave clip out of MinMaxScaler"))
    state.add(name, weight * slope, zero)
    state.imputed.append(0.0 if column.fill is None else column.fill)
    rule = "reject" if column.fill is None else "impute"
    state.fields.append(
        {
            "type": "number",
            "name": name,
            "knot_count": 0,
            "missing_indicator": False,
            "missing": rule,
        }
    )


def _category(
    state: _State, name: str, own: list[tuple[Feature, float]], inputs: Inputs, source: int
) -> None:
    levels = [level_text(level) for level in inputs.levels[source]]
    effects = np.zeros(len(levels))
    missing = unknown = 0.0
    refuses = any(column.unknown is None for column, _ in own)
    for column, weight in own:
        if column.values is None:
            raise invalid((f"columns.{name}", "is both a number and a category"))
        effects += weight * column.values
        missing += weight * column.missing
        unknown += 0.0 if column.unknown is None else weight * column.unknown
    gaps = source not in inputs.rejects_missing and not np.isnan(missing)
    if np.isnan(unknown):
        refuses, unknown = True, 0.0
    # An unseen level is the reference: everything is told against it.
    state.intercept += unknown
    order = np.argsort(np.array(levels), kind="stable")
    for place in order:
        state.add(f"{name}={levels[place]}", float(effects[place] - unknown), 0.0)
    if gaps:
        state.add(f"{name}={_MISSING}", missing - unknown, 0.0)
    known = [levels[place] for place in order]
    state.fields.append(
        {
            "type": "category",
            "name": name,
            "levels": known,
            "groups": list(range(1, len(known) + 1)),
            "group_names": [_NONE, *known, *([_MISSING] if gaps else [])],
            "missing": "own_level" if gaps else "reject",
            "missing_group": len(known) + 1 if gaps else None,
            "unseen": "reject" if refuses else "reference",
        }
    )
