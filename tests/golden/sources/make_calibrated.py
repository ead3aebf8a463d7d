"""Trains the calibrated classifiers that `churn.calibrated.toml` imports, and prints their scores.

Run once, by hand, with scikit-learn 1.9.1; the numbers it prints are in `churn.calibrated.toml`.
scikit-learn has no file but a pickle: what is kept is the document that `cvm.from_sklearn` writes.
"""

import json
from pathlib import Path

import numpy as np
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier

from cvm.churn._sklearn import calibrated_document

HERE = Path(__file__).parent
rng = np.random.default_rng(20)
n = 600
tenure = np.round(rng.gamma(2.0, 12.0, n), 1)
calls = rng.poisson(1.5, n).astype(float)
fee = np.round(rng.normal(60, 20, n), 2)
logit = 1.0 - 0.08 * tenure + 0.7 * calls + 0.01 * (fee - 60) * (calls > 1)
churned = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(int)
X = np.column_stack([tenure, calls, fee])
names = ["tenure", "calls", "fee"]
rows = np.array([[1.0, 4.0, 80.0], [24.45, 0.0, 55.5], [90.0, 1.0, 20.0], [12.5, 2.7, -5.0]])

boosting = GradientBoostingClassifier(n_estimators=6, max_depth=2, random_state=1)
forest = RandomForestClassifier(5, max_leaf_nodes=6, random_state=1)
models = {
    "sigmoid": CalibratedClassifierCV(boosting, method="sigmoid", cv=2),
    "isotonic": CalibratedClassifierCV(forest, method="isotonic", cv=2),
}
print("rows", json.dumps(rows.T.tolist()))
for name, model in models.items():
    model.fit(X, churned)
    document, _ = calibrated_document(model, None)
    text = json.dumps(document, separators=(",", ":"))
    for place, own in enumerate(names):
        text = text.replace(f'"x{place}"', f'"{own}"')
    (HERE / f"calibrated_{name}.json").write_text(text + "\n")
    print(name, json.dumps(model.predict_proba(rows)[:, 1].tolist()))
