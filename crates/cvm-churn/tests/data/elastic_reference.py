"""Elastic-net logistic regressions of scikit-learn on rossi.csv, and one with an offset.

    python elastic_reference.py    # writes elastic_reference.json beside itself
"""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import sklearn
import statsmodels.api as sm
from sklearn.linear_model import LogisticRegression

HERE = Path(__file__).parent
INPUTS = ["fin", "age", "race", "wexp", "mar", "paro", "prio"]


def main():
    data = pd.read_csv(HERE / "rossi.csv")
    x = data[INPUTS].to_numpy(float)
    z = (x - x.mean(0)) / x.std(0)
    y = data["arrest"].to_numpy(int)
    nets = []
    for penalty, l1_ratio in [(5.0, 1.0), (20.0, 1.0), (10.0, 0.5), (40.0, 0.2)]:
        fit = LogisticRegression(
            penalty="elasticnet",
            C=1 / penalty,
            l1_ratio=l1_ratio,
            solver="saga",
            tol=1e-13,
            max_iter=1_000_000,
        ).fit(z, y)
        coefficients = (fit.coef_[0] / x.std(0)).tolist()
        nets.append({"penalty": penalty, "l1_ratio": l1_ratio, "coefficients": coefficients})
    inputs = [name for name in INPUTS if name != "prio"]
    design = sm.add_constant(data[inputs].to_numpy(float))
    offset = 0.1 * data["prio"].to_numpy(float)
    glm = sm.GLM(y, design, sm.families.Binomial(), offset=offset).fit(tol=1e-14)
    reference = {
        "versions": {"scikit-learn": sklearn.__version__, "numpy": np.__version__},
        "nets": nets,
        "offset": {
            "coefficients": glm.params[1:].tolist(),
            "intercept": float(glm.params[0]),
            "errors": glm.bse[1:].tolist(),
            "log_likelihood": float(glm.llf),
        },
    }
    (HERE / "elastic_reference.json").write_text(json.dumps(reference, indent=1) + "\n")


if __name__ == "__main__":
    main()
