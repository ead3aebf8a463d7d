"""Importer of scikit-learn's trees, straight from the fitted objects.

scikit-learn has no model file but a pickle, so the arrays of the trees are written into a document
that the engine reads as it reads every other file.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from cvm._frames import invalid
from cvm.churn._calibrated_mean import CalibratedMean
from cvm.churn._import import certified, import_bytes, level_text, originals
from cvm.churn._linear import document as linear_document
from cvm.churn._logistic import LogisticChurn
from cvm.churn._pipeline import Feature, Inputs, features, push_back
from cvm.churn._trees import TreeEnsemble

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from cvm.churn._import import Probe

_DOCUMENT = "cvm trees 1"
_BINARY = 2
_KNOWN = (
    "HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier, "
    "RandomForestRegressor, ExtraTreesClassifier, ExtraTreesRegressor, GradientBoostingClassifier, "
    "GradientBoostingRegressor, DecisionTreeClassifier, DecisionTreeRegressor"
)


def from_sklearn(
    model: Any, *, feature_names: Sequence[str] | None = None
) -> TreeEnsemble | LogisticChurn | CalibratedMean:
    """Import a scikit-learn classifier or model of trees, exactly or not at all.

    Parameters
    ----------
    model : estimator
        A fitted ``HistGradientBoosting…``, ``RandomForest…``, ``ExtraTrees…``,
        ``GradientBoosting…`` or ``DecisionTree…``, classifier or regressor; or a ``Pipeline`` that
        ends in one, of ``ColumnTransformer``, ``StandardScaler``, ``MinMaxScaler``,
        ``SimpleImputer``, ``OneHotEncoder``, ``OrdinalEncoder`` and ``passthrough``. The model
        reads the pipeline's own columns. Or a ``LogisticRegression``; or a
        ``CalibratedClassifierCV`` of any of these, sigmoid or isotonic, whose folds know the same
        levels.
    feature_names : sequence of str, optional
        Names of the inputs in order; by default those of the training table, or ``x0``, ``x1`` …

    Returns
    -------
    TreeEnsemble, LogisticChurn or CalibratedMean
        The model. Class 1 is the second of the estimator's ``classes_``; ``labels`` among
        ``imported_`` are its labels.

    Raises
    ------
    InvalidInputError
        If the object or an option cannot be used.
    ArtifactError
        If the model has something that cannot be scored exactly.

    Examples
    --------
    >>> import cvm, numpy
    >>> from sklearn.ensemble import RandomForestClassifier
    >>> rng = numpy.random.default_rng(0)
    >>> X, y = rng.normal(size=(300, 3)), rng.random(300) < 0.3
    >>> forest = RandomForestClassifier(20, random_state=0).fit(X, y)
    >>> model = cvm.from_sklearn(forest)
    >>> bool((model.predict_proba(X)[:, 1] == forest.predict_proba(X)[:, 1]).all())
    True
    """
    if type(model).__name__ == "CalibratedClassifierCV":
        return _calibrated(model, feature_names)
    read = read_model(model, feature_names)
    options = {"feature_names": None if feature_names is None else list(feature_names)}
    given = {} if read.format == "logistic" else options
    raw = import_bytes(read.format, json.dumps(read.document).encode(), given)

    def score(probe: Probe) -> tuple[Any, Any]:
        rows = read.rows(probe)
        if read.format == "logistic":
            return model.predict_proba(rows)[:, 1], model.decision_function(rows)
        return _scores(model, read.last, rows)

    found = certified(raw, "scikit-learn", score)
    if read.format == "logistic":
        return LogisticChurn._of_raw(found)
    return TreeEnsemble._of_raw(found)


@dataclass(frozen=True)
class Read:
    """A model as the engine takes it, and how its rows are given to the object itself."""

    format: str
    document: dict[str, Any]
    last: Any
    rows: Callable[[Probe], Any]
    clipped: Callable[[str, Any], Any]
    """Numbers of a column pulled to the largest the object takes."""


def _calibrated(model: Any, feature_names: Sequence[str] | None) -> CalibratedMean:
    """Import a mean of calibrated classifiers."""
    document, reads = calibrated_document(model, feature_names)
    options = {"feature_names": None if feature_names is None else list(feature_names)}
    raw = import_bytes("calibrated", json.dumps(document).encode(), options)

    def score(probe: Probe) -> tuple[Any, Any]:
        for read in reads:
            for name, column in probe.columns.items():
                if column.dtype != object:
                    probe.columns[name] = read.clipped(name, column)
        rows = reads[0].rows(probe)
        jobs = [getattr(read.last, "n_jobs", None) for read in reads]
        for read in reads:
            # Several threads add trees in the order they finish: not even the same bits twice.
            if hasattr(read.last, "n_jobs"):
                read.last.n_jobs = 1
        try:
            return model.predict_proba(rows)[:, 1], []
        finally:
            for read, own in zip(reads, jobs, strict=True):
                if hasattr(read.last, "n_jobs"):
                    read.last.n_jobs = own

    return CalibratedMean._of_raw(certified(raw, "scikit-learn", score))


def read_model(model: Any, feature_names: Sequence[str] | None) -> Read:
    """Return the document of a model of trees or a logistic regression, alone or in a pipeline."""
    whole, model = model, _last(model)
    inputs, columns = _encoded(whole, model)
    name = type(model).__name__
    if name == "LogisticRegression":
        return _logistic(whole, model, feature_names)
    if not hasattr(model, "n_features_in_") or getattr(model, "n_outputs_", 1) != 1:
        why = f"is a {name}: must be a fitted estimator of one output"
        raise invalid(("model", why))
    if name.startswith("HistGradientBoosting"):
        document = _histogram(model)
    elif name.startswith("GradientBoosting"):
        document = _boosted(model)
    elif name.startswith(("RandomForest", "ExtraTrees")):
        document = _averaged(model, model.estimators_)
    elif name.startswith("DecisionTree"):
        document = _averaged(model, [model])
    else:
        raise invalid(("model", f"is a {name}: must be one of {_KNOWN}"))
    document |= {"document": _DOCUMENT, "library": f"scikit-learn {name}"}
    if inputs is not None:
        document = push_back(document, columns, inputs)

    def rows(probe: Probe) -> Any:
        if inputs is None:
            return _rows(model, probe)
        return _table(whole, probe, inputs, columns)

    return Read("arrays", document, model, rows, _puller(inputs, columns, feature_names))


def _puller(
    inputs: Inputs | None, columns: list[Feature], names: Sequence[str] | None
) -> Callable[[str, Any], Any]:
    def pulled(name: str, values: Any) -> Any:
        if inputs is None:
            return values
        known = list(names) if names is not None else inputs.names
        return inputs.clipped(known.index(name), columns, values)

    return pulled


def _logistic(whole: Any, model: Any, names: Sequence[str] | None) -> Read:
    """Read a logistic regression, alone or behind encoders."""
    inputs, columns = _encoded(whole, model)
    if inputs is None:
        given = [field["name"] for field in _fields(model, accepts_missing=False)]
        inputs, columns = Inputs(given), [Feature(place) for place in range(len(given))]
    found = linear_document(model, columns, inputs, names)

    def rows(probe: Probe) -> Any:
        return _table(whole, probe, inputs, columns)

    def as_it_is(_name: str, values: Any) -> Any:
        return values

    return Read("logistic", found, model, rows, as_it_is)


# Calibrated classifiers.


def calibrated_document(
    model: Any, feature_names: Sequence[str] | None
) -> tuple[dict[str, Any], list[Read]]:
    """Return the document of a mean of calibrated classifiers, and its members."""
    members = getattr(model, "calibrated_classifiers_", None)
    if not members:
        raise invalid(("model", "is a CalibratedClassifierCV that is not fitted"))
    if len(model.classes_) != _BINARY:
        why = f"has {len(model.classes_)} classes: only two are imported; calibrate each by itself"
        raise invalid(("model", why))
    parts, reads = [], []
    for own in members:
        estimator = own.estimator
        while type(estimator).__name__ == "FrozenEstimator":
            estimator = estimator.estimator
        read = read_model(estimator, feature_names)
        margin = hasattr(estimator, "decision_function")
        margins = "logit" if read.format == "logistic" else "raw_score"
        part = {
            "format": read.format,
            "model": read.document,
            "source": margins if margin else "churn_probability",
        }
        parts.append(part | _map(own.calibrators[0]))
        reads.append(read)
    return {
        "document": "cvm calibrated 1",
        "library": f"scikit-learn CalibratedClassifierCV of {type(reads[0].last).__name__}",
        "members": parts,
    }, reads


def _map(calibrator: Any) -> dict[str, Any]:
    """Return the map of a calibrator to a probability."""
    name = type(calibrator).__name__
    if name == "_SigmoidCalibration":
        return {"sigmoid": [float(calibrator.a_), float(calibrator.b_)]}
    if name == "IsotonicRegression" and calibrator.out_of_bounds == "clip":
        x, y = calibrator.X_thresholds_, calibrator.y_thresholds_
        if x.dtype != np.float64:
            raise invalid(("model", f"was calibrated on scores of {x.dtype}: must be float64"))
        return {"segments": {"x": x.tolist(), "y": np.asarray(y, np.float64).tolist()}}
    why = f"calibrates by {name}: sigmoid and isotonic are imported; use method= of those"
    raise invalid(("model.method", why))


def _encoded(whole: Any, last: Any) -> tuple[Inputs | None, list[Feature]]:
    """Return the columns of a pipeline's table, and those its last step sees."""
    if whole is last:
        return None, []
    names = getattr(whole, "feature_names_in_", None)
    given = range(whole.n_features_in_) if names is None else names
    inputs = Inputs([f"x{name}" if names is None else str(name) for name in given])
    columns = [Feature(place) for place in range(len(inputs.names))]
    for _, step in whole.steps[:-1]:
        columns = features("passthrough" if step is None else step, columns, inputs)
    return inputs, columns


def _last(model: Any) -> Any:
    """Return the last step of a pipeline, or the model itself."""
    while type(model).__name__ == "Pipeline":
        last = model.steps[-1][1]
        if type(last).__name__ == "Pipeline":
            raise invalid(("model", "ends with a Pipeline inside a Pipeline: make it one"))
        model = last
    return model


def _table(model: Any, probe: Probe, inputs: Inputs, columns: list[Feature]) -> Any:
    """Return the probe rows as the pipeline takes them; columns it drops are zeros."""
    used = sorted({column.source for column in columns})
    cells = dict(zip(used, probe.columns.values(), strict=True))
    table: dict[Any, Any] = {}
    for source, name in enumerate(inputs.names):
        own = cells.get(source, np.zeros(int(probe.accepted.sum())))
        known = inputs.levels.get(source)
        if known is None:
            own = inputs.clipped(source, columns, own)
        else:
            own = originals(own, known)
            if not any(isinstance(level, str) for level in known):
                own = [np.nan if v is None or isinstance(v, str) else v for v in own]
            else:
                own = [np.nan if v is None else v for v in own]
        table[name] = own
    if hasattr(model, "feature_names_in_"):
        import pandas as pd  # noqa: PLC0415 - the model was trained on a table of named columns

        frame = pd.DataFrame(table)
        return frame.astype({n: object for n, v in table.items() if isinstance(v, list)})
    return np.column_stack([np.asarray(own, dtype=np.float64) for own in table.values()])


def _scores(whole: Any, model: Any, rows: Any) -> tuple[Any, Any]:
    """Return answers and raw scores of the estimator itself."""
    jobs = getattr(model, "n_jobs", 1)
    if hasattr(model, "n_jobs"):
        # Several threads add trees in the order they finish: not even the same bits twice.
        model.n_jobs = 1
    try:
        if not hasattr(model, "predict_proba"):
            answers = whole.predict(rows)
            return answers, answers
        shares = whole.predict_proba(rows)
        answers = shares if shares.shape[1] > _BINARY else shares[:, 1]
        if hasattr(model, "decision_function"):
            return answers, whole.decision_function(rows)
        return answers, answers
    finally:
        if hasattr(model, "n_jobs"):
            model.n_jobs = jobs


def _rows(model: Any, probe: Probe) -> Any:
    names = getattr(model, "feature_names_in_", None)
    columns = list(probe.columns.values())
    levels = _levels(model)
    if names is None and not any(column.dtype == object for column in columns):
        return probe.matrix()
    import pandas as pd  # noqa: PLC0415 - the model was trained on a table of named columns

    table = {}
    for index, column in enumerate(columns):
        known = levels.get(index)
        values = column if known is None else originals(column, known)
        if known is not None and not any(isinstance(level, str) for level in known):
            values = [np.nan if isinstance(v, str) or v is None else v for v in values]
        table[index if names is None else names[index]] = values
    frame = pd.DataFrame(table)
    return frame if names is not None else frame.to_numpy(dtype=np.float64)


def _fields(model: Any, *, accepts_missing: bool) -> list[dict[str, Any]]:
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        names = [f"x{index}" for index in range(model.n_features_in_)]
    levels = _levels(model)
    return [
        {
            "name": str(name),
            "accepts_missing": accepts_missing,
            "levels": None if index not in levels else [level_text(v) for v in levels[index]],
            "unseen": "missing",
        }
        for index, name in enumerate(names)
    ]


def _levels(model: Any) -> dict[int, list[Any]]:
    """Return the categories of a histogram model by input, without the missing one."""
    encoder = getattr(model, "_preprocessor", None)
    if encoder is None:
        return {}
    mask = np.flatnonzero(model.is_categorical_)
    categories = encoder.named_transformers_["encoder"].categories_
    return {
        int(index): [level for level in own.tolist() if level is not None and level == level]  # noqa: PLR0124
        for index, own in zip(mask, categories, strict=True)
    }


def _base(model: Any, outputs: int, link: str, base: list[float]) -> dict[str, Any]:
    return {
        "outputs": outputs,
        "leaf_width": 1,
        "link": link,
        "exponential": "glibc",
        "slope": 1.0,
        "divisor": 1.0,
        "base": base,
        "fields": _fields(model, accepts_missing=True),
    }


def _rules(width: str, *, infinite: bool) -> dict[str, Any]:
    return {
        "compare": "less_or_equal",
        "input": width,
        "accepts_infinite": infinite,
        "category": "truncate",
        "sum": "f64",
    }


# Histogram gradient boosting.


def _histogram(model: Any) -> dict[str, Any]:
    outputs = int(model.n_trees_per_iteration_)
    loss = type(model._loss).__name__
    links = {
        "HalfBinomialLoss": "sigmoid",
        "HalfMultinomialLoss": "softmax",
        "HalfSquaredError": "identity",
        "AbsoluteError": "identity",
        "PinballLoss": "identity",
        "HalfPoissonLoss": "exp",
        "HalfGammaLoss": "exp",
    }
    if loss not in links:
        raise invalid(("model", f"has loss {loss}: must be one of {', '.join(links)}"))
    base = np.ravel(model._baseline_prediction).astype(np.float64).tolist()
    document = _base(model, outputs, links[loss], base)
    document["rules"] = _rules("f64", infinite=True)
    mask = getattr(model, "is_categorical_", None)
    # Inside the model categorical columns come first.
    order = np.arange(model.n_features_in_)
    if mask is not None and getattr(model, "_preprocessor", None) is not None:
        order = np.concatenate([order[mask], order[~mask]])
    document["trees"] = [
        _histogram_tree(predictor, output, order)
        for round_ in model._predictors
        for output, predictor in enumerate(round_)
    ]
    return document


def _histogram_tree(predictor: Any, output: int, order: Any) -> dict[str, Any]:
    nodes = predictor.nodes
    leaf = nodes["is_leaf"].astype(bool)
    members = {}
    for index in np.flatnonzero(nodes["is_categorical"].astype(bool) & ~leaf):
        words = predictor.raw_left_cat_bitsets[nodes["bitset_idx"][index]]
        codes = [32 * w + b for w in range(len(words)) for b in range(32) if words[w] >> b & 1]
        members[str(index)] = codes
    return _tree(
        output,
        feature=np.where(leaf, -1, order[nodes["feature_idx"]]),
        threshold=nodes["num_threshold"],
        left=nodes["left"],
        right=nodes["right"],
        default_left=nodes["missing_go_to_left"],
        value=nodes["value"],
        cover=nodes["count"],
        members=members,
    )


def _tree(output: int, *, members: dict[str, Any], **arrays: Any) -> dict[str, Any]:
    leaf = np.asarray(arrays["feature"]) < 0
    tree: dict[str, Any] = {"output": output, "members": members}
    for name, values in arrays.items():
        if name in {"left", "right"}:
            cleaned = np.where(leaf, -1, values.astype(np.int64))
        elif name == "threshold":
            cleaned = np.where(leaf, 0.0, values)
        else:
            cleaned = np.asarray(values)
        tree[name] = [_number(value) for value in np.ravel(cleaned).tolist()]
    return tree


def _number(value: Any) -> Any:
    """Return an infinity as the text JSON has for it here."""
    if isinstance(value, float) and np.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


# Forests and gradient boosting of exact trees.


def _exact_tree(tree: Any, output: int, value: Any) -> dict[str, Any]:
    state = tree.__getstate__()["nodes"]
    leaf = state["left_child"] < 0
    goes_left = state["missing_go_to_left"] if "missing_go_to_left" in state.dtype.names else leaf
    return _tree(
        output,
        feature=np.where(leaf, -1, state["feature"]),
        threshold=state["threshold"],
        left=state["left_child"],
        right=state["right_child"],
        default_left=goes_left.astype(bool),
        value=value,
        cover=state["weighted_n_node_samples"],
        members={},
    )


def _averaged(model: Any, estimators: Sequence[Any]) -> dict[str, Any]:
    is_classifier = hasattr(model, "classes_")
    classes = len(model.classes_) if is_classifier else 1
    outputs = classes if classes > _BINARY else 1
    link = "identity"
    if is_classifier:
        link = "probability" if outputs == 1 else "probability_each"
    document = _base(model, outputs, link, [0.0] * outputs)
    allows = estimators[0]._support_missing_values(np.zeros((1, model.n_features_in_)))
    document["fields"] = _fields(model, accepts_missing=bool(allows))
    document["rules"] = _rules("f32", infinite=False)
    document["leaf_width"] = outputs
    if type(model).__name__.startswith(("RandomForest", "ExtraTrees")):
        document["divisor"] = float(len(estimators))
    document["trees"] = []
    for estimator in estimators:
        value = estimator.tree_.value[:, 0, :]
        if is_classifier and classes == _BINARY:
            value = value[:, 1]
        elif is_classifier and classes < _BINARY:
            raise invalid(("model", "was trained on one class"))
        document["trees"].append(_exact_tree(estimator.tree_, 0, value))
    return document


def _boosted(model: Any) -> dict[str, Any]:
    name = type(model.init_).__name__ if not isinstance(model.init_, str) else model.init_
    if name not in {"DummyClassifier", "DummyRegressor", "zero"}:
        why = f"starts from a {name}: only a constant start is imported"
        raise invalid(("model.init", why))
    base = np.ravel(model._raw_predict_init(np.zeros((1, model.n_features_in_), np.float32)))
    outputs = int(base.size)
    loss = type(model._loss).__name__
    link = "identity"
    if hasattr(model, "classes_"):
        link = "sigmoid" if outputs == 1 else "softmax"
    document = _base(model, outputs, link, base.astype(np.float64).tolist())
    if loss == "ExponentialLoss":
        document["slope"] = 2.0
    document["fields"] = _fields(model, accepts_missing=False)
    document["rules"] = _rules("f32", infinite=False)
    document["trees"] = [
        _exact_tree(stage.tree_, output, model.learning_rate * stage.tree_.value[:, 0, 0])
        for stages in model.estimators_
        for output, stage in enumerate(stages)
    ]
    return document
