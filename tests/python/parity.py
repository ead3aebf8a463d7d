"""Models of other libraries on which an import must be exact: one case per trait of a library.

Each case is a function that trains and returns ``(model, rows, import keywords)``; the rows hold
what breaks importers: thresholds, missing values, zeros, infinities, denormals, unseen levels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

ROWS = 3000
CASES: dict[str, dict[str, Callable[[], tuple[Any, Any, dict[str, Any]]]]] = {}
STRANGE = np.array([np.nan, 0.0, -0.0, 5e-324, 1e-40, -1e-36, 1e-35, 0.5, -0.5, -1.0, 2.7, 31, 64])


def case(library):
    """Register a case of a library under the name of its function."""

    def register(function):
        name = function.__name__.removeprefix(f"{library}_").replace("_", " ")
        CASES.setdefault(library, {})[name] = function
        return function

    return register


def data(*, missing=0.1, rows=ROWS, columns=6, classes=2, seed=7):
    """Return training rows and labels with signal in the first columns."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(rows, columns))
    X[:, 1] = np.round(X[:, 1] * 4)
    signal = X[:, 0] + 0.5 * X[:, 1] * (X[:, 2] > 0) - X[:, 3] ** 2 + 0.3 * rng.normal(size=rows)
    y = np.digitize(signal, np.quantile(signal, np.arange(1, classes) / classes))
    X[rng.random(X.shape) < missing] = np.nan
    return X, y


def rows(X, *, infinite=True, missing=True, seed=3):
    """Return rows like ``X`` with strange values strewn in."""
    rng = np.random.default_rng(seed)
    X = X.copy()
    strange = STRANGE if missing else STRANGE[1:]
    if infinite:
        strange = np.concatenate([strange, [np.inf, -np.inf, 1e300, -1e300]])
    where = rng.random(X.shape) < 0.15
    X[where] = rng.choice(strange, where.sum())
    if not missing:
        X = np.nan_to_num(X, nan=0.25, posinf=np.inf, neginf=-np.inf)
    return X


def frame(*, seed=5, rows=ROWS, columns=6):
    """Return a table of numbers and pandas categoricals, with labels."""
    import pandas as pd

    X, y = data(rows=rows, columns=columns)
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(X, columns=[f"n{i}" for i in range(columns)])
    plan = np.array(["month", "year", "two years", "none"])
    picked = rng.integers(0, 4, rows)
    table["plan"] = pd.Categorical(plan[picked])
    city = rng.integers(0, 70, rows)
    table["city"] = pd.Categorical([f"c{i}" for i in city])
    table["zone"] = pd.Categorical(rng.choice([10, 20, 35], rows))
    y = (y + (picked == 2) + (city % 7 == 3) + rng.normal(size=rows) * 0.4 > 1).astype(int)
    table.loc[rng.random(rows) < 0.05, "plan"] = None
    return table, y


def served(table, *, unseen=True, missing=True):
    """Return a table as it may arrive: levels unseen, missing, in another order."""
    import pandas as pd

    table = table.copy()
    rng = np.random.default_rng(11)
    plans = ["two years", "month", "year", "none", *(["weekly"] if unseen else [])]
    table["plan"] = pd.Categorical(rng.choice(plans, len(table)), categories=plans)
    if missing:
        table.loc[rng.random(len(table)) < 0.1, "city"] = None
    return table


# LightGBM


def lightgbm(X, y, rounds=60, **params):
    import lightgbm as lgb

    given = {"objective": "binary", "num_leaves": 15, "verbose": -1, "seed": 1, "num_threads": 1}
    keep = {name: params.pop(name) for name in ("categorical_feature",) if name in params}
    return lgb.train(given | params, lgb.Dataset(X, y, **keep), rounds)


def _lightgbm(name, *, make=data, **params):
    def build():
        X, y = make()
        return lightgbm(X, y, **params), rows(X), {}

    build.__name__ = f"lightgbm_{name}"
    case("lightgbm")(build)


def full():
    return data(missing=0.0)


def three():
    return data(classes=3)


def sparse():
    X, y = data()
    X[np.abs(X) < 0.7] = 0.0
    return X, y


_lightgbm("plain")
_lightgbm("no_missing_in_training", make=full)
_lightgbm("use_missing_false", use_missing=False)
_lightgbm("zero_as_missing", make=sparse, zero_as_missing=True)
_lightgbm("sigmoid", sigmoid=0.5)
_lightgbm("is_unbalance", is_unbalance=True)
_lightgbm("random_forest", boosting="rf", bagging_freq=1, bagging_fraction=0.6)
_lightgbm("dart", boosting="dart")
_lightgbm("linear_tree", make=full, linear_tree=True)
_lightgbm("linear_tree_with_missing", linear_tree=True)
_lightgbm("multiclass", make=three, objective="multiclass", num_class=3)
_lightgbm("multiclassova", make=three, objective="multiclassova", num_class=3, sigmoid=0.7)
_lightgbm("cross_entropy", objective="cross_entropy")
_lightgbm("cross_entropy_lambda", objective="cross_entropy_lambda")
_lightgbm("regression", objective="regression")
_lightgbm("regression_sqrt", objective="regression", reg_sqrt=True)
_lightgbm("poisson", objective="poisson")
_lightgbm("monotone", monotone_constraints=[1, 0, 0, 0, 0, 0])
_lightgbm("deep", num_leaves=200, min_data_in_leaf=1)
_lightgbm("categories_as_numbers", make=sparse, categorical_feature=[1], max_cat_to_onehot=1)
_lightgbm("one_round_of_one_leaf", rounds=1, min_data_in_leaf=ROWS)


@case("lightgbm")
def lightgbm_pandas_categoricals():
    table, y = frame()
    model = lightgbm(table, y, min_data_per_group=5, cat_smooth=1, max_cat_to_onehot=1)
    return model, served(table), {}


@case("lightgbm")
def lightgbm_sklearn_early_stopped():
    import lightgbm as lgb

    X, y = data()
    model = lgb.LGBMClassifier(n_estimators=300, verbose=-1, n_jobs=1, learning_rate=0.3)
    stop = lgb.early_stopping(5, verbose=False)
    model.fit(X[:2000], y[:2000], eval_set=[(X[2000:], y[2000:])], callbacks=[stop])
    return model, rows(X), {}


@case("lightgbm")
def lightgbm_custom_objective():
    X, y = data()

    def logistic(score, train):
        p = 1 / (1 + np.exp(-score))
        return p - train.get_label(), p * (1 - p)

    return lightgbm(X, y, objective=logistic), rows(X), {}


# XGBoost


def xgboost(X, y, rounds=60, *, sentinel=np.nan, kinds=None, **params):
    import xgboost as xgb

    given = {"objective": "binary:logistic", "max_depth": 4, "seed": 1, "nthread": 1}
    train = xgb.DMatrix(X, y, missing=sentinel, feature_types=kinds, enable_categorical=True)
    return xgb.train(given | params, train, rounds)


def _xgboost(name, *, make=data, **params):
    def build():
        X, y = make()
        return xgboost(X, y, **params), rows(X, infinite=False), {}

    build.__name__ = f"xgboost_{name}"
    case("xgboost")(build)


_xgboost("plain")
_xgboost("no_missing_in_training", make=full)
_xgboost("base_score_given", base_score=0.1)
_xgboost("scale_pos_weight", scale_pos_weight=3)
_xgboost("random_forest", rounds=1, num_parallel_tree=40, subsample=0.6, learning_rate=1.0)
_xgboost("boosted_forests", rounds=7, num_parallel_tree=5, subsample=0.6)
_xgboost("dart", booster="dart", rate_drop=0.3)
_xgboost(
    "dart_multiclass",
    make=three,
    booster="dart",
    rate_drop=0.3,
    objective="multi:softprob",
    num_class=3,
)
_xgboost("softprob", make=three, objective="multi:softprob", num_class=3)
_xgboost("softmax", make=three, objective="multi:softmax", num_class=3)
_xgboost("logitraw", objective="binary:logitraw")
_xgboost("reg_logistic", objective="reg:logistic")
_xgboost("squarederror", objective="reg:squarederror")
_xgboost("poisson", objective="count:poisson")
_xgboost("deep_leafwise", max_depth=0, max_leaves=120, grow_policy="lossguide", tree_method="hist")
_xgboost("exact", tree_method="exact")


@case("xgboost")
def xgboost_missing_sentinel():
    X, y = data()
    X = np.nan_to_num(X, nan=-999.0)
    served_rows = rows(X, infinite=False)
    return xgboost(X, y, sentinel=-999.0), served_rows, {"missing": -999.0}


@case("xgboost")
def xgboost_early_stopped_sklearn():
    from xgboost import XGBClassifier

    X, y = data()
    model = XGBClassifier(n_estimators=300, early_stopping_rounds=5, learning_rate=0.4, n_jobs=1)
    model.fit(X[:2000], y[:2000], eval_set=[(X[2000:], y[2000:])], verbose=False)
    return model, rows(X, infinite=False), {}


@case("xgboost")
def xgboost_one_round_of_several():
    X, y = data()
    return xgboost(X, y), rows(X, infinite=False), {"iterations": 1}


@case("xgboost")
def xgboost_categories_one_hot():
    table, y = frame()
    return xgboost(table, y, max_cat_to_onehot=100), served(table, unseen=False), {}


@case("xgboost")
def xgboost_categories_partition():
    table, y = frame()
    model = xgboost(table, y, max_cat_to_onehot=1, max_depth=6)
    return model, served(table, unseen=False), {}


@case("xgboost")
def xgboost_categories_as_numbers():
    X, y = data()
    rng = np.random.default_rng(2)
    X[:, 2] = rng.integers(0, 40, len(X))
    y = (y + (X[:, 2] % 3 == 1) > 1).astype(int)
    kinds = ["q", "q", "c", "q", "q", "q"]
    model = xgboost(X, y, kinds=kinds, max_cat_to_onehot=1)
    served_rows = rows(X, infinite=False)
    served_rows[:, 2] = rng.choice([0, 1, 2.0, 39, 40, 63, 64, np.nan, 12, 13], len(X))
    return model, served_rows, {}


# CatBoost


def catboost(X, y, *, regressor=False, **params):
    import catboost as cb

    given = {"iterations": 60, "depth": 5, "verbose": 0, "thread_count": 1, "random_seed": 1}
    cls = cb.CatBoostRegressor if regressor else cb.CatBoostClassifier
    return cls(allow_writing_files=False, **(given | params)).fit(X, y)


def _catboost(name, *, make=data, **params):
    def build():
        X, y = make()
        return catboost(X, y, **params), rows(X), {}

    build.__name__ = f"catboost_{name}"
    case("catboost")(build)


_catboost("plain")
_catboost("no_missing_in_training", make=full)
_catboost("nan_mode_max", nan_mode="Max")
_catboost("multiclass", make=three, loss_function="MultiClass")
_catboost("one_against_all", make=three, loss_function="MultiClassOneVsAll")
_catboost("boost_from_average", boost_from_average=True)
_catboost("regression", regressor=True)
_catboost("depthwise", grow_policy="Depthwise")
_catboost("lossguide", grow_policy="Lossguide")
_catboost("many_borders", border_count=1000, depth=8)


def levelled(classes=2):
    """Return numbers beside words and whole numbers as categories, labels, and rows to score."""
    import pandas as pd

    X, y = data(classes=classes)
    rng = np.random.default_rng(6)
    city = rng.integers(0, 60, ROWS)
    own = {
        "plan": rng.choice(
            ["m", "yr", "two years", "année", "until further notice, or death"], ROWS
        ),
        "city": np.array([f"city of the number {i}" * (1 + i % 4) for i in city], dtype=object),
        "zone": rng.integers(-2, 9, ROWS),
    }
    y = y + (own["plan"] == "m") * (city % 7 == 3) * (classes == 2)
    table = pd.DataFrame({"n0": X[:, 0], **own, "n1": X[:, 1], "n2": X[:, 2]})
    strange = rows(X)
    served = table.assign(n0=strange[:, 0], n1=strange[:, 1], n2=strange[:, 2])
    strangers = rng.random((ROWS, 3)) < 0.05
    served.loc[strangers[:, 0], "plan"] = "weekly"
    served.loc[strangers[:, 1], "city"] = ""
    served.loc[strangers[:, 2], "zone"] = 1_000_000
    return table, np.minimum(y, classes - 1).astype(int), served


def _catboost_levels(name, *, classes=2, regressor=False, **params):
    def build():
        table, y, served = levelled(classes)
        words = ["plan", "city", "zone"]
        given = {"cat_features": words, "max_ctr_complexity": 1, "regressor": regressor}
        target = y + table["n0"].fillna(0) if regressor else y
        model = catboost(table, target, **(given | params))
        return model, served, {"levels": {word: table[word].unique() for word in words}}

    build.__name__ = f"catboost_{name}"
    case("catboost")(build)


_EVERY = ["Borders", "Buckets:Prior=0.3", "BinarizedTargetMeanValue", "Counter"]
_catboost_levels("one_hot_levels", one_hot_max_size=100)
_catboost_levels("statistics_of_levels")
_catboost_levels("every_statistic", simple_ctr=_EVERY)
_catboost_levels("statistics_of_three_classes", classes=3, simple_ctr=_EVERY[:3])
_catboost_levels("statistics_depthwise", grow_policy="Depthwise", one_hot_max_size=6)
_catboost_levels("statistics_of_a_value", regressor=True)


# scikit-learn


def _sklearn(name, build_model, *, make=data, infinite=False, missing=True):
    def build():
        X, y = make()
        return build_model().fit(X, y), rows(X, infinite=infinite, missing=missing), {}

    build.__name__ = f"sklearn_{name}"
    case("sklearn")(build)


def _estimator(name, **params):
    def build():
        from sklearn import ensemble, tree

        cls = getattr(ensemble, name, None) or getattr(tree, name)
        return cls(random_state=0, **params)

    return build


_sklearn("histogram", _estimator("HistGradientBoostingClassifier", max_iter=60), infinite=True)
_sklearn(
    "histogram_no_missing", _estimator("HistGradientBoostingClassifier"), make=full, infinite=True
)
_sklearn("histogram_three", _estimator("HistGradientBoostingClassifier", max_iter=20), make=three)
_sklearn("histogram_regression", _estimator("HistGradientBoostingRegressor"), infinite=True)
_sklearn("random_forest", _estimator("RandomForestClassifier", n_estimators=40))
_sklearn(
    "random_forest_no_missing", _estimator("RandomForestClassifier", n_estimators=40), make=full
)
_sklearn("random_forest_three", _estimator("RandomForestClassifier", n_estimators=20), make=three)
_sklearn("random_forest_regression", _estimator("RandomForestRegressor", n_estimators=20))
_sklearn("extra_trees", _estimator("ExtraTreesClassifier", n_estimators=40), make=full)
_sklearn("gradient_boosting", _estimator("GradientBoostingClassifier"), make=full, missing=False)
_sklearn(
    "gradient_boosting_exponential",
    _estimator("GradientBoostingClassifier", loss="exponential"),
    make=full,
    missing=False,
)
_sklearn(
    "gradient_boosting_three",
    _estimator("GradientBoostingClassifier", n_estimators=20),
    make=lambda: data(classes=3, missing=0.0),
    missing=False,
)
_sklearn(
    "gradient_boosting_regression",
    _estimator("GradientBoostingRegressor"),
    make=full,
    missing=False,
)
_sklearn("decision_tree", _estimator("DecisionTreeClassifier"))


@case("sklearn")
def sklearn_histogram_pandas_categoricals():
    from sklearn.ensemble import HistGradientBoostingClassifier

    table, y = frame()
    model = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=60)
    return model.fit(table, y), served(table), {}


# scikit-learn: encoders in front of trees


def customers(*, gaps=True, rows=ROWS):
    """Return a table of numbers and words, with labels; some cells are missing."""
    import pandas as pd

    X, y = data(rows=rows, columns=4, missing=0.1 if gaps else 0.0)
    rng = np.random.default_rng(2)
    table = pd.DataFrame(X, columns=["fee", "calls", "tenure", "age"])
    plan = rng.choice(["month", "year", "two years"], rows)
    table["plan"] = pd.Series(plan, dtype=object)
    table["zone"] = rng.choice([10.0, 20.0, 35.0], rows)
    table["comment"] = "not an input"
    y = y + (plan == "month") + rng.normal(size=rows) * 0.4 > 1
    if gaps:
        table.loc[rng.random(rows) < 0.08, "plan"] = np.nan
    return table, y.astype(int)


def arriving(table, *, unseen=True):
    """Return a table as it may arrive."""
    table = table.copy()
    rng = np.random.default_rng(4)
    for name in ("fee", "calls", "tenure", "age"):
        where = rng.random(len(table)) < 0.1
        strange = [0.0, -0.0, 5e-324, 0.5, -1.0, 2.7, 64.0]
        table.loc[where, name] = rng.choice(strange, where.sum())
    if unseen:
        table.loc[rng.random(len(table)) < 0.1, "plan"] = "weekly"
        table.loc[rng.random(len(table)) < 0.1, "zone"] = 99.0
    return table


def _encoders(**one_hot):
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import MinMaxScaler, OneHotEncoder, OrdinalEncoder, StandardScaler

    numbers = Pipeline([("fill", SimpleImputer(strategy="median")), ("scale", StandardScaler())])
    known = {"handle_unknown": "use_encoded_value", "unknown_value": -1}
    return ColumnTransformer(
        [
            ("numbers", numbers, ["fee", "calls"]),
            ("plan", OneHotEncoder(**({"handle_unknown": "ignore"} | one_hot)), ["plan"]),
            ("zone", OrdinalEncoder(**known), ["zone"]),
            ("range", Pipeline([("fill", SimpleImputer()), ("scale", MinMaxScaler())]), ["age"]),
            ("tenure", SimpleImputer(strategy="constant", fill_value=-3.0), ["tenure"]),
        ]
    )


def _pipeline(name, estimator, *, gaps=True, unseen=True, encoders=_encoders, **one_hot):
    def build():
        from sklearn.pipeline import Pipeline

        table, y = customers(gaps=gaps)
        model = Pipeline([("encode", encoders(**one_hot)), ("trees", _estimator(*estimator)())])
        return model.fit(table, y), arriving(table, unseen=unseen), {}

    build.__name__ = f"sklearn_{name}"
    case("sklearn")(build)


_pipeline("pipeline_of_a_forest", ("RandomForestClassifier",), gaps=False)
_pipeline("pipeline_of_boosting", ("HistGradientBoostingClassifier",), gaps=False)
_pipeline(
    "pipeline_of_boosting_drop_first", ("GradientBoostingClassifier",), gaps=False, drop="first"
)


@case("sklearn")
def sklearn_pipeline_fills_words_and_scales_everything():
    from sklearn.compose import ColumnTransformer
    from sklearn.ensemble import ExtraTreesClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    table, y = customers()
    words = Pipeline(
        [
            ("fill", SimpleImputer(strategy="most_frequent")),
            ("one", OneHotEncoder(handle_unknown="ignore", sparse_output=False)),
        ]
    )
    encoders = ColumnTransformer(
        [
            ("words", words, ["plan"]),
            ("numbers", SimpleImputer(strategy="mean"), ["fee", "tenure", "calls"]),
        ],
    )
    steps = [
        ("encode", encoders),
        ("scale", StandardScaler()),
        ("trees", ExtraTreesClassifier(30, random_state=0)),
    ]
    # A gap is filled with a level and an unseen level is none: such rows are refused.
    return Pipeline(steps).fit(table, y), arriving(table, unseen=False), {}


@case("sklearn")
def sklearn_pipeline_of_a_matrix():
    from sklearn.ensemble import GradientBoostingClassifier
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import MinMaxScaler

    X, y = data()
    model = make_pipeline(SimpleImputer(), MinMaxScaler(clip=True), GradientBoostingClassifier())
    return model.fit(X, y), rows(X, infinite=False), {}


# Calibrated classifiers: a mean of members, each with a sigmoid or an isotonic curve.


def _calibrated(name, build_model, *, method, ensemble=True, infinite=False, missing=True):
    def build():
        from sklearn.calibration import CalibratedClassifierCV

        X, y = data() if missing else full()
        model = CalibratedClassifierCV(build_model(), method=method, cv=3, ensemble=ensemble)
        return model.fit(X, y), rows(X, infinite=infinite, missing=missing), {}

    build.__name__ = f"sklearn_calibrated_{name}"
    case("sklearn")(build)


_boosting = _estimator("HistGradientBoostingClassifier", max_iter=20)
_forest = _estimator("RandomForestClassifier", n_estimators=20)
_calibrated("histogram_sigmoid", _boosting, method="sigmoid", infinite=True)
_calibrated("histogram_isotonic", _boosting, method="isotonic", infinite=True)
_calibrated("histogram_sigmoid_one", _boosting, method="sigmoid", ensemble=False, infinite=True)
_calibrated("histogram_isotonic_one", _boosting, method="isotonic", ensemble=False, infinite=True)
_calibrated("forest_sigmoid", _forest, method="sigmoid")
_calibrated("forest_isotonic", _forest, method="isotonic")
_calibrated("forest_isotonic_one", _forest, method="isotonic", ensemble=False)
_calibrated(
    "gradient_boosting_isotonic",
    _estimator("GradientBoostingClassifier", n_estimators=20),
    method="isotonic",
    missing=False,
)


@case("sklearn")
def sklearn_calibrated_prefit():
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.frozen import FrozenEstimator

    X, y = data()
    model = CalibratedClassifierCV(FrozenEstimator(_boosting().fit(X, y)), method="isotonic")
    return model.fit(X, y), rows(X, infinite=True), {}


@case("sklearn")
def sklearn_calibrated_pipelines():
    from sklearn.calibration import CalibratedClassifierCV
    from sklearn.pipeline import Pipeline

    table, y = customers(gaps=False)
    steps = Pipeline([("encode", _encoders()), ("trees", _forest())])
    model = CalibratedClassifierCV(steps, method="sigmoid", cv=3)
    return model.fit(table, y), arriving(table), {}


# InterpretML


def _ebm(name, *, make=data, strange=rows, regressor=False, **params):
    def build():
        from interpret import glassbox

        X, y = make()
        given = {"outer_bags": 2, "max_rounds": 120, "n_jobs": 1, "random_state": 1}
        kind = "ExplainableBoostingRegressor" if regressor else "ExplainableBoostingClassifier"
        return getattr(glassbox, kind)(**(given | params)).fit(X, y), strange(X), {}

    build.__name__ = f"ebm_{name}"
    case("ebm")(build)


def words():
    table, y = customers()
    return table.drop(columns="comment"), y


_ebm("terms_alone", interactions=0)
_ebm("pairs", interactions=3)
_ebm("no_missing_in_training", make=full, interactions=1)
_ebm("three", make=three, interactions=0)
_ebm("regression", regressor=True, interactions=1)
_ebm(
    "categories",
    make=words,
    strange=lambda table: arriving(table, unseen=False),
    interactions=2,
    feature_types=[*["continuous"] * 4, "nominal", "nominal"],
)
