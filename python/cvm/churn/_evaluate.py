"""One honest door: models judged on rows they were not fitted on."""

from __future__ import annotations

import copy
import importlib
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from cvm import metrics as measures
from cvm._base import BaseModel
from cvm._frames import as_table, invalid
from cvm._progress import callback
from cvm.churn._evaluation import Evaluation
from cvm.churn._leaks import leaks
from cvm.churn._outcomes import outcomes, weights_of
from cvm.churn._splits import by_chance, by_group, by_time, check, checked_folds, take, without
from cvm.errors import LeakWarning

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from cvm._frames import Frame, Numbers
    from cvm.churn._splits import Split

_CLASSES = 2


def cross_validate(  # noqa: PLR0913 - each is a choice of its own, all but three have defaults
    model: Any,
    X: Frame,
    y: str | ArrayLike,
    sample_weight: str | ArrayLike | None = None,
    *,
    folds: int = 5,
    groups: str | ArrayLike | None = None,
    time: str | ArrayLike | None = None,
    cutoffs: Sequence[Any] | None = None,
    gap: Any = None,
    value: str | ArrayLike | None = None,
    campaign: measures.Campaign | None = None,
    metrics: Sequence[str] = measures.METRICS,
    replicates: int = 500,
    level: float = 0.95,
    seed: int = 0,
    positive: object = None,
    observed: Mapping[str, Any] | None = None,
    as_of: Any = None,
    threads: int = 0,
    progress: bool | Callable[[int, int], object] = True,
) -> Evaluation:
    """Fit models on parts of the rows and judge them on the others.

    Parameters
    ----------
    model : estimator, or dict of str to estimator
        Models of this package or of scikit-learn's kind (``fit(X, y)``, ``predict_proba(X)``);
        all are judged on the same splits. They are copied, never changed.
    X : table
        One row per customer, or per customer and period.
    y : str or array
        Who churned: a column of ``X``, or an array.
    sample_weight : str or array, optional
        Weight of each row, in fitting and in judging.
    folds : int, default 5
        Number of splits.
    groups : str or array, optional
        Rows that belong together, such as the rows of one customer: never on both sides, and drawn
        whole by the bootstrap.
    time : str or array, optional
        When each row is from. Models are then fitted on rows before a cutoff and judged on rows
        from it on, as they will be used.
    cutoffs : sequence, optional
        The cutoffs; by default the second half of the rows in ``folds`` parts.
    gap : number, timedelta64 or str, optional
        Rows this close before a cutoff are not fitted on, as their outcomes were not known then:
        ``"30 days"``.
    value : str or array, optional
        What each customer is worth if kept, for ``empc`` and ``mpc``.
    campaign : Campaign, optional
        Costs of a campaign.
    metrics : sequence of str, optional
        Which; by default all of ``cvm.metrics.METRICS``.
    replicates : int, default 500
        Draws of the bootstrap; 0 gives no intervals.
    level : float, default 0.95
        Level of the intervals.
    seed : int, default 0
        Seed of the folds and of the bootstrap.
    positive : object, optional
        The label that means churn, if it is not 1, true or yes.
    observed, as_of : optional
        When columns were observed (``{"calls": "2024-03-01"}``), and when the outcome began to be:
        what is known later is a leak.
    threads : int, default 0
        Threads of the bootstrap; 0 means all. The numbers do not depend on it.
    progress : bool or callable, default True
        Show a line while working, or call ``progress(done, total)``.

    Returns
    -------
    Evaluation
        Metrics with intervals, paired differences, pictures, and the probability of every row by a
        model that had not seen it.

    Warns
    -----
    LeakWarning
        Once for each thing that looks like a leak.

    Examples
    --------
    >>> from cvm.churn import LogisticChurn, cross_validate
    >>> from cvm.datasets import load_telco
    >>> found = cross_validate(
    ...     LogisticChurn(), load_telco().drop(columns="customerID"), "Churn",
    ...     metrics=["auc"], replicates=0,
    ... )
    >>> round(found["LogisticChurn"]["auc"].value, 2)
    0.85
    """
    churned, target = outcomes(X, y, positive)
    weight = weights_of(X, sample_weight)
    others = (target, sample_weight, groups, time, value)
    inputs = without(X, {name for name in others if isinstance(name, str)})
    models = _named(model)
    group = _column(X, groups)
    splits = _splits(churned, folds, group, _column(X, time), cutoffs, gap, seed)
    told = leaks(inputs, churned, splits=splits, target=target, observed=observed, as_of=as_of)
    for text in told:
        warnings.warn(text, LeakWarning, stacklevel=2)
    probabilities = _out_of_fold(models, inputs, churned, weight, splits, progress)
    fold = np.full(len(churned), -1, dtype=np.intp)
    for number, split in enumerate(splits):
        fold[split.test] = number
    return _judged(
        probabilities,
        churned,
        fold,
        [split.label for split in splits],
        told,
        weight=weight,
        value=_values(X, value),
        group=group,
        campaign=campaign,
        options={
            "metrics": metrics,
            "replicates": replicates,
            "level": level,
            "seed": seed,
            "threads": threads,
            "progress": progress,
        },
    )


def evaluate(  # noqa: PLR0913 - each is a choice of its own, all but three have defaults
    model: Any,
    X: Frame,
    y: str | ArrayLike,
    sample_weight: str | ArrayLike | None = None,
    *,
    groups: str | ArrayLike | None = None,
    value: str | ArrayLike | None = None,
    campaign: measures.Campaign | None = None,
    metrics: Sequence[str] = measures.METRICS,
    replicates: int = 500,
    level: float = 0.95,
    seed: int = 0,
    positive: object = None,
    observed: Mapping[str, Any] | None = None,
    as_of: Any = None,
    threads: int = 0,
    progress: bool | Callable[[int, int], object] = True,
) -> Evaluation:
    """Judge fitted models, or given probabilities, on rows they were not fitted on.

    Parameters
    ----------
    model : estimator, array, or dict of str to either
        Fitted models, or a probability of churn per row.
    X : table
        Rows that no model was fitted on.
    y, sample_weight, groups, value, campaign, metrics, replicates, level, seed, positive
        As in `cross_validate`.
    observed, as_of, threads, progress
        As in `cross_validate`.

    Returns
    -------
    Evaluation
        As of `cross_validate`.

    Examples
    --------
    >>> import numpy as np
    >>> from cvm.churn import evaluate
    >>> y = np.arange(200) % 2
    >>> found = evaluate({"coin": np.full(200, 0.5)}, {"x": y * 0.0}, y, replicates=0)
    >>> found["coin"]["auc"].value, found["coin"]["brier"].value
    (0.5, 0.25)
    """
    churned, target = outcomes(X, y, positive)
    weight = weights_of(X, sample_weight)
    others = (target, sample_weight, groups, value)
    inputs = without(X, {name for name in others if isinstance(name, str)})
    told = leaks(inputs, churned, target=target, observed=observed, as_of=as_of)
    for text in told:
        warnings.warn(text, LeakWarning, stacklevel=2)
    given = model if isinstance(model, Mapping) else {_name_of(model): model}
    probabilities = {str(name): _given(own, inputs) for name, own in given.items()}
    return _judged(
        probabilities,
        churned,
        np.zeros(len(churned), dtype=np.intp),
        ["all rows"],
        told,
        weight=weight,
        value=_values(X, value),
        group=_column(X, groups),
        campaign=campaign,
        options={
            "metrics": metrics,
            "replicates": replicates,
            "level": level,
            "seed": seed,
            "threads": threads,
            "progress": progress,
        },
    )


def _judged(  # noqa: PLR0913 - what its two callers know
    probabilities: dict[str, Numbers],
    churned: NDArray[np.bool_],
    fold: NDArray[np.intp],
    splits: list[str],
    told: list[str],
    *,
    weight: Numbers | None,
    value: Numbers | None,
    group: NDArray[Any] | None,
    campaign: measures.Campaign | None,
    options: dict[str, Any],
) -> Evaluation:
    rows = fold >= 0
    results = {
        name: measures.bootstrap(
            churned[rows],
            _complete(name, p[rows]),
            _part(weight, rows),
            value=_part(value, rows),
            groups=_part(group, rows),
            campaign=campaign,
            **options,
        )
        for name, p in probabilities.items()
    }
    return Evaluation(
        results=results,
        probabilities=probabilities,
        churned=churned,
        fold=fold,
        splits=splits,
        warnings=told,
        level=options["level"],
        weight=weight,
        value=value,
        campaign=campaign or measures.Campaign(),
    )


def _part(values: NDArray[Any] | None, rows: NDArray[np.bool_]) -> NDArray[Any] | None:
    return None if values is None else values[rows]


def _complete(name: str, probability: Numbers) -> Numbers:
    missing = int(np.isnan(probability).sum())
    if missing:
        why = f"gave no probability for {missing} of {len(probability)} rows"
        raise invalid((f"model {name}", why))
    return probability


def _named(model: Any) -> dict[str, Any]:
    if isinstance(model, Mapping):
        if not model:
            raise invalid(("model", "is an empty dict"))
        return {str(name): own for name, own in model.items()}
    return {_name_of(model): model}


def _name_of(model: Any) -> str:
    return "model" if isinstance(model, (np.ndarray, list)) else type(model).__name__


def _column(X: Frame, given: str | ArrayLike | None) -> NDArray[Any] | None:
    if given is None:
        return None
    table = as_table(X)
    if isinstance(given, str) and given not in table.names:
        raise invalid((f"columns.{given}", "is missing"))
    values = np.asarray(table.values(given) if isinstance(given, str) else given)
    if len(values) != table.row_count:
        raise invalid(("rows", f"are {len(values)} in an array, {table.row_count} in X"))
    return values


def _values(X: Frame, given: str | ArrayLike | None) -> Numbers | None:
    column = _column(X, given)
    return None if column is None else column.astype(np.float64)


def _splits(
    churned: NDArray[np.bool_],
    folds: int,
    group: NDArray[Any] | None,
    time: NDArray[Any] | None,
    cutoffs: Sequence[Any] | None,
    gap: Any,
    seed: int,
) -> list[Split]:
    if time is None and (cutoffs is not None or gap is not None):
        raise invalid(("time", "is not given: cutoffs and gap need it"))
    folds = checked_folds(folds, churned)
    if time is not None:
        splits = by_time(_dates(time), folds, cutoffs, gap)
        if group is not None:
            splits = [_disjoint(split, group) for split in splits]
    elif group is not None:
        splits = by_group(churned, group, folds, seed)
    else:
        splits = by_chance(churned, folds, seed)
    check(splits, churned)
    return splits


def _dates(time: NDArray[Any]) -> NDArray[Any]:
    """Return dates that came as texts as dates."""
    if time.dtype.kind in "OU":
        return time.astype("datetime64[s]")
    return time


def _disjoint(split: Split, group: NDArray[Any]) -> Split:
    """Leave out of training the groups that are tested."""
    kept = ~np.isin(group[split.train], group[split.test])
    return split._replace(train=split.train[kept])


def _out_of_fold(
    models: dict[str, Any],
    X: Frame,
    churned: NDArray[np.bool_],
    weight: Numbers | None,
    splits: Sequence[Split],
    progress: bool | Callable[[int, int], object],  # noqa: FBT001 - as the public argument is
) -> dict[str, Numbers]:
    tell, close = callback(progress, "fits")
    total = len(models) * len(splits)
    found = {name: np.full(len(churned), np.nan) for name in models}
    done = 0
    try:
        for split in splits:
            training, test = take(X, split.train), take(X, split.test)
            labels = churned[split.train].astype(np.int64)
            for name, model in models.items():
                tell(done, total)
                fresh = _fresh(name, model)
                if weight is None:
                    fresh.fit(training, labels)
                else:
                    fresh.fit(training, labels, sample_weight=weight[split.train])
                found[name][split.test] = _probability(fresh, test)
                done += 1
        tell(done, total)
    finally:
        close()
    return found


def _fresh(name: str, model: Any) -> Any:
    """Return an unfitted copy."""
    if not (hasattr(model, "fit") and hasattr(model, "predict_proba")):
        why = "cannot be fitted: must have fit and predict_proba; evaluate takes fitted models"
        raise invalid((f"model {name}", why))
    if isinstance(model, BaseModel):
        return type(model)(**model.get_params(deep=False))
    try:
        clone = importlib.import_module("sklearn.base").clone
    except ImportError:
        return copy.deepcopy(model)
    return clone(model) if hasattr(model, "get_params") else copy.deepcopy(model)


def _given(model: Any, X: Frame) -> Numbers:
    if hasattr(model, "predict_proba"):
        return _probability(model, X)
    return np.asarray(model, dtype=np.float64)


def _probability(model: Any, X: Frame) -> Numbers:
    """Return the probability of churn: the second of two classes."""
    shares = np.asarray(model.predict_proba(X), dtype=np.float64)
    if shares.ndim == 1:
        return shares
    if shares.shape[1] != _CLASSES:
        raise invalid(("model", f"has {shares.shape[1]} classes: must have two"))
    return shares[:, 1]
