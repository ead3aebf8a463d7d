"""Writes churn_small.csv and reference.json: what scikit-learn and statsmodels make of it.

Run once, offline, in a throwaway environment:

    pip install numpy==2.4.6 pandas==3.1.1 scipy==1.17.1 scikit-learn==1.9.1 statsmodels==0.15.0
    python make_reference.py
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import statsmodels.api as sm
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import brier_score_loss, log_loss, roc_auc_score

HERE = Path(__file__).parent
ROWS = 400
QUANTILES = [0.05, 0.275, 0.5, 0.725, 0.95]


def simulate() -> pd.DataFrame:
    """A small churn table with gaps, a binary number and two perfectly aliased levels."""
    rng = np.random.default_rng(20260101)
    tenure = rng.integers(0, 72, ROWS)
    charge = np.round(rng.gamma(4.0, 18.0, ROWS), 2)
    senior = rng.integers(0, 2, ROWS)
    contract = rng.choice(["Month-to-month", "One year", "Two year"], ROWS, p=[0.5, 0.3, 0.2])
    internet = rng.choice(["DSL", "Fiber", "No"], ROWS, p=[0.4, 0.4, 0.2])
    backup = np.where(internet == "No", "No internet", rng.choice(["No", "Yes"], ROWS))
    logit = -0.6 - 0.9 * np.log1p(tenure / 6) + 0.015 * charge + 0.3 * senior
    logit += np.where(contract == "One year", -0.7, 0) + np.where(contract == "Two year", -1.2, 0)
    logit += np.where(internet == "Fiber", 0.8, 0)
    churn = np.where(rng.random(ROWS) < 1 / (1 + np.exp(-logit)), "Yes", "No")
    charge = np.where(rng.random(ROWS) < 0.06, np.nan, charge)
    contract = np.where(rng.random(ROWS) < 0.05, None, contract)
    return pd.DataFrame(
        {
            "tenure": tenure,
            "charge": charge,
            "senior": senior,
            "contract": contract,
            "internet": internet,
            "backup": backup,
            "churn": churn,
        }
    )


def spline(x: np.ndarray) -> np.ndarray:
    """Restricted cubic spline basis of Harrell (2015), section 2.4.5."""
    k = np.unique(np.quantile(x[~np.isnan(x)], QUANTILES, method="inverted_cdf"))
    x = np.where(np.isnan(x), np.nanmean(x), x)
    if len(k) < 3:
        return x[:, None]
    cube = lambda u: np.maximum(u, 0) ** 3  # noqa: E731
    gap = k[-1] - k[-2]
    bends = [
        (cube(x - t) - cube(x - k[-2]) * (k[-1] - t) / gap + cube(x - k[-1]) * (k[-2] - t) / gap)
        / (k[-1] - k[0]) ** 2
        for t in k[:-2]
    ]
    return np.column_stack([x, *bends])


def design(frame: pd.DataFrame, basis: str) -> tuple[np.ndarray, list[str]]:
    """Encoded columns, not standardised, in the order of the model."""
    columns, names = [], []
    for name in ["tenure", "charge", "senior"]:
        x = frame[name].to_numpy(float)
        block = spline(x) if basis == "spline" else np.where(np.isnan(x), np.nanmean(x), x)[:, None]
        columns.append(block)
        names += [name] + [f"{name}[spline {j}]" for j in range(1, block.shape[1])]
        if np.isnan(x).any():
            columns.append(np.isnan(x).astype(float)[:, None])
            names.append(f"{name}[missing]")
    for name in ["contract", "internet", "backup"]:
        levels = sorted(frame[name].dropna().unique())[1:]
        for level in levels:
            columns.append((frame[name] == level).to_numpy(float)[:, None])
            names.append(f"{name}={level}")
        if frame[name].isna().any():
            columns.append(frame[name].isna().to_numpy(float)[:, None])
            names.append(f"{name}=__missing__")
    return np.hstack(columns), names


def penalised(frame: pd.DataFrame, y: np.ndarray, basis: str, penalty: float) -> dict:
    """scikit-learn on standardised columns."""
    x, names = design(frame, basis)
    z = (x - x.mean(0)) / x.std(0)
    model = LogisticRegression(C=1 / penalty, solver="newton-cholesky", tol=1e-14, max_iter=1000)
    model.fit(z, y)
    p = model.predict_proba(z)[:, 1]
    return {
        "basis": basis,
        "penalty": penalty,
        "names": names,
        "standardised": [float(model.intercept_[0]), *map(float, model.coef_[0])],
        "probabilities": [float(v) for v in p[:20]],
        "auc": float(roc_auc_score(y, p)),
        "brier": float(brier_score_loss(y, p)),
        "log_loss": float(log_loss(y, p)),
    }


def unpenalised(frame: pd.DataFrame, y: np.ndarray) -> dict:
    """statsmodels on raw columns, without the aliased one."""
    x, names = design(frame, "linear")
    keep = [i for i, name in enumerate(names) if name != "backup=No internet"]
    fit = sm.Logit(y, sm.add_constant(x[:, keep])).fit(disp=0, method="newton", tol=1e-14)
    return {
        "names": ["intercept", *(names[i] for i in keep)],
        "per_unit": [float(v) for v in fit.params],
        "errors": [float(v) for v in fit.bse],
        "log_likelihood": float(fit.llf),
    }


def main() -> None:
    """Write both files."""
    simulate().to_csv(HERE / "churn_small.csv", index=False)
    frame = pd.read_csv(HERE / "churn_small.csv")
    y = (frame["churn"] == "Yes").to_numpy(int)
    reference = {
        "scikit_learn": [
            penalised(frame, y, "spline", 1.0),
            penalised(frame, y, "linear", 1.0),
            penalised(frame, y, "spline", 25.0),
        ],
        "statsmodels": unpenalised(frame, y),
    }
    (HERE / "reference.json").write_text(json.dumps(reference, indent=1) + "\n")


if __name__ == "__main__":
    main()
