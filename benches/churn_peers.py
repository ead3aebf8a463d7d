"""Churn models beside their peers: cross-validated accuracy and CPU seconds of a fit.

Everyone has default settings, the same folds and one thread; categories are declared to those who
take them. For every set: mean and standard error over folds, and the paired difference to our
boosted trees. Needs lightgbm, xgboost, catboost, scikit-learn, and a folder with the public tables:
``python benches/churn_peers.py FOLDER [SET ...]``.
"""

from __future__ import annotations

import os
import sys
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pandas as pd

import cvm

if TYPE_CHECKING:
    from collections.abc import Callable

FOLDS, SEED = 5, 42
NONE = 1e-15
FILES = {
    "ecsi_mobile": "mobi.csv",
    "saas_survival": "churn.csv.gz",
    "mlc_churn": "mlc_churn.csv.gz",
    "telco_churn": "Telco-Customer-Churn.csv.gz",
    "online_shoppers": "online_shoppers_intention.csv.gz",
    "bank_marketing": "bank-full.csv.gz",
}


def load(folder: Path, name: str) -> tuple[Any, Any]:
    """Return inputs and who churned (or bought, or answered)."""
    table = pd.read_csv(folder / name / FILES[name])
    match name:
        case "ecsi_mobile":
            # Loyalty: would hardly recommend the operator.
            y = (table["CUSL3"] <= 6).astype(int)  # noqa: PLR2004 - detractors of a 0-10 scale
            return table.drop(columns=["CUSL1", "CUSL2", "CUSL3"]), y
        case "saas_survival":
            return table.drop(columns="churned"), table["churned"].astype(int)
        case "mlc_churn":
            return table.drop(columns="churn"), (table["churn"] == "yes").astype(int)
        case "telco_churn":
            table["TotalCharges"] = pd.to_numeric(table["TotalCharges"], errors="coerce")
            return table.drop(columns=["customerID", "Churn"]), (table["Churn"] == "Yes").astype(
                int
            )
        case "online_shoppers":
            table["Weekend"] = table["Weekend"].astype(int)
            return table.drop(columns="Revenue"), table["Revenue"].astype(int)
        case _:
            return table.drop(columns="y"), (table["y"] == "yes").astype(int)


def peers(names: list[str]) -> dict[str, tuple[str, Callable[[], Any]]]:
    """Return how each library takes categories, and its classifier with default settings."""
    import catboost as cb
    import lightgbm as lgb
    import xgboost as xgb
    from sklearn.compose import make_column_selector, make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    def logistic() -> Any:
        numbers = make_column_selector(dtype_include="number")
        texts = make_column_selector(dtype_exclude="number")
        encode = make_column_transformer(
            (OneHotEncoder(handle_unknown="ignore"), texts),
            (make_pipeline(SimpleImputer(), StandardScaler()), numbers),
        )
        return make_pipeline(encode, LogisticRegression(max_iter=1000))

    def cat() -> Any:
        return cb.CatBoostClassifier(
            thread_count=1, verbose=0, cat_features=names, allow_writing_files=False
        )

    def hist() -> Any:
        return HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=SEED)

    return {
        "cvm BoostedChurn": ("text", lambda: cvm.BoostedChurn(threads=1)),
        "cvm additive": ("text", lambda: cvm.BoostedChurn(interaction_order=1, threads=1)),
        "cvm LogisticChurn": ("text", lambda: cvm.LogisticChurn(threads=1)),
        "LightGBM": ("category", lambda: lgb.LGBMClassifier(n_jobs=1, verbose=-1)),
        "XGBoost": ("category", lambda: xgb.XGBClassifier(n_jobs=1, enable_categorical=True)),
        "HistGradientBoosting": ("category", hist),
        "LogisticRegression": ("text", logistic),
        "CatBoost": ("text", cat),
    }


def measures(y: Any, p: Any) -> tuple[float, float, float]:
    """Return AUC, log-loss and Brier score."""
    log_loss = -np.mean(
        np.where(y == 1, np.log(np.maximum(p, NONE)), np.log1p(-np.minimum(p, 1 - NONE)))
    )
    return cvm.metrics.auc(y, p), float(log_loss), float(np.mean((p - y) ** 2))


def run(X: pd.DataFrame, y: pd.Series, how: str, make: Callable[[], Any]) -> tuple[Any, float]:
    """Return measures by fold, and the median CPU seconds of a fit."""
    from sklearn.model_selection import StratifiedKFold

    names = [name for name in X if not pd.api.types.is_numeric_dtype(X[name])]
    inputs = X.copy()
    inputs[names] = inputs[names].astype("category" if how == "category" else str)
    found: list[tuple[float, float, float]] = []
    seconds: list[float] = []
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=SEED)
    for train, test in folds.split(inputs, y):
        started = time.process_time()
        model = make().fit(inputs.iloc[train], y.iloc[train])
        seconds.append(time.process_time() - started)
        p = model.predict_proba(inputs.iloc[test])[:, 1]
        found.append(measures(y.iloc[test].to_numpy(), np.asarray(p, dtype=float)))
    return np.array(found), float(np.median(seconds))


def report(name: str, X: pd.DataFrame, y: pd.Series) -> None:
    """Print one set's table."""
    names = [own for own in X if not pd.api.types.is_numeric_dtype(X[own])]
    print(f"\n{name}: {len(y)} rows, {X.shape[1]} columns, {y.mean():.1%} positive, {FOLDS} folds")
    head = ("AUC", "log-loss", "Brier")
    print(f"{'':22}" + "".join(f"{own:>18}{'ours - theirs':>20}" for own in head) + f"{'CPU s':>9}")
    ours: Any = None
    for label, (how, make) in peers(names).items():
        found, seconds = run(X, y, how, make)
        ours = found if ours is None else ours
        line = f"{label:22}"
        for at in range(len(head)):
            mean, error = spread(found[:, at])
            line += f"{mean:10.4f} ±{error:.4f} "
            difference, error = spread(ours[:, at] - found[:, at])
            line += f"{difference:+11.4f} ±{error:.4f}" if found is not ours else " " * 19
        print(line + f"{seconds:10.2f}", flush=True)


def spread(values: Any) -> tuple[float, float]:
    """Return mean and standard error."""
    return float(values.mean()), float(values.std(ddof=1) / np.sqrt(len(values)))


def main() -> None:
    """Run the sets named, or all."""
    warnings.filterwarnings("ignore")
    folder, wanted = Path(sys.argv[1]), sys.argv[2:] or list(FILES)
    for name in wanted:
        report(name, *load(folder, name))


if __name__ == "__main__":
    main()
