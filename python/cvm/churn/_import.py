"""Importers: a trained object of another library in, a model of this package out.

The object's own file is read by the engine; then the object scores the model's probe rows, which
lie on the model's own thresholds, and every score must come again. A model for which one does not
is refused.
"""

from __future__ import annotations

import importlib
import json
import math
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from cvm._base import score_arguments
from cvm._core import ROW_STATUS, RawColumn, RawModel
from cvm._frames import invalid
from cvm.churn._trees import TreeEnsemble

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from cvm._frames import Numbers

_OK = ROW_STATUS.index("ok")
_MATRIX = 2
_BINARY = 2
# Stands for a missing category, which CatBoost does not take.
_NO_LEVEL = "a category that is missing"


class Probe:
    """The probe rows that the model accepts, as columns of numbers or of text."""

    def __init__(self, raw: RawModel) -> None:
        self.columns: dict[str, Any] = {}
        inputs: list[tuple[str, Any]] = []
        for name, column in raw.probe_columns():
            if isinstance(column, tuple):
                dictionary, codes = column
                inputs.append((name, RawColumn.from_codes(dictionary, codes)))
                levels = np.array([*dictionary, None], dtype=object)
                self.columns[name] = levels[codes]
            else:
                inputs.append((name, column))
                self.columns[name] = column
        options = score_arguments([], {"threads": 1})
        self.accepted = raw.score(inputs, options)["status"] == _OK
        self.columns = {name: column[self.accepted] for name, column in self.columns.items()}

    def matrix(self) -> Numbers:
        """Return the columns as a matrix of doubles."""
        return np.column_stack(list(self.columns.values()))

    def whole(self, values: Numbers) -> Numbers:
        """Return values of the accepted rows in the places of all rows."""
        out = np.full(len(self.accepted), np.nan)
        out[self.accepted] = values
        return out


def certified(
    raw: RawModel, distribution: str, score: Callable[[Probe], tuple[Any, Any]]
) -> RawModel:
    """Compare a model with its original: ``score`` gives its answers and its raw scores."""
    probe = Probe(raw)
    answers, raw_scores = score(probe)
    outputs: list[tuple[str, Numbers]] = []
    names = [output[0] for output in raw.outputs]
    for given, suffix in (
        (answers, ("probability", "prediction")),
        (raw_scores, ("raw_score", "logit")),
    ):
        own = [name for name in names if name.endswith(suffix)]
        values = np.asarray(given, dtype=np.float64)
        columns = values.T if values.ndim == _MATRIX else [values]
        outputs += [
            (name, probe.whole(column)) for name, column in zip(own, columns, strict=bool(own))
        ]
    version = metadata.version(distribution)
    return raw.certify(f"{distribution} {version}", outputs)


def import_bytes(kind: str, data: bytes, options: Mapping[str, Any]) -> RawModel:
    """Read a model file of another library."""
    given = {name: value for name, value in options.items() if value is not None}
    return RawModel.import_model(kind, data, json.dumps(given, allow_nan=False))


def _names(names: Sequence[str] | None) -> list[str] | None:
    return None if names is None else list(names)


def from_lightgbm(
    model: Any,
    *,
    feature_names: Sequence[str] | None = None,
    categorical: Sequence[str] | None = None,
    unseen: str | None = None,
) -> TreeEnsemble:
    """Import a LightGBM model, exactly or not at all.

    Parameters
    ----------
    model : lightgbm.Booster or lightgbm.LGBMModel
        The trained model; of an early-stopped one its best iteration, as its ``predict`` does.
    feature_names : sequence of str, optional
        Names of the inputs in order, in place of the model's own (LightGBM turns spaces into
        ``_``).
    categorical : sequence of str, optional
        Columns that were pandas categoricals, in order, if the model does not tell.
    unseen : {"missing", "reject"}, optional
        What a level not seen in training means; by default missing, as in LightGBM.

    Returns
    -------
    TreeEnsemble
        The model; its raw scores are LightGBM's in every bit.

    Raises
    ------
    InvalidInputError
        If the object or an option cannot be used.
    ArtifactError
        If the model has something that cannot be scored exactly.

    Examples
    --------
    >>> import lightgbm, numpy, cvm
    >>> X, y = numpy.random.rand(500, 3), numpy.random.rand(500) < 0.3
    >>> booster = lightgbm.LGBMClassifier(verbose=-1).fit(X, y)
    >>> model = cvm.from_lightgbm(booster)
    >>> bool((model.decision_function(X) == booster.predict(X, raw_score=True)).all())
    True
    """
    booster = getattr(model, "booster_", model)
    if not hasattr(booster, "model_to_string"):
        raise invalid(("model", f"is a {type(model).__name__}: must be a LightGBM model"))
    options = {
        "feature_names": _names(feature_names),
        "categorical": _names(categorical),
        "unseen": unseen,
    }
    raw = import_bytes("lightgbm", booster.model_to_string().encode(), options)

    def score(probe: Probe) -> tuple[Any, Any]:
        data = _lightgbm_rows(probe, booster.pandas_categorical)
        answers = booster.predict(data, num_threads=1)
        return answers, booster.predict(data, raw_score=True, num_threads=1)

    return TreeEnsemble._of_raw(certified(raw, "lightgbm", score))


def _lightgbm_rows(probe: Probe, levels: Any) -> Any:
    if not levels:
        return probe.matrix()
    import pandas as pd  # noqa: PLC0415 - the model was trained with it

    columns = dict(probe.columns)
    texts = [name for name, column in columns.items() if column.dtype == object]
    for name, known in zip(texts, levels, strict=True):
        columns[name] = pd.Categorical(originals(columns[name], known))
    return pd.DataFrame(columns)


def originals(cells: Any, known: Sequence[Any]) -> list[Any]:
    """Return levels as they were in training: the number 3, not the text "3"."""
    by_text = {level_text(level): level for level in known}
    return [by_text.get(cell, cell) for cell in cells]


def level_text(value: Any) -> str:
    """Return a level as the engine names it: a number without a needless fraction."""
    if isinstance(value, str):
        return value
    number = float(value)
    return str(int(number)) if number.is_integer() else repr(number)


def from_xgboost(
    model: Any,
    *,
    iterations: int | None = None,
    missing: float | None = None,
    feature_names: Sequence[str] | None = None,
) -> TreeEnsemble:
    """Import an XGBoost model, exactly or not at all.

    Parameters
    ----------
    model : xgboost.Booster or xgboost.XGBModel
        The trained model.
    iterations : int, optional
        Rounds to use; by default what the object's own ``predict`` uses: all of a ``Booster``,
        the best iteration of an early-stopped scikit-learn model.
    missing : float, optional
        The value besides NaN that means missing, as given to ``DMatrix``; a scikit-learn model
        knows its own.
    feature_names : sequence of str, optional
        Names of the inputs in order, in place of the model's own.

    Returns
    -------
    TreeEnsemble
        The model; its raw scores are XGBoost's margins in every bit.

    Raises
    ------
    InvalidInputError
        If the object or an option cannot be used.
    ArtifactError
        If the model has something that cannot be scored exactly.
    """
    booster = model.get_booster() if hasattr(model, "get_booster") else model
    if not hasattr(booster, "save_raw"):
        raise invalid(("model", f"is a {type(model).__name__}: must be an XGBoost model"))
    if booster is not model:
        missing = getattr(model, "missing", None) if missing is None else missing
        if iterations is None and booster.attr("best_iteration") is not None:
            iterations = int(booster.attr("best_iteration")) + 1
    if iterations is None:
        iterations = int(booster.num_boosted_rounds())
    missing = None if missing is None or math.isnan(missing) else float(missing)
    options = {
        "iterations": iterations,
        "missing": missing,
        "feature_names": _names(feature_names),
    }
    raw = import_bytes("xgboost", bytes(booster.save_raw("ubj")), options)

    def score(probe: Probe) -> tuple[Any, Any]:
        rows = _xgboost_rows(probe, booster, missing)
        chosen = {"iteration_range": (0, iterations)}
        margin = booster.predict(rows, output_margin=True, **chosen)
        if _objective(booster) == "multi:softmax":
            return _softmax(margin), margin
        return booster.predict(rows, **chosen), margin

    return TreeEnsemble._of_raw(certified(raw, _xgboost_distribution(), score))


def _objective(booster: Any) -> str:
    return json.loads(booster.save_config())["learner"]["objective"]["name"]


def _softmax(margin: Any) -> Any:
    """Return what ``multi:softprob`` would: ``multi:softmax`` only names the largest."""
    power = np.exp(margin - margin.max(axis=1, keepdims=True), dtype=np.float32)
    return power / power.sum(axis=1, keepdims=True, dtype=np.float64).astype(np.float32)


def _xgboost_distribution() -> str:
    for name in ("xgboost", "xgboost-cpu"):
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        return name
    raise invalid(("model", "comes from an XGBoost that is not installed as a package"))


def _xgboost_rows(probe: Probe, booster: Any, missing: float | None) -> Any:
    import xgboost as xgb  # noqa: PLC0415 - the caller has a model of it

    given = {"missing": math.nan if missing is None else missing, "nthread": 1}
    if not any(column.dtype == object for column in probe.columns.values()):
        names, types = booster.feature_names, booster.feature_types
        return xgb.DMatrix(
            probe.matrix(),
            feature_names=names,
            feature_types=types,
            enable_categorical=True,
            **given,
        )
    import pandas as pd  # noqa: PLC0415 - the model was trained with it

    document = json.loads(bytes(booster.save_raw("json")))
    trees = document["learner"]["gradient_booster"]
    encodings = trees.get("gbtree", trees)["model"]["cats"]["enc"]
    columns: dict[str, Any] = {}
    names = booster.feature_names
    for name, cells, encoding in zip(names, probe.columns.values(), encodings, strict=True):
        values = cells
        if encoding["values"] and "offsets" in encoding and encoding["offsets"]:
            values = pd.Categorical(cells)
        elif encoding["values"]:
            values = pd.Categorical(originals(cells, encoding["values"]))
        columns[name] = values
    return xgb.DMatrix(pd.DataFrame(columns), enable_categorical=True, **given)


def from_catboost(
    model: Any,
    *,
    feature_names: Sequence[str] | None = None,
    levels: Mapping[str, Sequence[object]] | None = None,
    unseen: str | None = None,
) -> TreeEnsemble:
    """Import a CatBoost model, exactly or not at all.

    Parameters
    ----------
    model : catboost.CatBoost
        The trained model.
    feature_names : sequence of str, optional
        Names of the inputs in order, in place of the model's own.
    levels : mapping of str to sequence, optional
        Every level of training of each categorical column, as text or whole numbers: CatBoost keeps
        only hashes of them. With the training table, ``{name: X[name].unique() for name in
        categorical}``.
    unseen : {"missing", "reject"}, optional
        What a level that is not named means; by default one nobody has seen, as in CatBoost. A
        missing category, which CatBoost does not take, reads the same.

    Returns
    -------
    TreeEnsemble
        The model; its raw scores are CatBoost's in every bit.

    Raises
    ------
    InvalidInputError
        If the object or an option cannot be used.
    ArtifactError
        If the model has something that cannot be scored exactly, such as statistics of combined
        categorical features (train with ``max_ctr_complexity=1``).
    """
    if not hasattr(model, "save_model") or not hasattr(model, "_object"):
        raise invalid(("model", f"is a {type(model).__name__}: must be a CatBoost model"))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.json")
        model.save_model(str(path), format="json")
        data = path.read_bytes()
    options = {
        "feature_names": _names(feature_names),
        "levels": None if levels is None else _level_texts(levels),
        "unseen": unseen,
    }
    raw = import_bytes("catboost", data, options)

    def score(probe: Probe) -> tuple[Any, Any]:
        rows = _catboost_rows(probe, model.feature_names_)
        # The base class, because the classifier's own `predict` gives labels.
        given = {"prediction_type": "RawFormulaVal", "thread_count": 1}
        margins = model.predict(rows, **given)
        if not raw.outputs[0][0].endswith("probability"):
            return margins, margins
        shares = model.predict(rows, prediction_type="Probability", thread_count=1)
        return (shares if len(raw.outputs) > _BINARY else shares[:, 1]), margins

    return TreeEnsemble._of_raw(certified(raw, "catboost", score))


def _level_texts(levels: Mapping[str, Sequence[object]]) -> dict[str, list[str]]:
    """Return levels as the text that CatBoost hashes."""
    for name, own in levels.items():
        for level in own:
            is_whole = isinstance(level, (int, np.integer)) and not isinstance(level, bool)
            if not is_whole and not isinstance(level, str):
                why = f"hold {level!r}: must be text or whole numbers"
                raise invalid((f"levels.{name}", why))
    return {str(name): [str(level) for level in own] for name, own in levels.items()}


def _catboost_rows(probe: Probe, names: Sequence[str]) -> Any:
    """Return probe rows as CatBoost takes them: a table if there are categories."""
    if all(column.dtype.kind == "f" for column in probe.columns.values()):
        return probe.matrix()
    columns = {
        name: column
        if column.dtype.kind == "f"
        else np.array([_NO_LEVEL if cell is None else cell for cell in column], dtype=object)
        for name, column in zip(names, probe.columns.values(), strict=True)
    }
    return importlib.import_module("pandas").DataFrame(columns)
