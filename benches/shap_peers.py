"""Attributions beside the libraries that make them: CPU time a row, one thread.

Every pair is measured in one run, alternating, as the median of several repetitions; ratios hold
on a busy machine, absolute times do not. Needs lightgbm and xgboost; shap if it is there.
"""

from __future__ import annotations

import importlib.util
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from tree_scoring_peers import FIELDS, TREES, beside, data

import cvm

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS, BACKGROUND, DEPTH = 50, 100, 6


def main() -> None:
    """Train one model of each library, then measure."""
    import lightgbm as lgb
    import xgboost as xgb

    X, y = data()
    light = lgb.train(
        {"objective": "binary", "num_leaves": 64, "verbose": -1, "num_threads": 1},
        lgb.Dataset(X, y),
        TREES,
    )
    extreme = xgb.train(
        {"objective": "binary:logistic", "max_depth": DEPTH, "nthread": 1},
        xgb.DMatrix(X, y),
        TREES,
    )
    ours, theirs = cvm.from_lightgbm(light), cvm.from_xgboost(extreme)
    rows, one = np.ascontiguousarray(X[:ROWS]), np.ascontiguousarray(X[:1])
    background = np.ascontiguousarray(X[1000 : 1000 + BACKGROUND])

    def shap_of(model: Any, matrix: Any, **options: Any) -> Callable[[], Any]:
        return partial(model.shap_values, matrix, threads=1, **options)

    print(f"{TREES} trees, {FIELDS} fields; microseconds of CPU a row, one thread, median")
    print(f"{'':44} {'cvm':>10} {'library':>10} {'ratio':>9}")
    contrib = partial(light.predict, rows, pred_contrib=True, num_threads=1)
    beside("LightGBM pred_contrib, exact", shap_of(ours, rows), contrib, ROWS)
    alone = partial(light.predict, one, pred_contrib=True, num_threads=1)
    beside("LightGBM pred_contrib, exact, single rows", shap_of(ours, one), alone, 1)
    fast = shap_of(ours, rows, method="approximate")
    beside("LightGBM pred_contrib, approximate here", fast, contrib, ROWS)
    matrix = xgb.DMatrix(rows)
    contribs = partial(extreme.predict, matrix, pred_contribs=True)
    beside("XGBoost pred_contribs, exact", shap_of(theirs, rows), contribs, ROWS)
    approximate = partial(extreme.predict, matrix, pred_contribs=True, approx_contribs=True)
    fast = shap_of(theirs, rows, method="approximate")
    beside("XGBoost approx_contribs, approximate", fast, approximate, ROWS)
    if importlib.util.find_spec("shap") is None:
        return
    import shap

    explainer = shap.TreeExplainer(light, np.nan_to_num(background))
    known = np.nan_to_num(rows)
    own = shap_of(ours, known, method="interventional", background=np.nan_to_num(background))
    peer = partial(explainer.shap_values, known, check_additivity=False)
    beside(f"shap, interventional, {BACKGROUND} background rows", own, peer, ROWS)


if __name__ == "__main__":
    main()
