"""Write the corpus of this folder: sound seeds of each format, and files that must be refused.

Needs lightgbm, xgboost and catboost. ``seeds/`` is what mutations start from; ``refused/`` holds one
file for each way to be hostile, named ``FORMAT-WHAT``. A file that once broke an importer is added
by hand and stays.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import catboost as cb
import lightgbm as lgb
import numpy as np
import xgboost as xgb

HERE = Path(__file__).parent
TREES = 3


def data():
    """Return few rows with a gap, a category code and a label."""
    rng = np.random.default_rng(5)
    X = rng.normal(size=(200, 3)).round(2)
    X[:, 2] = rng.integers(0, 7, 200)
    y = X[:, 0] + 2 * np.isin(X[:, 2], [1, 3, 6]) + 0.3 * rng.normal(size=200) > 0.4
    X[::9, 0] = np.nan
    return X, y.astype(int)


def seeds():
    """Return the sound files by name."""
    X, y = data()
    given = {
        "objective": "binary",
        "num_leaves": 5,
        "min_data_per_group": 5,
        "min_data_in_leaf": 5,
        "cat_smooth": 1,
        "max_cat_to_onehot": 1,
        "verbose": -1,
        "num_threads": 1,
    }
    light = lgb.train(given, lgb.Dataset(X, y, categorical_feature=[2]), TREES)
    linear = lgb.train({**given, "linear_tree": True}, lgb.Dataset(np.nan_to_num(X), y), TREES)
    types = {"feature_types": ["q", "q", "c"], "enable_categorical": True}
    parameters = {"objective": "binary:logistic", "max_depth": 3, "max_cat_to_onehot": 1}
    extreme = xgb.train(parameters, xgb.DMatrix(X, y, **types), TREES)
    cat = cb.CatBoostClassifier(
        iterations=TREES, depth=3, verbose=0, thread_count=1, allow_writing_files=False
    ).fit(X, y)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "model.json")
        cat.save_model(str(path), format="json")
        oblivious = path.read_text()
    return {
        "lightgbm-plain": light.model_to_string().encode(),
        "lightgbm-linear": linear.model_to_string().encode(),
        "xgboost-json": bytes(extreme.save_raw("json")),
        "xgboost-ubj": bytes(extreme.save_raw("ubj")),
        "catboost-plain": json.dumps(json.loads(oblivious)).encode(),
        "arrays-additive": json.dumps(additive()).encode(),
    }


def additive():
    """Return the document an additive model of one number and one category is imported through."""
    leaf = {"feature": -1, "threshold": 0.0, "left": -1, "right": -1, "default_left": False}
    number = {"feature": 0, "left": 1, "right": 2, "default_left": True}
    trees = [
        _tree([{**number, "threshold": 1.5}, leaf, leaf], [0.0, -0.5, 0.75], {}),
        _tree(
            [{**number, "feature": 1, "threshold": 0.0}, leaf, leaf], [0.0, 0.25, -0.1], {"0": [1]}
        ),
    ]
    return {
        "document": "cvm trees 1",
        "library": "interpret ExplainableBoostingClassifier",
        "rules": {
            "compare": "less",
            "input": "f64",
            "accepts_infinite": True,
            "category": "truncate",
            "sum": "f64",
        },
        "outputs": 1,
        "leaf_width": 1,
        "link": "sigmoid",
        "slope": 1.0,
        "divisor": 1.0,
        "base": [0.125],
        "fields": [
            {"name": "fee", "accepts_missing": True, "levels": None, "unseen": "missing"},
            {"name": "plan", "accepts_missing": True, "levels": ["a", "b"], "unseen": "reject"},
        ],
        "trees": trees,
    }


def _tree(nodes, values, members):
    names = ("feature", "threshold", "left", "right", "default_left")
    arrays = {name: [node[name] for node in nodes] for name in names}
    cover = [10.0, 4.0, 6.0]
    return {**arrays, "output": 0, "value": values, "cover": cover, "members": members}


def changed(text, *pairs):
    """Return text with the first of each pair replaced by the second, once."""
    for old, new in pairs:
        assert old in text, old
        text = text.replace(old, new, 1)
    return text


def lines(text, key, new):
    """Return text whose first line ``key=…`` is ``key=new``."""
    assert f"\n{key}=" in text, key
    at = text.index(f"\n{key}=") + 1
    return text[:at] + f"{key}={new}" + text[text.index("\n", at) :]


def refused(sound):
    """Return the hostile files by name."""
    light = sound["lightgbm-plain"].decode()
    extreme = json.loads(sound["xgboost-json"])
    ubj = sound["xgboost-ubj"]
    files = {
        "lightgbm-loop": lines(light, "left_child", "0 0 0 0"),
        "lightgbm-child-out-of-range": lines(light, "right_child", "9999 1 2 3"),
        "lightgbm-claims-4-billion-leaves": lines(light, "num_leaves", "4294967295"),
        "lightgbm-nan-threshold": lines(light, "threshold", "nan nan nan nan"),
        "lightgbm-field-out-of-range": lines(light, "split_feature", "7 7 7 7"),
        "lightgbm-category-out-of-range": lines(light, "cat_boundaries", "0 4000000000"),
        "lightgbm-cut": light[: light.index("Tree=1") + 60],
        "lightgbm-infinite-leaf": lines(light, "leaf_value", "inf inf inf inf inf"),
        "lightgbm-empty": "",
        "arrays-loop": json.dumps(additive()).replace('"left": [1, -1, -1]', '"left": [0, -1, -1]'),
        "arrays-huge-category": json.dumps(additive()).replace('{"0": [1]}', '{"0": [4000000000]}'),
        "catboost-short-leaves": sound["catboost-plain"]
        .decode()
        .replace('"leaf_values": [', '"leaf_values": [], "more": [', 1),
        "catboost-nesting": "[" * 100_000,
        "xgboost-nesting": "{" + '"a":[' * 100_000,
    }
    for name, change in {
        "loop": lambda tree: tree["left_children"].__setitem__(0, 0),
        "child-out-of-range": lambda tree: tree["right_children"].__setitem__(0, 1 << 30),
        "field-out-of-range": lambda tree: tree["split_indices"].__setitem__(0, 99),
        "ragged": lambda tree: tree["split_conditions"].pop(),
        "category-out-of-range": lambda tree: tree.__setitem__("categories_sizes", [1 << 40]),
    }.items():
        copy = json.loads(json.dumps(extreme))
        for tree in copy["learner"]["gradient_booster"]["model"]["trees"]:
            change(tree)
        files[f"xgboost-{name}"] = json.dumps(copy)
    binary = {
        "xgboost-ubj-cut": ubj[: len(ubj) * 2 // 3],
        "xgboost-ubj-claims-4-gigabytes": b"{i\x01a[$d#L\x00\x00\x00\x00\xff\xff\xff\xff",
        "xgboost-ubj-claims-2-to-the-63": b"{i\x01a[$Z#L\x7f\xff\xff\xff\xff\xff\xff\xff}",
        "xgboost-ubj-negative-count": b"{i\x01a[$d#L\xff\xff\xff\xff\xff\xff\xff\xff",
        "xgboost-ubj-nesting": b"{i\x01a" + b"[" * 100_000,
    }
    return {name: text.encode() for name, text in files.items()} | binary


def main() -> None:
    """Write both folders."""
    sound = seeds()
    for folder, files in (("seeds", sound), ("refused", refused(sound))):
        (HERE / folder).mkdir(exist_ok=True)
        for name, content in files.items():
            (HERE / folder / name).write_bytes(content)


if __name__ == "__main__":
    main()
