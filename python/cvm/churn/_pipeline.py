"""scikit-learn's encoders in front of trees, pushed back through the thresholds of the trees.

A split asks whether ``encode(x) <= t``. Scalers rise with ``x``, so this is ``x <= T`` for the
largest double ``T`` that passes, found by bisection over all doubles in the encoder's own
arithmetic. One-hot and ordinal columns take one value per level, so the split is a set of levels.
Imputed values go where what stands in for them goes. Nothing is rounded that the pipeline does not
round.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from cvm._frames import invalid
from cvm.churn._import import level_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from cvm._frames import Numbers

_KNOWN = (
    "Pipeline, ColumnTransformer, StandardScaler, MinMaxScaler, SimpleImputer, OneHotEncoder, "
    "OrdinalEncoder, passthrough and drop"
)
_SIGN = np.int64(-(2**63))
_MOST_LEVELS = 4096


@dataclass(frozen=True)
class Shift:
    """Adds a number, or takes it away."""

    by: float
    sign: int = 1

    def __call__(self, x: Numbers) -> Numbers:
        """Return moved numbers."""
        return x + self.by if self.sign > 0 else x - self.by


@dataclass(frozen=True)
class Scale:
    """Multiplies by a number, or divides by it."""

    by: float
    divides: bool = False

    def __call__(self, x: Numbers) -> Numbers:
        """Return scaled numbers."""
        return x / self.by if self.divides else x * self.by


@dataclass(frozen=True)
class Feature:
    """A column on its way through the encoders."""

    source: int
    """Place of the table's column."""
    steps: tuple[Callable[[Numbers], Numbers], ...] = ()
    """Of a number: what is done to it, each step rising."""
    fill: float | None = None
    """Of a number: what stands in for a missing value at the start."""
    values: Numbers | None = None
    """Of a category: the value of each level; of a number ``None``."""
    missing: float = np.nan
    unknown: float | None = np.nan
    """Of a category: the value of an unseen level; ``None`` if it is refused."""

    def then(self, step: Callable[[Numbers], Numbers]) -> Feature:
        """Return the column after one more step."""
        if self.values is None:
            return replace(self, steps=(*self.steps, step))

        def one(value: float) -> float:
            return float(step(np.array([value]))[0])

        unknown = None if self.unknown is None else one(self.unknown)
        return replace(self, values=step(self.values), missing=one(self.missing), unknown=unknown)

    def encode(self, x: Numbers) -> Numbers:
        """Return numbers as the model sees them."""
        for step in self.steps:
            x = step(x)
        return x


@dataclass
class Inputs:
    """The table's columns, as far as they are used."""

    names: list[str]
    levels: dict[int, list[Any]] = field(default_factory=dict)
    """Of categories, the levels as in training."""
    rejects_missing: set[int] = field(default_factory=set)
    rejects_unseen: set[int] = field(default_factory=set)
    finite: bool = False
    """Whether an encoder refuses infinities."""
    narrow: bool = False
    """Whether the model casts what is encoded to 32-bit floats, and refuses what is beyond them."""

    def clipped(self, source: int, columns: list[Feature], values: Numbers) -> Numbers:
        """Return numbers of a column pulled to the largest the model takes.

        Beyond the range of 32-bit floats scikit-learn raises; a tree goes the same way as for the
        largest of them.
        """
        own = [c for c in columns if c.source == source and c.values is None]
        if not self.narrow:
            return values
        for column in own:
            ends = np.array([-np.inf, np.finfo(np.float32).max])
            low, high = thresholds(column, ends, np.float32).tolist()
            values = np.clip(values, np.nextafter(low, np.inf), high)
        return values


def refuse(step: Any, why: str) -> Any:
    """Return the error of an encoder that is not imported."""
    return invalid((f"model.{type(step).__name__}", why))


def _as_they_are(_encoder: Any, columns: list[Feature], _inputs: Inputs) -> list[Feature]:
    return columns


def _none(_encoder: Any, _columns: list[Feature], _inputs: Inputs) -> list[Feature]:
    return []


def features(encoder: Any, columns: list[Feature], inputs: Inputs) -> list[Feature]:
    """Return the columns after an encoder."""
    ways: dict[str, Any] = {
        "passthrough": _as_they_are,
        "drop": _none,
        "Pipeline": _steps,
        "ColumnTransformer": _columns,
        "StandardScaler": _scaled,
        "MinMaxScaler": _scaled,
        "SimpleImputer": _imputed,
        "OneHotEncoder": _one_hot,
        "OrdinalEncoder": _ordinal,
    }
    name = encoder if isinstance(encoder, str) else type(encoder).__name__
    if name in ways:
        return ways[name](encoder, columns, inputs)
    why = f"is not imported; imported are {_KNOWN}: apply it to the table before, or leave it out"
    raise refuse(encoder, why)


def _steps(encoder: Any, columns: list[Feature], inputs: Inputs) -> list[Feature]:
    for _, step in encoder.steps:
        columns = features("passthrough" if step is None else step, columns, inputs)
    return columns


def _columns(encoder: Any, columns: list[Feature], inputs: Inputs) -> list[Feature]:
    if getattr(encoder, "transformer_weights", None):
        raise refuse(encoder, "has transformer_weights: scale inside the transformers")
    places = encoder._transformer_to_input_indices
    out: list[Feature] = []
    for name, step, _ in encoder.transformers_:
        own = [columns[place] for place in places.get(name, [])]
        if own:
            out += features(step, own, inputs)
    return out


def _scaled(encoder: Any, columns: list[Feature], inputs: Inputs) -> list[Feature]:
    inputs.finite = True

    def steps(place: int) -> list[Callable[[Numbers], Numbers]]:
        if type(encoder).__name__ == "StandardScaler":
            mean = encoder.mean_[place] if encoder.with_mean else None
            scale = encoder.scale_[place] if encoder.with_std else None
            return [
                *([] if mean is None else [Shift(float(mean), -1)]),
                *([] if scale is None else [Scale(float(scale), divides=True)]),
            ]
        low, high = encoder.feature_range
        scale, start = encoder.scale_[place], encoder.min_[place]

        def clipped(x: Any) -> Any:
            return np.clip(x, low, high)

        clip = [clipped] if encoder.clip else []
        return [Scale(float(scale)), Shift(float(start)), *clip]

    out = []
    for place, column in enumerate(columns):
        for step in steps(place):
            column = column.then(step)  # noqa: PLW2901 - a column on its way
        out.append(column)
    return out


def _imputed(encoder: Any, columns: list[Feature], inputs: Inputs) -> list[Feature]:
    inputs.finite = True
    marker = encoder.missing_values
    if not (marker is None or marker != marker):  # noqa: PLR0124 - NaN or pandas' NA
        raise refuse(encoder, f"has missing_values={marker!r}: must be NaN or None")
    if encoder.add_indicator or len(encoder.statistics_) != len(columns):
        raise refuse(encoder, "has add_indicator, or drops empty columns: give it neither")
    out = []
    for column, own in zip(columns, encoder.statistics_, strict=True):
        if isinstance(own, (float, int, np.number)) and own != own:  # noqa: PLR0124
            raise refuse(encoder, "drops a column that was empty in training: leave it out")
        if column.values is not None or column.fill is not None:
            raise refuse(encoder, "comes after another encoder of its column: impute first")
        if isinstance(own, str):
            # Until an encoder tells the levels, it is a word that stands in for a gap.
            out.append(replace(column, steps=(*column.steps, _Word(own))))
        elif column.steps:
            # What the steps before make of NaN is NaN: the fill comes after them.
            fill, before = float(own), column.steps
            out.append(replace(column, steps=before, fill=_before(before, fill)))
        else:
            out.append(replace(column, fill=float(own)))
    return out


def _before(steps: Any, fill: float) -> float:
    """Return a number that the steps make into ``fill``, if the bisection finds one."""
    probe = Feature(0, steps=tuple(steps))
    found = float(thresholds(probe, np.array([fill]), np.float64)[0])
    if probe.encode(np.array([found]))[0] != fill:
        name = "SimpleImputer"
        raise invalid((f"model.{name}", "comes after a scaler: impute before scaling"))
    return found


class _Word:
    """A word that stands in for a missing category."""

    def __init__(self, word: str) -> None:
        self.word = word

    def __call__(self, x: Numbers) -> Numbers:
        return x


def _category(encoder: Any, column: Feature, levels: Any, inputs: Inputs) -> tuple[Any, list[Any]]:
    """Register the levels of a category; return what stands in for a gap, and the levels."""
    words = [step.word for step in column.steps if isinstance(step, _Word)]
    if column.values is not None or len(words) != len(column.steps):
        raise refuse(encoder, "comes after another encoder of its column: encode it first")
    filled = words[0] if words else column.fill
    known = [level for level in levels if not _is_missing(level)]
    if len(known) > _MOST_LEVELS:
        raise refuse(encoder, f"has {len(known)} levels: at most {_MOST_LEVELS} are imported")
    before = inputs.levels.setdefault(column.source, known)
    if before != known:
        raise refuse(encoder, "encodes a column that another encoder knows by other levels")
    return filled, known


def _is_missing(level: Any) -> bool:
    return level is None or (isinstance(level, (float, np.floating)) and bool(np.isnan(level)))


def _settle(column: Feature, filled: Any, known: list[Any], inputs: Inputs) -> Feature:
    """Return a category whose gaps are filled, and say what is refused."""
    if filled is not None and filled in known and column.values is not None:
        column = replace(column, missing=float(column.values[known.index(filled)]))
    elif filled is not None:
        if column.unknown is None:
            inputs.rejects_missing.add(column.source)
        column = replace(column, missing=np.nan if column.unknown is None else column.unknown)
    same = column.unknown is not None and (
        column.unknown == column.missing or (np.isnan(column.unknown) and np.isnan(column.missing))
    )
    if not same:
        inputs.rejects_unseen.add(column.source)
    return column


def _one_hot(encoder: Any, columns: list[Feature], inputs: Inputs) -> list[Feature]:
    if getattr(encoder, "_infrequent_enabled", False):
        raise refuse(encoder, "pools infrequent levels: leave min_frequency and max_categories out")
    if encoder.handle_unknown not in {"error", "ignore"}:
        raise refuse(encoder, f"has handle_unknown={encoder.handle_unknown!r}: error or ignore")
    drops = encoder.drop_idx_
    out = []
    for place, (column, levels) in enumerate(zip(columns, encoder.categories_, strict=True)):
        filled, known = _category(encoder, column, levels, inputs)
        errs = encoder.handle_unknown == "error"
        has_gap = any(_is_missing(level) for level in levels)
        if errs and not has_gap and filled is None:
            inputs.rejects_missing.add(column.source)
        for code, level in enumerate(levels):
            if drops is not None and drops[place] is not None and drops[place] == code:
                continue
            values = np.array([float(other is level or other == level) for other in known])
            missing = float(_is_missing(level))
            own = Feature(
                column.source, values=values, missing=missing, unknown=None if errs else 0.0
            )
            out.append(_settle(own, filled, known, inputs))
    return out


def _ordinal(encoder: Any, columns: list[Feature], inputs: Inputs) -> list[Feature]:
    if getattr(encoder, "_infrequent_enabled", False):
        raise refuse(encoder, "pools infrequent levels: leave min_frequency and max_categories out")
    out = []
    for column, levels in zip(columns, encoder.categories_, strict=True):
        filled, known = _category(encoder, column, levels, inputs)
        codes = [code for code, level in enumerate(levels) if not _is_missing(level)]
        has_gap = len(codes) < len(levels)
        errs = encoder.handle_unknown == "error"
        unknown = None if errs else float(encoder.unknown_value)
        missing = float(encoder.encoded_missing_value) if has_gap else unknown
        if missing is None and filled is None:
            inputs.rejects_missing.add(column.source)
        own = Feature(
            column.source,
            values=np.array(codes, dtype=np.float64),
            missing=np.nan if missing is None else missing,
            unknown=unknown,
        )
        out.append(_settle(own, filled, known, inputs))
    return out


def _ordered(bits: Any) -> Any:
    """Return doubles' places in their order as integers, and back: it is its own inverse."""
    return np.where(bits < 0, _SIGN - bits, bits)


def thresholds(column: Feature, limits: Numbers, width: Any) -> Numbers:
    """Return for each limit the largest double the steps turn into at most that; -inf if none."""

    def passes(places: Any) -> Any:
        x = _ordered(places).view(np.float64)
        with np.errstate(over="ignore", invalid="ignore"):
            return column.encode(x).astype(width) <= limits

    largest = int(np.array([np.finfo(np.float64).max]).view(np.int64)[0])
    high = np.full(limits.shape, largest, dtype=np.int64)
    low = -high - 1
    everything = passes(high)
    # `low` passes or is below every double; `high` does not.
    while (high - 1 > low).any():
        # Half of each: their difference may be beyond 64 bits.
        middle = low // 2 + high // 2 + (low % 2 + high % 2) // 2
        good = passes(middle)
        low, high = np.where(good, middle, low), np.where(good, high, middle)
    found = _ordered(np.maximum(low, -largest)).view(np.float64)
    found = np.where(low == -largest - 1, -np.inf, found)
    top = np.where(np.isinf(limits), np.inf, np.finfo(np.float64).max)
    return np.where(everything, top, found)


def push_back(document: dict[str, Any], columns: list[Feature], inputs: Inputs) -> dict[str, Any]:
    """Return a document of trees over encoded columns as one over the table's own."""
    inputs.narrow = document["rules"]["input"] == "f32"
    width = np.float32 if inputs.narrow else np.float64
    takes_missing = all(own["accepts_missing"] for own in document["fields"])
    used = sorted({column.source for column in columns})
    places = {source: place for place, source in enumerate(used)}
    cache = _cached(document, columns, width)
    for tree in document["trees"]:
        if tree["members"]:
            raise invalid(("model", "has categories of its own behind encoders: encode them"))
        for node, index in enumerate(tree["feature"]):
            if index < 0:
                continue
            column = columns[index]
            tree["feature"][node] = places[column.source]
            limit = float(tree["threshold"][node])
            default = bool(tree["default_left"][node])
            tree["default_left"][node] = _gap(column, limit, width, default=default)
            if column.values is not None:
                goes = column.values.astype(width) <= limit
                goes |= np.isnan(column.values) & default
                tree["members"][str(node)] = np.flatnonzero(goes).tolist()
                continue
            own = cache[index, limit]
            infinite = "Infinity" if own > 0 else "-Infinity"
            tree["threshold"][node] = infinite if np.isinf(own) else own
    infinite = document["rules"]["accepts_infinite"] and not inputs.finite
    rules = {**document["rules"], "input": "f64", "accepts_infinite": infinite}
    fields = [_field(source, columns, inputs, takes_missing=takes_missing) for source in used]
    return {**document, "rules": rules, "fields": fields}


def _cached(
    document: dict[str, Any], columns: list[Feature], width: Any
) -> dict[tuple[int, float], float]:
    """Return the thresholds of numbers by encoded column and limit."""
    limits: dict[int, set[float]] = {}
    for tree in document["trees"]:
        for index, limit in zip(tree["feature"], tree["threshold"], strict=True):
            if index >= 0 and columns[index].values is None:
                limits.setdefault(index, set()).add(float(limit))
    found: dict[tuple[int, float], float] = {}
    for index, own in limits.items():
        asked = np.array(sorted(own))
        answers = thresholds(columns[index], asked, width).tolist()
        found |= {(index, limit): own for limit, own in zip(asked.tolist(), answers, strict=True)}
    return found


def _gap(column: Feature, limit: float, width: Any, *, default: bool) -> bool:
    """Return whether a missing value goes left."""
    value = column.missing
    if column.values is None:
        if column.fill is None:
            return default
        value = float(column.encode(np.array([column.fill]))[0])
    return default if np.isnan(value) else bool(np.float64(value).astype(width) <= limit)


def _field(
    source: int, columns: list[Feature], inputs: Inputs, *, takes_missing: bool
) -> dict[str, Any]:
    own = [column for column in columns if column.source == source]
    levels = inputs.levels.get(source)
    numeric = [column for column in own if column.values is None]
    if levels is not None and numeric:
        why = "is both a number and a category: give one of them another column"
        raise invalid((f"columns.{inputs.names[source]}", why))
    if levels is None:
        gaps = takes_missing or all(column.fill is not None for column in own)
    else:
        kept = takes_missing or not any(np.isnan(column.missing) for column in own)
        gaps = kept and source not in inputs.rejects_missing
    return {
        "name": inputs.names[source],
        "accepts_missing": gaps,
        "levels": None if levels is None else [level_text(level) for level in levels],
        "unseen": "reject" if source in inputs.rejects_unseen else "missing",
    }
