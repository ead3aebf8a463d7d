"""Importer of InterpretML's explainable boosting machines, straight from the fitted objects.

A term is a table over the bins of its columns. Each becomes one tree over the edges of the bins, so
that the sum over trees adds the same numbers in the same order as InterpretML does.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from cvm._frames import invalid
from cvm.churn._import import certified, import_bytes
from cvm.churn._trees import TreeEnsemble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from cvm._frames import Numbers
    from cvm.churn._import import Probe

_BINARY = 2
_LINKS = {"logit": "odds", "mlogit": "softmax", "identity": "identity", "log": "exp"}
_MOST_NODES = 4_000_000


def from_ebm(model: Any, *, feature_names: Sequence[str] | None = None) -> TreeEnsemble:
    """Import an explainable boosting machine, exactly or not at all.

    Parameters
    ----------
    model : interpret.glassbox.ExplainableBoostingClassifier or …Regressor
        The fitted model; terms of one column, pairs, and more.
    feature_names : sequence of str, optional
        Names of the inputs in order, in place of the model's own.

    Returns
    -------
    TreeEnsemble
        The model; its raw scores are InterpretML's in every bit. `TreeEnsemble.shap_values` of a
        model without interactions are its own contributions; what a pair adds is split between its
        two columns by Shapley's rule.

    Raises
    ------
    InvalidInputError
        If the object or an option cannot be used.
    ArtifactError
        If the model has something that cannot be scored exactly.

    Examples
    --------
    >>> import cvm
    >>> from interpret.glassbox import ExplainableBoostingClassifier  # doctest: +SKIP
    >>> ebm = ExplainableBoostingClassifier().fit(X, y)  # doctest: +SKIP
    >>> model = cvm.from_ebm(ebm)  # doctest: +SKIP
    """
    if not hasattr(model, "term_scores_") or not hasattr(model, "bins_"):
        why = f"is a {type(model).__name__}: must be a fitted explainable boosting machine"
        raise invalid(("model", why))
    document = _document(model)
    options = {"feature_names": None if feature_names is None else list(feature_names)}
    raw = import_bytes("arrays", json.dumps(document).encode(), options)
    return TreeEnsemble._of_raw(
        certified(raw, "interpret-core", lambda probe: _scores(model, probe))
    )


def _scores(model: Any, probe: Probe) -> tuple[Any, Any]:
    """Return answers and raw scores of the model itself."""
    import pandas as pd  # noqa: PLC0415 - interpret tells types apart by column only in tables

    rows = pd.DataFrame(dict(zip(model.feature_names_in_, probe.columns.values(), strict=True)))
    if not hasattr(model, "predict_proba"):
        answers = model.predict(rows)
        raw = answers if model.link_ == "identity" else np.log(answers)
        return answers, raw
    shares = model.predict_proba(rows)
    raw = model.decision_function(rows)
    return (shares if shares.shape[1] > _BINARY else shares[:, 1]), raw


def _document(model: Any) -> dict[str, Any]:
    if model.link_ not in _LINKS or (model.link_ == "log" and not hasattr(model, "classes_")):
        known = "logit, mlogit, identity"
        raise invalid(("model.link_", f"is {model.link_!r}: must be one of {known}"))
    intercept = np.ravel(model.intercept_).astype(np.float64)
    if model.link_ == "logit" and intercept.size != 1:
        raise invalid(("model", f"has {len(model.classes_)} classes: must have 2 or more"))
    return {
        "document": "cvm trees 1",
        "library": f"interpret {type(model).__name__}",
        "rules": {
            "compare": "less",
            "input": "f64",
            "accepts_infinite": True,
            "category": "truncate",
            "sum": "f64",
        },
        "outputs": intercept.size,
        "leaf_width": intercept.size,
        "link": _LINKS[model.link_],
        "exponential": "interpret",
        "slope": 1.0,
        "divisor": 1.0,
        "base": intercept.tolist(),
        "fields": [_field(model, index) for index in range(len(model.bins_))],
        "trees": [_tree(model, index) for index in range(len(model.term_features_))],
    }


def _field(model: Any, index: int) -> dict[str, Any]:
    """Return an input; a category's levels are in the order of its finest bins."""
    name, bins = str(model.feature_names_in_[index]), model.bins_[index]
    if not isinstance(bins[0], dict):
        return {"name": name, "accepts_missing": True, "levels": None, "unseen": "missing"}
    levels = [str(level) for level in bins[0]]
    for own in bins:
        if [str(level) for level in own] != levels:
            why = "has other levels in pairs than alone"
            raise invalid((f"model.bins_[{index}]", why))
    same = all(
        np.array_equal(np.take(scores, 0, axis), np.take(scores, -1, axis))
        for features, scores in zip(model.term_features_, model.term_scores_, strict=True)
        for axis, feature in enumerate(features)
        if feature == index
    )
    # An unseen level has a bin of its own; where it scores as a missing value does it is one.
    unseen = "missing" if same else "reject"
    return {"name": name, "accepts_missing": True, "levels": levels, "unseen": unseen}


class _Nodes:
    """Nodes of one tree, grown from the root."""

    def __init__(self, width: int) -> None:
        self.width = width
        self.arrays: dict[str, list[Any]] = {
            name: [] for name in ("feature", "threshold", "left", "right", "default_left", "cover")
        }
        self.answers: list[float] = []
        self.members: dict[str, list[int]] = {}

    def add(self, feature: int, threshold: float, *, default_left: bool, cover: float) -> int:
        place = len(self.arrays["feature"])
        if place >= _MOST_NODES:
            raise invalid(("model", f"has a term of more than {_MOST_NODES} bins"))
        row = (feature, threshold, -1, -1, default_left, cover)
        for own, value in zip(self.arrays.values(), row, strict=True):
            own.append(value)
        self.answers.extend([0.0] * self.width)
        return place

    def join(self, place: int, left: int, right: int) -> None:
        self.arrays["left"][place], self.arrays["right"][place] = left, right


def _tree(model: Any, term: int) -> dict[str, Any]:
    scores = np.asarray(model.term_scores_[term], dtype=np.float64)
    weights = np.asarray(model.bin_weights_[term], dtype=np.float64)
    features = [int(feature) for feature in model.term_features_[term]]
    width = np.ravel(model.intercept_).size
    scores = scores.reshape((*weights.shape, width))
    nodes = _Nodes(width)
    bins = [_bins(model, feature, len(features)) for feature in features]
    _grow(nodes, features, bins, scores, weights)
    tree = {**nodes.arrays, "threshold": [_text(t) for t in nodes.arrays["threshold"]]}
    return {**tree, "output": 0, "value": nodes.answers, "members": nodes.members}


def _text(threshold: float) -> Any:
    return "-Infinity" if np.isneginf(threshold) else threshold


def _bins(model: Any, feature: int, ways: int) -> Any:
    """Return the bins of a feature in a term of so many features."""
    levels = model.bins_[feature]
    return levels[min(ways, len(levels)) - 1]


def _grow(
    nodes: _Nodes, features: list[int], bins: list[Any], scores: Numbers, weights: Numbers
) -> int:
    """Grow the tree over the first feature, below it over the others; return its root."""
    if not features:
        place = nodes.add(-1, 0.0, default_left=False, cover=float(weights))
        start = place * nodes.width
        nodes.answers[start : start + nodes.width] = scores.tolist()
        return place
    feature, own = features[0], bins[0]

    def below(index: int) -> int:
        return _grow(nodes, features[1:], bins[1:], scores[index], weights[index])

    def cover(first: int, end: int) -> float:
        return float(weights[first:end].sum())

    # Bin 0 is that of missing values: no number is below -inf.
    root = nodes.add(feature, -np.inf, default_left=True, cover=cover(0, len(weights)))
    missing = below(0)
    if isinstance(own, dict):
        nodes.members[str(root)] = []
        rest = _by_level(nodes, feature, list(own.values()), below, weights)
    else:
        cuts = np.asarray(own, dtype=np.float64)
        rest = _by_cut(nodes, feature, cuts, 0, len(cuts), below, cover)
    nodes.join(root, missing, rest)
    return root


def _by_cut(
    nodes: _Nodes, feature: int, cuts: Numbers, first: int, end: int, below: Any, cover: Any
) -> int:
    """Grow a balanced tree over cuts ``first`` to ``end``: bin ``i`` ends below cut ``i - 1``."""
    if first == end:
        return below(first + 1)
    middle = (first + end) // 2
    threshold = float(cuts[middle])
    place = nodes.add(feature, threshold, default_left=False, cover=cover(first + 1, end + 2))
    left = _by_cut(nodes, feature, cuts, first, middle, below, cover)
    right = _by_cut(nodes, feature, cuts, middle + 1, end, below, cover)
    nodes.join(place, left, right)
    return place


def _by_level(nodes: _Nodes, feature: int, places: list[int], below: Any, weights: Numbers) -> int:
    """Grow a balanced tree over the distinct bins of a category's levels."""
    distinct = sorted(set(places))

    def grow(own: list[int]) -> int:
        if len(own) == 1:
            return below(own[0])
        half = own[: len(own) // 2]
        total = float(weights[own].sum())
        place = nodes.add(feature, 0.0, default_left=False, cover=total)
        nodes.members[str(place)] = [code for code, bin_ in enumerate(places) if bin_ in half]
        nodes.join(place, grow(half), grow(own[len(own) // 2 :]))
        return place

    return grow(distinct)
