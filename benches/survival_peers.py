"""Fits of duration models beside lifelines, scikit-survival and statsmodels, in one run.

    python benches/survival_peers.py [--telco path/to/telco.csv.gz]

Every line is one fit of the same design matrix: median CPU seconds of five runs on one thread, the
largest difference of a coefficient relative to its standard error, and the log-likelihood.
Needs lifelines, scikit-survival and statsmodels beside this package.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
import warnings
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    import pandas as pd

RUNS = 5


def one_thread() -> None:
    """Hold numerical libraries to one thread: they read the environment when imported."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"


def cpu(work: Callable[[], Any]) -> tuple[float, Any]:
    """Return the median CPU seconds of some runs, and the result of the last."""
    seconds, result = [], None
    for _ in range(RUNS):
        start = time.process_time()
        result = work()
        seconds.append(time.process_time() - start)
    return statistics.median(seconds), result


def design(path: str | None) -> tuple[pd.DataFrame, list[str]]:
    """Return Telco as plain numbers: 0/1 columns and standardised charges, tenure above 0."""
    import pandas as pd

    import cvm

    telco = cvm.datasets.load_telco(as_frame="pandas") if path is None else pd.read_csv(path)
    telco = telco[telco["tenure"] > 0]
    left_out = ["customerID", "TotalCharges", "tenure", "Churn"]
    text = [c for c in telco if c not in left_out and not pd.api.types.is_numeric_dtype(telco[c])]
    columns = pd.get_dummies(telco[text], drop_first=True, dtype=float)
    # Levels that repeat another column have no coefficient of their own.
    columns = columns.loc[:, ~columns.columns.str.contains("No internet|No phone")]
    columns["SeniorCitizen"] = telco["SeniorCitizen"].astype(float)
    columns["MonthlyCharges"] = telco["MonthlyCharges"].astype(float)
    columns = (columns - columns.mean()) / columns.std()
    columns.columns = [f"x{i}" for i in range(columns.shape[1])]
    names = list(columns)
    data = columns.assign(t=telco["tenure"].astype(float), left=(telco["Churn"] == "Yes") * 1.0)
    return data.reset_index(drop=True), names


def line(name: str, seconds: float, found: np.ndarray, ours: np.ndarray, se: np.ndarray) -> None:
    """Print one fit."""
    import numpy as np

    gap = np.max(np.abs(found - ours) / se)
    print(f"{name:<44} {seconds:9.3f} s   {gap:.1e} standard errors", flush=True)


def cox(data: pd.DataFrame, names: list[str]) -> None:
    """Compare Cox models with Efron's ties (statsmodels and scikit-survival as well)."""
    import numpy as np
    import statsmodels.api as sm
    from lifelines import CoxPHFitter
    from sksurv.linear_model import CoxPHSurvivalAnalysis
    from sksurv.util import Surv

    import cvm

    model = cvm.CoxChurn(threads=1)
    seconds, fitted = cpu(lambda: model.fit(data, "t", "left"))
    ours = np.array([fitted.params_[n] for n in names])
    se = np.array([fitted.standard_errors_[n] for n in names])
    line("cvm.CoxChurn (with test of proportionality)", seconds, ours, ours, se)

    def lifelines() -> Any:
        return CoxPHFitter().fit(data, "t", "left")

    seconds, peer = cpu(lifelines)
    line("lifelines.CoxPHFitter", seconds, peer.params_[names].to_numpy(), ours, se)
    outcome = Surv.from_arrays(data["left"] == 1, data["t"])

    def scikit_survival() -> Any:
        return CoxPHSurvivalAnalysis(ties="efron").fit(data[names], outcome)

    seconds, peer = cpu(scikit_survival)
    line("sksurv CoxPHSurvivalAnalysis", seconds, peer.coef_, ours, se)
    phreg = sm.PHReg(data["t"], data[names], data["left"], ties="efron")

    def statsmodels() -> Any:
        return phreg.fit(disp=0)

    seconds, peer = cpu(statsmodels)
    line("statsmodels.PHReg", seconds, peer.params, ours, se)


def hazard(data: pd.DataFrame, names: list[str]) -> None:
    """Compare discrete-time hazards with one baseline level, by person-periods at the peer."""
    import numpy as np
    import statsmodels.api as sm

    import cvm

    model = cvm.HazardChurn(baseline="constant", penalty=0.0, numeric_basis="linear", threads=1)
    seconds, fitted = cpu(lambda: model.fit(data, "t", "left"))
    ours = np.array([fitted.params_[n] for n in names])
    se = np.array([fitted.standard_errors_[n] for n in names])
    line("cvm.HazardChurn", seconds, ours, ours, se)

    def person_periods() -> Any:
        lengths = data["t"].to_numpy().astype(int)
        rows = data.loc[data.index.repeat(lengths.tolist())]
        last = np.zeros(len(rows), bool)
        last[np.cumsum(lengths) - 1] = True
        X = sm.add_constant(rows[names])
        return sm.GLM(rows["left"] * last, X, sm.families.Binomial()).fit(tol=1e-12)

    seconds, peer = cpu(person_periods)
    line("statsmodels.GLM on person-periods", seconds, peer.params[names].to_numpy(), ours, se)


def main() -> None:
    """Print every comparison."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--telco")
    one_thread()
    data, names = design(parser.parse_args().telco)
    warnings.simplefilter("ignore")
    print(f"{len(data)} customers, {len(names)} columns, CPU of one thread, median of {RUNS}")
    cox(data, names)
    hazard(data, names)


if __name__ == "__main__":
    main()
