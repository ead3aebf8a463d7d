"""Effects of an additive tree model: each tree's values by bin, summed by column or pair."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cvm._frames import invalid

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from cvm._core import RawModel
    from cvm._frames import Numbers

_DEFAULT_LEFT, _KIND, _CATEGORY, _MEMBERS_RIGHT = 1, 0b110, 0b110, 8
_UP, _DOWN = 16, 32
_MOST_FIELDS = 2


@dataclass(frozen=True)
class Axis:
    """The bins of one column.

    Attributes
    ----------
    name : str
        The column.
    edges : numpy.ndarray
        Of a number: bin ``j`` holds ``edges[j - 1] < x <= edges[j]``; empty for a category.
    levels : tuple of str
        Of a category, one bin each; empty for a number.
    """

    name: str
    edges: Numbers
    levels: tuple[str, ...]

    @property
    def bins(self) -> int:
        """Number of bins without the last one, which is missing."""
        return len(self.levels) if self.levels else len(self.edges) + 1

    def find(self, values: Any) -> NDArray[np.intp]:
        """Return the bin of each value; what is missing or not a level is in the last one."""
        if self.levels:
            place = {level: bin_ for bin_, level in enumerate(self.levels)}
            return np.array([place.get(value, self.bins) for value in values], dtype=np.intp)
        numbers = np.asarray(values, dtype=np.float64)
        found = np.searchsorted(self.edges, numbers, side="left")
        return np.where(np.isnan(numbers), self.bins, found)


@dataclass(frozen=True)
class Shape:
    """The effect of a column, or of a pair beyond what its columns do alone in their own trees.

    Attributes
    ----------
    axes : tuple of Axis
        One column or two.
    values : numpy.ndarray
        Logit added in each bin, an axis per column; the last entry of an axis is missing.
    """

    axes: tuple[Axis, ...]
    values: Numbers

    @property
    def names(self) -> tuple[str, ...]:
        """Columns of the effect."""
        return tuple(axis.name for axis in self.axes)

    def contribution(self, *values: Any) -> Numbers:
        """Return the logit added for rows with these values, one argument per column."""
        return self.values[tuple(axis.find(v) for axis, v in zip(self.axes, values, strict=True))]


@dataclass(frozen=True)
class Shapes:
    """All effects of a model: ``intercept`` and the shapes add up to the logit."""

    intercept: float
    shapes: tuple[Shape, ...]

    def __iter__(self) -> Iterator[Shape]:
        return iter(self.shapes)

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, names: str | tuple[str, ...]) -> Shape:
        wanted = (names,) if isinstance(names, str) else tuple(names)
        for shape in self.shapes:
            if shape.names == wanted:
                return shape
        known = ", ".join(" x ".join(shape.names) for shape in self.shapes)
        why = f"no effect of {wanted}; there are {known}"
        raise KeyError(why)


@dataclass(frozen=True)
class _Split:
    field: int
    rule: int
    value: float

    def right(self, codes: Numbers, sets: list[set[int]]) -> NDArray[np.bool_]:
        missing = np.isnan(codes)
        if self.rule & _KIND == _CATEGORY:
            members = sets[int(self.value)]
            inside = np.array([not np.isnan(code) and int(code) in members for code in codes])
            answer = inside == bool(self.rule & _MEMBERS_RIGHT)
        else:
            answer = codes > self.threshold
        return np.where(missing, not self.rule & _DEFAULT_LEFT, answer)

    @property
    def threshold(self) -> float:
        if self.rule & _UP:
            return np.inf
        return -np.inf if self.rule & _DOWN else self.value


@dataclass(frozen=True)
class _Tree:
    """Splits with the places of their children, `~leaf` for a leaf; leaves with their weights."""

    splits: list[_Split]
    children: list[tuple[int, int]]
    values: Numbers
    weights: Numbers

    def fields(self) -> tuple[int, ...]:
        return tuple(sorted({split.field for split in self.splits}))

    def mean(self) -> float:
        total = self.weights.sum()
        return float(self.weights @ self.values / total) if total > 0 else 0.0

    def table(
        self, fields: tuple[int, ...], points: list[Numbers], sets: list[set[int]]
    ) -> Numbers:
        """Return the tree's value at every combination of its fields' points."""
        shape = tuple(len(own) for own in points)
        place = np.zeros(shape, dtype=np.intp) if self.splits else np.full(shape, -1)
        for number, split in enumerate(self.splits):
            axis = fields.index(split.field)
            right = split.right(points[axis], sets)
            right = right.reshape([-1 if own == axis else 1 for own in range(len(shape))])
            low, high = self.children[number]
            here = place == number
            place = np.where(here, np.where(right, high, low), place)
        return self.values[~place]


def _oblivious(arrays: dict[str, Numbers], splits: list[_Split]) -> list[_Tree]:
    trees: list[_Tree] = []
    first = leaf = 0
    for depth in arrays["depths"].astype(int):
        own = splits[first : first + depth]
        # Nodes of a level are consecutive; the answer to split i is bit i of the leaf's number.
        nodes: list[_Split] = []
        children: list[tuple[int, int]] = []
        for level, split in enumerate(own):
            start, width = (1 << level) - 1, 1 << level
            for number in range(width):
                nodes.append(split)
                kids = [number, number + width]
                last = level + 1 == depth
                children.append(
                    (~kids[0], ~kids[1])
                    if last
                    else (start + width + kids[0], start + width + kids[1])
                )
        size = 1 << int(depth)
        values = arrays["leaves"][leaf : leaf + size]
        weights = arrays["leaf_weights"][leaf : leaf + size]
        trees.append(_Tree(nodes, children, values, weights))
        first, leaf = first + int(depth), leaf + size
    return trees


def _binary(arrays: dict[str, Numbers], features: Numbers, splits: list[_Split]) -> list[_Tree]:
    trees: list[_Tree] = []
    start = 0
    for size in arrays["tree_sizes"].astype(int):
        nodes: list[_Split] = []
        children: list[list[int]] = []
        leaves: list[int] = []
        waiting: list[int] = []
        for node in range(start, start + size):
            is_leaf = features[node] < 0
            place = ~len(leaves) if is_leaf else len(nodes)
            # In preorder a node is the next child of the innermost split that lacks one.
            if waiting:
                children[waiting[-1]].append(place)
                if len(children[waiting[-1]]) == len(("left", "right")):
                    waiting.pop()
            if is_leaf:
                leaves.append(node)
            else:
                nodes.append(splits[node])
                children.append([])
                waiting.append(place)
        pairs = [(low, high) for low, high in children]
        trees.append(_Tree(nodes, pairs, arrays["values"][leaves], arrays["covers"][leaves]))
        start += int(size)
    return trees


def _sets(arrays: dict[str, Numbers]) -> list[set[int]]:
    found: list[set[int]] = []
    words = arrays["set_words"].astype(np.uint64)
    start = 0
    for size in arrays["set_sizes"].astype(int):
        own = words[start : start + size]
        bits = {
            32 * at + bit
            for at, word in enumerate(own)
            for bit in range(32)
            if int(word) >> bit & 1
        }
        found.append(bits)
        start += int(size)
    return found


def _arrays(raw: RawModel) -> dict[str, Numbers]:
    names = (
        "base depths features rules values set_sizes set_words leaves leaf_weights "
        "tree_sizes covers"
    )
    stored = {name: raw.array(name) for name in names.split()}
    return {name: array[1] for name, array in stored.items() if array is not None}


def _axis(index: int, field: dict[str, Any], splits: list[_Split]) -> tuple[Axis, Numbers]:
    """Return the bins of a field and a point in each: a number of the bin, or a level's code."""
    if field["type"] == "category":
        levels = tuple(field["levels"])
        points = np.append(np.arange(len(levels), dtype=np.float64), np.nan)
        return Axis(field["name"], np.array([]), levels), points
    own = {split.threshold for split in splits if split.field == index}
    edges = np.array(sorted(edge for edge in own if np.isfinite(edge)))
    # The largest number stands for what is above every edge.
    points = np.concatenate([edges, [np.finfo(np.float64).max, np.nan]])
    return Axis(field["name"], edges, ()), points


def shapes(raw: RawModel) -> Shapes:
    """Return the effects of a model whose trees ask about one column or two."""
    arrays, fields = _arrays(raw), json.loads(raw.settings_json)["fields"]
    features = arrays["features"]
    triples = zip(features, arrays["rules"], arrays["values"], strict=True)
    splits = [_Split(int(field), int(rule), float(value)) for field, rule, value in triples]
    is_oblivious = "depths" in arrays
    trees = _oblivious(arrays, splits) if is_oblivious else _binary(arrays, features, splits)
    most = max((len(tree.fields()) for tree in trees), default=0)
    if most > _MOST_FIELDS:
        why = f"has trees that ask about {most} columns: fit with interaction_order=1 or 2"
        raise invalid(("model", why))
    inner = [split for split in splits if split.field >= 0]
    axes = [_axis(index, field, inner) for index, field in enumerate(fields)]
    sets, intercept = _sets(arrays), float(arrays["base"][0])
    found: dict[tuple[int, ...], Numbers] = {}
    for tree in trees:
        own, mean = tree.fields(), tree.mean()
        intercept += mean
        if own:
            table = tree.table(own, [axes[field][1] for field in own], sets) - mean
            found[own] = found[own] + table if own in found else table
    effects = [
        Shape(tuple(axes[field][0] for field in own), values)
        for own, values in sorted(found.items(), key=lambda item: (len(item[0]), item[0]))
    ]
    return Shapes(intercept, tuple(effects))
