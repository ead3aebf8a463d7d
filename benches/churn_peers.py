"""Churn models beside their peers: cross-validated accuracy and CPU seconds of a fit.

    python benches/churn_peers.py [FOLDER] [--sets NAME ...] [--repeats N] [--models NAME ...]
        [--seed N] [--keep FILE]

Everyone has default settings, the same folds and one thread; categories are declared to those who
take them. For every set the means over repeated stratified folds, then the differences of our
boosted trees to every other tree learner, fold by fold, with a standard error
that counts what training sets share (Nadeau & Bengio 2003, *Machine Learning* 52, section 3:
``s² (1/J + 1/(K-1))`` for J folds of K). Needs scikit-learn; of lightgbm, xgboost,
catboost and perpetual what is not installed is named and left out. FOLDER holds the public tables
as in ``FILES`` below; without it the Telco customers of `cvm.datasets` are all there is. CatBoost
takes minutes a fit on the larger sets: with ``--keep`` what was measured is written to a file
after every model, and a later run measures only what the file lacks (delete our lines after a
change of ours).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import time
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

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
    "smcrm_retention": "customerAcquisition.csv.gz",
}
OURS = "cvm BoostedChurn"
TREE_PEERS = ("LightGBM", "XGBoost", "HistGradientBoosting", "CatBoost", "perpetual")
MODULES = {name: name.lower() for name in TREE_PEERS if name != "HistGradientBoosting"}


class Plan(NamedTuple):
    """What is asked for on the command line."""

    repeats: int
    seed: int
    wanted: list[str]
    keep: Path | None

    def known(self) -> dict[str, Any]:
        """Return what was measured before."""
        if self.keep is None or not self.keep.exists():
            return {}
        return json.loads(self.keep.read_text())

    def store(self, key: str, found: Any, seconds: float) -> None:
        """Write one model's measures beside the others."""
        if self.keep is not None:
            known = self.known() | {key: {"found": found.tolist(), "seconds": seconds}}
            self.keep.write_text(json.dumps(known))


def load(folder: Path | None, name: str) -> tuple[Any, Any]:  # noqa: PLR0911 - one way a set
    """Return inputs and who churned (or bought, or answered)."""
    if folder is None:
        table = pd.DataFrame(cvm.datasets.load_telco())
    else:
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
        case "smcrm_retention":
            # Customers won: who has left within two years, by what was known when they came.
            table = table[table["acquisition"] == 1]
            known = ["first_purchase", "acq_expense", "industry", "revenue", "employees"]
            return table[known], 1 - table["censor"].astype(int)
        case _:
            return table.drop(columns="y"), (table["y"] == "yes").astype(int)


def peers(names: list[str]) -> dict[str, tuple[str, Callable[[], Any]]]:
    """Return how each library takes categories, and its classifier with default settings."""
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

    def light() -> Any:
        import lightgbm as lgb

        return lgb.LGBMClassifier(n_jobs=1, verbose=-1)

    def extreme() -> Any:
        import xgboost as xgb

        return xgb.XGBClassifier(n_jobs=1, enable_categorical=True)

    def cat() -> Any:
        import catboost as cb

        return cb.CatBoostClassifier(
            thread_count=1, verbose=0, cat_features=names, allow_writing_files=False
        )

    def perpetual() -> Any:
        from perpetual import PerpetualBooster

        return PerpetualBooster(objective="LogLoss", num_threads=1)

    def hist() -> Any:
        return HistGradientBoostingClassifier(categorical_features="from_dtype", random_state=SEED)

    return {
        OURS: ("text", lambda: cvm.BoostedChurn(threads=1)),
        "cvm oblivious": ("text", lambda: cvm.BoostedChurn(grow="oblivious", threads=1)),
        "cvm leaf-wise": ("text", lambda: cvm.BoostedChurn(grow="leafwise", threads=1)),
        "cvm additive": ("text", lambda: cvm.BoostedChurn(interaction_order=1, threads=1)),
        "cvm LogisticChurn": ("text", lambda: cvm.LogisticChurn(threads=1)),
        "LogisticRegression": ("text", logistic),
        "LightGBM": ("category", light),
        "XGBoost": ("category", extreme),
        "HistGradientBoosting": ("category", hist),
        "CatBoost": ("text", cat),
        "perpetual": ("category", perpetual),
    }


def measures(y: Any, p: Any) -> tuple[float, float, float]:
    """Return AUC, log-loss and Brier score."""
    log_loss = -np.mean(
        np.where(y == 1, np.log(np.maximum(p, NONE)), np.log1p(-np.minimum(p, 1 - NONE)))
    )
    return cvm.metrics.auc(y, p), float(log_loss), float(np.mean((p - y) ** 2))


def run(
    X: pd.DataFrame, y: pd.Series, how: str, make: Callable[[], Any], plan: Plan
) -> tuple[Any, float]:
    """Return measures by fold, and the median CPU seconds of a fit."""
    from sklearn.model_selection import RepeatedStratifiedKFold

    names = [name for name in X if not pd.api.types.is_numeric_dtype(X[name])]
    inputs = X.copy()
    inputs[names] = inputs[names].astype("category" if how == "category" else str)
    found: list[tuple[float, float, float]] = []
    seconds: list[float] = []
    folds = RepeatedStratifiedKFold(n_splits=FOLDS, n_repeats=plan.repeats, random_state=plan.seed)
    for train, test in folds.split(inputs, y):
        started = time.process_time()
        model = make()
        model.fit(inputs.iloc[train], y.iloc[train])
        seconds.append(time.process_time() - started)
        p = model.predict_proba(inputs.iloc[test])[:, 1]
        found.append(measures(y.iloc[test].to_numpy(), np.asarray(p, dtype=float)))
    return np.array(found), float(np.median(seconds))


def report(name: str, X: pd.DataFrame, y: pd.Series, plan: Plan) -> None:
    """Print one set's table."""
    names = [own for own in X if not pd.api.types.is_numeric_dtype(X[own])]
    print(f"\n{name}: {len(y)} rows, {X.shape[1]} columns, {y.mean():.1%} positive, ", end="")
    print(f"{plan.repeats} x {FOLDS} folds\n")
    print("| model | AUC | log-loss | Brier | CPU s a fit |\n|---|---|---|---|---|")
    found: dict[str, Any] = {}
    for label, (how, make) in peers(names).items():
        if plan.wanted and label not in plan.wanted:
            continue
        if label in MODULES and importlib.util.find_spec(MODULES[label]) is None:
            print(f"| {label} | not installed | | | |")
            continue
        key = f"{name} {label} {plan.repeats} {plan.seed}"
        before = plan.known().get(key)
        if before is None:
            found[label], seconds = run(X, y, how, make, plan)
            plan.store(key, found[label], seconds)
        else:
            found[label], seconds = np.array(before["found"]), before["seconds"]
        means = " | ".join(f"{value:.4f}" for value in found[label].mean(axis=0))
        print(f"| {label} | {means} | {seconds:.2f} |", flush=True)
    for label in TREE_PEERS:
        if OURS in found and label in found:
            print(f"| ours - {label} | {paired(found[OURS] - found[label])} | |", flush=True)


def paired(differences: Any) -> str:
    """Return mean differences, fold by fold, with their errors."""
    error = differences.std(axis=0, ddof=1) * np.sqrt(1 / len(differences) + 1 / (FOLDS - 1))
    pairs = zip(differences.mean(axis=0), error, strict=True)
    return " | ".join(f"{mean:+.4f} ± {error:.4f}" for mean, error in pairs)


def main() -> None:
    """Run the sets named, or all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--sets", nargs="*", choices=list(FILES), help="all of the folder")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--seed", type=int, default=SEED, help="of the folds")
    parser.add_argument("--keep", type=Path, help="file of what was measured")
    parser.add_argument("--models", nargs="*", default=[], help="all by default")
    asked = parser.parse_args()
    warnings.filterwarnings("ignore")
    plan = Plan(asked.repeats, asked.seed, asked.models, asked.keep)
    sets = asked.sets or (list(FILES) if asked.folder else ["telco_churn"])
    for name in sets:
        report(name, *load(asked.folder, name), plan)


if __name__ == "__main__":
    main()
