"""Imported models give the scores of the library they come from, in every bit.

The cases are in `parity.py`; `docs/parity.md` is the table they make. `UPDATE_PARITY=1` writes it.
"""

from __future__ import annotations

import json
import math
import os
import platform
import re
import warnings

import numpy as np
import pytest

import cvm
from cvm.churn._import import import_bytes
from cvm.errors import CvmError
from parity import CASES, data, lightgbm, rows, xgboost
from support import ROOT

pytestmark = pytest.mark.filterwarnings("ignore")
PAGE = ROOT / "docs" / "parity.md"
# Answers repeat the exponentials of glibc on processors with fused multiply-adds; log1p of
# LightGBM's cross_entropy_lambda differs between versions of glibc.
IS_GLIBC = platform.libc_ver()[0] == "glibc"


def numpy_takes_glibc() -> bool:
    """Whether numpy's exp is glibc's: with AVX-512 it brings its own."""
    values = np.linspace(-20.0, 5.0, 10_001)
    return bool((np.exp(values) == [math.exp(value) for value in values]).all())


# Shares of scikit-learn go through numpy's.
NUMPY_IS_GLIBC = IS_GLIBC and numpy_takes_glibc()
ROUNDED_OTHERWISE = {("lightgbm", "cross entropy lambda"): 1}
MOST_ULPS_ELSEWHERE = 4
MOST_ULPS_OF_SHARES_ELSEWHERE = 16
RESULTS: dict[tuple[str, str], str] = {}
LIBRARIES = {
    "lightgbm": "lightgbm",
    "xgboost": "xgboost",
    "catboost": "catboost",
    "sklearn": "sklearn",
    "ebm": "interpret",
}


def importer(library):
    return getattr(cvm, f"from_{library}")


def original(library, model, table, options):
    """Return the answers and raw scores of the library itself, rows in the first axis."""
    if library == "lightgbm":
        model = getattr(model, "booster_", model)
        return model.predict(table), model.predict(table, raw_score=True)
    if library == "xgboost":
        return of_xgboost(model, table, options)
    if library == "catboost":
        raw = model.predict(table, prediction_type="RawFormulaVal")
        if not hasattr(model, "predict_proba"):
            return raw, raw
        shares = model.predict_proba(table)
        return (shares[:, 1] if shares.shape[1] == 2 else shares), raw
    if not hasattr(model, "predict_proba"):
        return model.predict(table), model.predict(table)
    shares = model.predict_proba(table)
    shares = shares[:, 1] if shares.shape[1] == 2 else shares
    return shares, model.decision_function(table) if hasattr(model, "decision_function") else shares


def of_xgboost(model, table, options):
    import xgboost as xgb

    booster = model.get_booster() if hasattr(model, "get_booster") else model
    rounds = options.get("iterations", 0)
    if booster is not model and booster.attr("best_iteration"):
        rounds = int(booster.attr("best_iteration")) + 1
    names = None if isinstance(table, np.ndarray) else list(table.columns)
    served = xgb.DMatrix(
        table,
        missing=options.get("missing", np.nan),
        feature_names=names,
        feature_types=booster.feature_types if names is None else None,
        enable_categorical=True,
    )
    margin = booster.predict(served, output_margin=True, iteration_range=(0, rounds))
    answer = booster.predict(served, iteration_range=(0, rounds))
    return (None if answer.shape != margin.shape else answer), margin


def columns(scores, endings):
    return np.column_stack([scores[name] for name in scores if name.endswith(endings)])


def ulps(ours, theirs):
    """Return the largest distance in units in the last place of the library's own width."""
    theirs = np.asarray(theirs)
    narrow = theirs.astype(np.float32).astype(np.float64) == theirs
    kind = np.float32 if narrow.all() else np.float64
    spacing = np.spacing(np.abs(theirs).astype(kind)).astype(np.float64)
    return float(np.max(np.abs(ours - theirs) / spacing, initial=0.0))


PARAMS = [(library, name) for library, cases in CASES.items() for name in cases]


@pytest.mark.parametrize(("library", "name"), PARAMS, ids=[f"{a}: {b}" for a, b in PARAMS])
def test_scores_are_the_library_s(library, name):
    pytest.importorskip(LIBRARIES[library])
    model, table, options = CASES[library][name]()
    ours = importer(library)(model, **options)
    assert ours.parity_["rows"] >= 256
    scores = ours.score_frame(table)
    scores = {key: np.asarray(scores[key]) for key in ours.output_names_}
    answers, raw = original(library, model, table, options)
    raw = np.asarray(raw, np.float64).reshape(len(table), -1)
    # A row whose score is not finite is refused here, and only such a row.
    has_raw = any(key.endswith("raw_score") for key in scores)
    # A mean of calibrated classifiers has no raw score: its answers count as what may not differ.
    own = columns(scores, "raw_score" if has_raw else "probability")
    finite = np.isfinite(raw).all(axis=1)
    assert np.isfinite(own[finite]).all()
    mismatched = int((own[finite] != raw[finite]).any(axis=1).sum())
    is_rounded = not IS_GLIBC and not has_raw and "sigmoid" in ours.imported_["maps"]
    assert mismatched == 0 or is_rounded
    text = f"{int(finite.sum())} | {mismatched if has_raw else '-'}"
    given = [key for key in scores if not key.endswith("raw_score")]
    if answers is None or not given:
        RESULTS[library, name] = f"{text} | - | -"
        return
    answers = np.asarray(answers, np.float64).reshape(len(table), -1)[finite]
    found = columns(scores, ("probability", "prediction"))[finite]
    worst = ulps(found, answers)
    by_numpy = library == "sklearn" and found.shape[1] > 1
    is_ours = NUMPY_IS_GLIBC if by_numpy else IS_GLIBC
    elsewhere = MOST_ULPS_ELSEWHERE if found.shape[1] == 1 else MOST_ULPS_OF_SHARES_ELSEWHERE
    assert worst <= (ROUNDED_OTHERWISE.get((library, name), 0) if is_ours else elsewhere)
    equal = float((found == answers).mean())
    RESULTS[library, name] = f"{text} | {100 * equal:.2f} % | {worst:.0f}"


def test_the_page_of_parity_holds_every_case():
    """Run last: the page lists the cases, and is written anew on request."""
    if os.environ.get("UPDATE_PARITY"):
        assert set(RESULTS) == set(PARAMS), "run the whole file"
        PAGE.write_text(page())
    lines = PAGE.read_text().splitlines()
    for library, name in PARAMS:
        start = f"| {library} | {name} |"
        own = [line for line in lines if line.startswith(start)]
        assert len(own) == 1, start
        assert own[0].split("|")[4].strip() in {"0", "-"}, "mismatched rows"


def page():
    from importlib import metadata

    names = ("lightgbm", "xgboost-cpu", "catboost", "scikit-learn", "interpret-core")
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in names)
    body = "\n".join(f"| {a} | {b} | {RESULTS[a, b]} |" for a, b in PARAMS)
    return f"""# Parity with the libraries models are imported from

Made by `UPDATE_PARITY=1 python -m pytest tests/python/test_import.py` against {versions}.

Each case trains a model, imports it, and scores rows strewn with what breaks importers: thresholds
and their neighbours, missing values, both zeros, denormals, fractions and negatives as categories,
infinities where the library takes them, unseen levels. *Mismatched* counts rows where a bit of a
raw score differs. Answers (probabilities, predictions) go through `exp`, which libraries take from
glibc or bring along; an import repeats theirs (`cvm_math::libraries`). The share of answers equal
in every bit, and the largest difference in units in the last place, are of Linux with glibc 2.28 or
later and a processor with fused multiply-adds; on other systems the original libraries themselves
answer with other last bits, up to a few units. So does scikit-learn with three classes or more
where numpy takes an `exp` of its own, on processors with AVX-512. `log1p` of LightGBM's
cross_entropy_lambda differs between versions of glibc and is ours. Calibrated classifiers have no
raw score: theirs is "-".

| library | case | rows | mismatched | answers equal | worst ulps |
|---|---|---|---|---|---|
{body}
"""


def test_a_model_survives_its_file(tmp_path):
    X, y = data()
    model = cvm.from_lightgbm(lightgbm(X, y))
    again = cvm.load(model.save(tmp_path / "churn.cvm"))
    assert type(again) is cvm.TreeEnsemble
    assert again.fingerprint_ == model.fingerprint_
    assert again.parity_ == model.parity_
    table = rows(X)
    assert np.array_equal(again.decision_function(table), model.decision_function(table))


@pytest.mark.parametrize("library", ["lightgbm", "xgboost"])
def test_attributions_add_up_and_agree_with_the_library(library):
    X, y = data()
    if library == "lightgbm":
        model = lightgbm(X, y, rounds=80, num_leaves=31)
        theirs = model.predict(X[:200], pred_contrib=True)
        close, exact = 1e-9, 1e-12
    else:
        import xgboost as xgb

        model = xgboost(X, y, rounds=80)
        theirs = model.predict(xgb.DMatrix(X[:200]), pred_contribs=True).astype(float)
        # XGBoost adds floats: its own margin is not the sum of its own leaves.
        close, exact = 2e-4, 2e-5
    ours = importer(library)(model)
    values, base = ours.shap_values(X[:200]), ours.expected_value(X[:1])
    raw = ours.decision_function(X[:200])
    assert np.abs(base[0] + values.sum(axis=1) - raw).max() <= exact
    assert np.abs(values - theirs[:, :-1]).max() <= close
    assert abs(base[0] - theirs[0, -1]) <= close


def test_attributions_are_shapley_values_by_definition():
    """Against the sum over all coalitions, with the tree's own weights."""
    from itertools import combinations
    from math import factorial

    X, y = data(columns=4, missing=0.0)
    model = lightgbm(X, y, rounds=3, num_leaves=9)
    trees = [tree["tree_structure"] for tree in model.dump_model()["tree_info"]]
    ours = cvm.from_lightgbm(model)
    row = X[5]

    def game(node, known):
        if "leaf_value" in node:
            return node["leaf_value"]
        sides = (node["left_child"], node["right_child"])
        if node["split_feature"] in known:
            return game(sides[int(row[node["split_feature"]] > node["threshold"])], known)
        counts = [side.get("internal_count", side.get("leaf_count")) for side in sides]
        shares = [count / sum(counts) for count in counts]
        return sum(s * game(side, known) for s, side in zip(shares, sides, strict=True))

    def value(known):
        return sum(game(tree, known) for tree in trees)

    want = np.zeros(4)
    for j in range(4):
        others = [i for i in range(4) if i != j]
        for size in range(4):
            weight = factorial(size) * factorial(3 - size) / factorial(4)
            for known in combinations(others, size):
                want[j] += weight * (value({*known, j}) - value(set(known)))
    assert ours.shap_values(X[5:6])[0] == pytest.approx(want, abs=1e-13)


def test_what_is_not_understood_is_refused_by_name():
    X, y = data()
    booster = lightgbm(X, y, rounds=3)
    text = booster.model_to_string()

    def refusal(kind, content, options="{}"):
        from cvm._core import RawModel

        with pytest.raises(CvmError) as caught:
            RawModel.import_model(kind, content.encode(), options)
        return str(caught.value)

    assert "version" in refusal("lightgbm", text.replace("version=v4", "version=v9"))
    assert "lambdarank" in refusal(
        "lightgbm", text.replace("objective=binary", "objective=lambdarank")
    )
    assert "num_rings" in refusal(
        "lightgbm", text.replace("num_class=1", "num_rings=3\nnum_class=1")
    )
    assert "cut off" in refusal("lightgbm", text[: len(text) // 3].rsplit("\n\n", 1)[0])
    assert "iterations" in refusal("lightgbm", text, '{"iterations": 99}')
    document = json.loads(bytes(xgboost(X, y, rounds=3).save_raw("json")))
    document["learner"]["objective"]["name"] = "rank:ndcg"
    assert "rank:ndcg" in refusal("xgboost", json.dumps(document))
    document["learner"]["objective"]["name"] = "binary:logistic"
    document["learner"]["surprise"] = 1
    assert "learner.surprise" in refusal("xgboost", json.dumps(document))
    del document["learner"]["surprise"]
    document["learner"]["attributes"]["best_iteration"] = "1"
    assert "set the option `iterations` to 2" in refusal("xgboost", json.dumps(document))
    assert "format" in refusal("onnx", text)


def test_loops_and_bad_indices_are_refused():
    from cvm._core import RawModel

    X, y = data()
    document = json.loads(bytes(xgboost(X, y, rounds=1).save_raw("json")))
    tree = document["learner"]["gradient_booster"]["model"]["trees"][0]
    for key, bad in [("left_children", 0), ("right_children", 1), ("left_children", 10**6)]:
        kept = tree[key][0]
        tree[key][0] = bad
        with pytest.raises(CvmError, match=r"reached twice|does not exist"):
            RawModel.import_model("xgboost", json.dumps(document).encode(), "{}")
        tree[key][0] = kept
    tree["split_indices"][0] = 99
    with pytest.raises(CvmError, match="feature 99 of 6"):
        RawModel.import_model("xgboost", json.dumps(document).encode(), "{}")


@pytest.mark.parametrize("kind", ["json", "ubj"])
def test_truncated_files_are_refused(kind):
    from cvm._core import RawModel

    X, y = data()
    content = bytes(xgboost(X, y, rounds=2).save_raw(kind))
    for end in range(0, len(content) - 1, 97):
        with pytest.raises(CvmError):
            RawModel.import_model("xgboost", content[:end], "{}")


def test_a_model_that_scores_otherwise_is_refused():
    """The comparison with the original is a real one: another model's scores fail it."""
    X, y = data()
    ours = cvm.from_lightgbm(lightgbm(X, y))
    raw = ours._raw
    shape = len(raw.probe_columns()[0][1])
    wrong = [("churn_probability", np.full(shape, 0.5)), ("raw_score", np.zeros(shape))]
    with pytest.raises(CvmError, match="does not give the scores of lightgbm"):
        raw.certify("lightgbm 0", wrong)


def test_other_objects_are_refused():
    for function in (cvm.from_lightgbm, cvm.from_xgboost, cvm.from_catboost, cvm.from_sklearn):
        with pytest.raises(cvm.InvalidInputError, match="must be"):
            function("a model")


def test_catboost_categories_are_refused_with_the_reason():
    catboost = pytest.importorskip("catboost")
    rng = np.random.default_rng(0)
    X = rng.choice(["a", "b", "c", "d"], (600, 2)).astype(object)
    y = (X == "a").all(axis=1) | (X == "b").all(axis=1)
    given = {"iterations": 5, "verbose": 0, "allow_writing_files": False, "one_hot_max_size": 1}
    model = catboost.CatBoostClassifier(max_ctr_complexity=4, **given)
    model.fit(X, y.astype(int), cat_features=[0, 1])
    levels = {"x0": list("abcd"), "x1": list("abcd")}
    with pytest.raises(CvmError, match="hashes of categories"):
        cvm.from_catboost(model)
    with pytest.raises(CvmError, match="max_ctr_complexity=1"):
        cvm.from_catboost(model, levels=levels)
    model = catboost.CatBoostClassifier(max_ctr_complexity=1, **given)
    model.fit(X, y.astype(int), cat_features=[0, 1])
    assert cvm.from_catboost(model, levels=levels).parity_["rows"] >= 256
    with pytest.raises(cvm.InvalidInputError, match="lack 1 that the model knows"):
        cvm.from_catboost(model, levels=levels | {"x1": list("abc")})
    with pytest.raises(cvm.InvalidInputError, match="name 3 columns"):
        cvm.from_catboost(model, levels=levels | {"x2": ["a"]})
    with pytest.raises(cvm.InvalidInputError, match="whole numbers"):
        cvm.from_catboost(model, levels=levels | {"x1": [0.5]})
    strict = cvm.from_catboost(model, levels=levels, unseen="reject")
    told = strict.score_frame({"x0": ["a", "z"], "x1": ["b", "b"]})["status"]
    assert told.tolist() == ["ok", "unseen_level"]


def test_columns_are_found_by_name():
    import pandas as pd

    X, y = data()
    table = pd.DataFrame(X, columns=[f"n{i}" for i in range(6)])
    model = cvm.from_lightgbm(lightgbm(table, y))
    want = model.decision_function(table)
    shuffled = table[["n3", "n0", "n5", "n1", "n4", "n2"]].assign(extra="x")
    assert np.array_equal(model.decision_function(shuffled), want)
    with pytest.raises(cvm.InvalidInputError, match="n2"):
        model.decision_function(table.drop(columns="n2"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert model.summary().facts["parity"].endswith("lightgbm " + version("lightgbm"))


def version(name):
    from importlib import metadata

    return metadata.version(name)


def customers_and_encoders():
    from parity import _encoders, arriving, customers

    table, y = customers(gaps=False)
    return table, y, _encoders(), arriving(table)


def test_a_logistic_regression_behind_encoders_scores_to_rounding():
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import Pipeline

    table, y, encoders, rows = customers_and_encoders()
    theirs = Pipeline([("encode", encoders), ("model", LogisticRegression(max_iter=500))])
    theirs.fit(table, y)
    ours = cvm.from_sklearn(theirs)
    assert type(ours) is cvm.LogisticChurn
    assert ours.parity_["rows"] > 0
    logit = theirs.decision_function(rows)
    assert np.abs(ours.decision_function(rows) - logit).max() < 1e-10
    assert np.abs(ours.predict_proba(rows) - theirs.predict_proba(rows)).max() < 1e-11
    values, base = ours.shap_values(rows), ours.expected_value(rows)
    assert np.abs(base[0] + values.sum(axis=1) - logit).max() < 1e-10
    X, y = data(missing=0.0)
    plain = LogisticRegression().fit(X, y)
    assert (
        np.abs(cvm.from_sklearn(plain).decision_function(X) - plain.decision_function(X)).max()
        < 1e-10
    )


def test_encoders_that_are_not_understood_are_refused_by_name():
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler, PowerTransformer

    X, y = data(missing=0.0)
    for steps, why in (
        ((PowerTransformer(), RandomForestClassifier(5)), "PowerTransformer"),
        ((MinMaxScaler(clip=True), LogisticRegression()), "clip"),
    ):
        model = make_pipeline(*steps).fit(X, y)
        with pytest.raises(cvm.InvalidInputError, match=why):
            cvm.from_sklearn(model)


def test_calibrated_classifiers_that_are_not_understood_are_refused():
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import GaussianNB

    X, y = data()
    known = np.nan_to_num(X)
    with pytest.raises(CvmError, match="GaussianNB"):
        cvm.from_sklearn(CalibratedClassifierCV(GaussianNB(), cv=2).fit(known, y))
    with pytest.raises(CvmError, match="not fitted"):
        cvm.from_sklearn(CalibratedClassifierCV(GaussianNB()))
    trees = HistGradientBoostingClassifier(max_iter=3)
    three = (known[:, 0] > 0).astype(int) + (known[:, 1] > 0)
    with pytest.raises(CvmError, match="3 classes"):
        cvm.from_sklearn(CalibratedClassifierCV(trees, cv=2).fit(X, three))
    with pytest.raises(CvmError, match="sigmoid and isotonic"):
        cvm.from_sklearn(CalibratedClassifierCV(trees, method="temperature", cv=2).fit(X, y))
    linear = CalibratedClassifierCV(LogisticRegression(), cv=3).fit(known, y)
    ours = cvm.from_sklearn(linear)
    theirs = linear.predict_proba(known)[:, 1]
    assert np.abs(ours.predict_proba(known)[:, 1] - theirs).max() < 1e-12
    with pytest.raises(CvmError, match="no attributions"):
        ours.shap_values(known[:5])


def test_a_calibrated_classifier_survives_its_file(tmp_path):
    model, table, _ = CASES["sklearn"]["calibrated histogram isotonic"]()
    ours = cvm.from_sklearn(model)
    again = cvm.load(ours.save(tmp_path / "mean.cvm"))
    assert isinstance(again, cvm.churn.CalibratedMean)
    assert again.predict_proba(table).tobytes() == ours.predict_proba(table).tobytes()
    assert again.imported_["members"] == 3


def test_a_lightgbm_tree_of_one_leaf_may_have_no_count():
    """Versions before 4.6 write an empty list there."""
    X, y = data()
    text = lightgbm(X, y, rounds=1, min_data_in_leaf=len(X)).model_to_string()
    older = re.sub(r"leaf_count=.*", "leaf_count=", text)
    assert older != text
    models = [
        cvm.TreeEnsemble._of_raw(import_bytes("lightgbm", own.encode(), {}))
        for own in (text, older)
    ]
    scores, again = (model.decision_function(X) for model in models)
    assert len(set(scores)) == 1
    assert np.array_equal(scores, again)
