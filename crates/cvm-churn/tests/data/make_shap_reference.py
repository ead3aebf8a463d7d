"""Write `shap_reference.json`: a LightGBM model with the attributions of its peers.

Needs lightgbm and shap. `pred_contrib` and `shap`'s path-dependent values are the same game, here of
a model with a category. `shap`'s interventional values, against the `background` rows, are of a model and
rows without categories and missing values: with them they do not add up in shap 0.51.
"""

from __future__ import annotations

import json
from pathlib import Path

import lightgbm as lgb
import numpy as np
import shap

ROWS, TRAIN, BACKGROUND = 40, 600, 30


def table(rng, count):
    """Return two numbers with gaps, a clean number, a category code and a flag."""
    X = rng.normal(size=(count, 5)).round(3)
    X[:, 3] = rng.integers(0, 6, count)
    X[:, 4] = rng.random(count) < 0.4
    X[:, :2][rng.random((count, 2)) < 0.1] = np.nan
    return X


def rows(values):
    """Return rows of plain numbers, missing ones as null."""
    return [[None if v != v else v for v in row] for row in np.asarray(values).tolist()]  # noqa: PLR0124


def main() -> None:
    """Train, explain, write."""
    rng = np.random.default_rng(3)
    X = table(rng, TRAIN)
    known = np.nan_to_num(X)
    signal = known[:, 0] + known[:, 1] * known[:, 2] + np.isin(X[:, 3], [1, 4]) + X[:, 4]
    y = signal + rng.normal(size=TRAIN) > 1
    params = {
        "objective": "binary",
        "num_leaves": 12,
        "min_data_in_leaf": 5,
        "min_data_per_group": 5,
        "cat_smooth": 1,
        "verbose": -1,
        "seed": 1,
        "num_threads": 1,
    }
    booster = lgb.train(params, lgb.Dataset(X, y, categorical_feature=[3]), 25)
    numeric = lgb.train(params, lgb.Dataset(known, y), 25)
    test, background = table(rng, ROWS), np.nan_to_num(table(rng, BACKGROUND))
    path = shap.TreeExplainer(booster, feature_perturbation="tree_path_dependent")
    against = shap.TreeExplainer(numeric, background, feature_perturbation="interventional")

    def whole(explainer, test):
        values = np.asarray(explainer.shap_values(test))
        base = np.full((ROWS, 1), np.ravel(explainer.expected_value)[-1])
        return rows(np.hstack([values, base]))

    reference = {
        "versions": {"lightgbm": lgb.__version__, "shap": shap.__version__},
        "model": booster.model_to_string(),
        "numeric_model": numeric.model_to_string(),
        "rows": rows(test),
        "clean_rows": rows(np.nan_to_num(test)),
        "background": rows(background),
        "pred_contrib": rows(booster.predict(test, pred_contrib=True)),
        "shap_path_dependent": whole(path, test),
        "shap_interventional": whole(against, np.nan_to_num(test)),
    }
    target = Path(__file__).with_name("shap_reference.json")
    target.write_text(json.dumps(reference, indent=None) + "\n")


if __name__ == "__main__":
    main()
