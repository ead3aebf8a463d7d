"""Tree scoring and attributions beside the libraries they come from: CPU time a row, one thread.

Every pair is measured in one run, alternating, as the median of several repetitions; ratios hold
on a busy machine, absolute times do not. Needs lightgbm, xgboost and catboost.
"""

from __future__ import annotations

import statistics
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

import cvm

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

TREES, FIELDS, TRAIN, MISSING = 500, 50, 30_000, 0.05
BATCHES = (1, 100, 10_000)
REPEATS = 7
MICRO = 1e6


def data() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return rows with 5 % missing and labels that some of them explain."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(TRAIN, FIELDS))
    X[rng.random(X.shape) < MISSING] = np.nan
    known = np.nan_to_num(X)
    signal = known[:, :10] @ rng.normal(size=10) + known[:, 0] * known[:, 1]
    return X, (signal + 2 * rng.normal(size=TRAIN) > 1).astype(np.int64)


def cpu(function: Callable[[], Any], rows: int) -> float:
    """Return microseconds of CPU a row."""
    calls = max(1, 200 // rows)
    started = time.process_time()
    for _ in range(calls):
        function()
    return (time.process_time() - started) / calls / rows * MICRO


def beside(name: str, ours: Callable[[], Any], theirs: Callable[[], Any], rows: int) -> None:
    """Measure both in turns and print medians."""
    pairs = [(cpu(ours, rows), cpu(theirs, rows)) for _ in range(REPEATS)]
    own, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{name:44} {own:10.2f} {other:10.2f} {other / own:8.1f}x")


def raw_of(model: cvm.TreeEnsemble, table: dict[str, Any]) -> Callable[[], Any]:
    """Return a call that computes raw scores on one thread."""
    return lambda: model.score_frame(table, outputs=["raw_score"], threads=1)


def main() -> None:
    """Train one model of each library, then measure."""
    import catboost as cb
    import lightgbm as lgb
    import xgboost as xgb

    X, y = data()
    light = lgb.train(
        {"objective": "binary", "num_leaves": 64, "verbose": -1, "num_threads": 1},
        lgb.Dataset(X, y),
        TREES,
    )
    extreme = xgb.train(
        {"objective": "binary:logistic", "max_depth": 6, "nthread": 1}, xgb.DMatrix(X, y), TREES
    )
    cat = cb.CatBoostClassifier(
        iterations=TREES, depth=6, verbose=0, thread_count=1, allow_writing_files=False
    ).fit(X, y)
    light_model, extreme_model = cvm.from_lightgbm(light), cvm.from_xgboost(extreme)

    def by_lightgbm(rows: NDArray[np.float64]) -> Any:
        return light.predict(rows, num_threads=1)

    def by_xgboost(rows: NDArray[np.float64]) -> Any:
        return extreme.inplace_predict(rows)

    def by_catboost(rows: NDArray[np.float64]) -> Any:
        return cat.predict(rows, prediction_type="RawFormulaVal", thread_count=1)

    models: list[tuple[str, cvm.TreeEnsemble, Callable[[NDArray[np.float64]], Any]]] = [
        ("LightGBM", light_model, by_lightgbm),
        ("XGBoost", extreme_model, by_xgboost),
        ("CatBoost", cvm.from_catboost(cat), by_catboost),
    ]
    print(f"{TREES} trees, {FIELDS} fields; microseconds of CPU a row, one thread, median")
    print(f"{'':44} {'cvm':>10} {'library':>10} {'ratio':>9}")
    for name, model, predict in models:
        names = model.feature_names_in_.tolist()
        for rows in BATCHES:
            matrix = np.ascontiguousarray(X[:rows])
            table = {own: np.ascontiguousarray(X[:rows, i]) for i, own in enumerate(names)}
            label = f"{name}, {rows} rows, from Python"
            beside(label, raw_of(model, table), partial(predict, matrix), rows)
    matrix = np.ascontiguousarray(X[:50])
    served = xgb.DMatrix(matrix)
    of_lightgbm = partial(light.predict, matrix, pred_contrib=True, num_threads=1)
    of_xgboost = partial(extreme.predict, served, pred_contribs=True)
    beside("LightGBM, attributions", partial(light_model.shap_values, matrix), of_lightgbm, 50)
    beside("XGBoost, attributions", partial(extreme_model.shap_values, matrix), of_xgboost, 50)


if __name__ == "__main__":
    main()
