"""Trains the small models of other libraries that `churn.trees.toml` imports, and prints their scores.

Run once, by hand, with LightGBM 4.7.0, XGBoost 3.2.0, CatBoost 1.2.10; the numbers it prints are in
`churn.trees.toml`. The libraries' own files are what is kept: they are read, never rewritten.
"""

import json
from pathlib import Path

import catboost as cb
import lightgbm as lgb
import numpy as np
import xgboost as xgb

HERE = Path(__file__).parent
rng = np.random.default_rng(20)
n = 600
tenure = np.round(rng.gamma(2.0, 12.0, n), 1)
calls = rng.poisson(1.5, n).astype(float)
fee = np.round(rng.normal(60, 20, n), 2)
logit = 1.0 - 0.08 * tenure + 0.7 * calls + 0.01 * (fee - 60) * (calls > 1)
churned = (rng.random(n) < 1 / (1 + np.exp(-logit))).astype(int)
fee[rng.random(n) < 0.15] = np.nan
X = np.column_stack([tenure, calls, fee])
names = ["tenure", "calls", "fee"]

train = lgb.Dataset(X, churned, feature_name=names)
params = {"objective": "binary", "num_leaves": 6, "verbose": -1, "sigmoid": 0.8, "seed": 1}
light = lgb.train(params, train, 8)
light.save_model(HERE / "lightgbm_binary.txt")
kind = np.digitize(logit, [-0.5, 0.8])
three = {"objective": "multiclass", "num_class": 3, "num_leaves": 4, "verbose": -1, "seed": 1}
light3 = lgb.train(three, lgb.Dataset(X, kind, feature_name=names), 4)
light3.save_model(HERE / "lightgbm_three.txt")
matrix = xgb.DMatrix(X, churned, feature_names=names)
extreme = xgb.train({"objective": "binary:logistic", "max_depth": 3, "seed": 1}, matrix, 8)
extreme.save_model(HERE / "xgboost_binary.json")
cat = cb.CatBoostClassifier(
    iterations=8, depth=3, verbose=0, allow_writing_files=False, random_seed=1
)
cat.fit(cb.Pool(X, churned, feature_names=names))
cat.save_model(str(HERE / "catboost_binary.json"), format="json")

tenures = light.dump_model()["tree_info"][0]["tree_structure"]["threshold"]
rows = np.array(
    [
        [1.0, 4.0, 80.0],
        [tenures, 0.0, 55.5],
        [np.nextafter(tenures, np.inf), 0.0, np.nan],
        [90.0, 1.0, 20.0],
        [-0.0, np.nan, 1e-40],
        [12.5, 2.7, -5.0],
    ]
)
print("rows", json.dumps(rows.T.tolist()))


def show(name, raw, answer):
    print(name, "raw", json.dumps(np.asarray(raw, float).T.tolist()))
    print(name, "answer", json.dumps(np.asarray(answer, float).T.tolist()))


show("lightgbm", light.predict(rows, raw_score=True), light.predict(rows))
show("lightgbm three", light3.predict(rows, raw_score=True), light3.predict(rows))
served = xgb.DMatrix(rows, feature_names=names)
show("xgboost", extreme.predict(served, output_margin=True), extreme.predict(served))
raw = cat.predict(rows, prediction_type="RawFormulaVal")
show("catboost", raw, cat.predict_proba(rows)[:, 1])
