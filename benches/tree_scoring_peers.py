"""Scoring of trees beside the libraries that do it: CPU time a row, one thread, called from Python.

    python benches/tree_scoring_peers.py [--batches 1,100] [--families NAME ...] [--peers NAME ...]

One model of each library (500 trees of 64 leaves over 50 fields) is scored by that library, by the
runtimes that read its file, and here: the same numbers on both sides (``TreeEnsemble`` is equal in
every bit or refused; the largest difference of the others is printed). For each batch all are
measured in turns, as the median of several repetitions of process CPU time, so that ratios hold on
a busy machine. A peer that is not installed, or cannot score the model, is named with the reason.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

import cvm

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    Matrix = NDArray[Any]
    Predict = Callable[[Matrix], Any]

TREES, LEAVES, DEPTH, FIELDS, TRAIN, MISSING = 500, 64, 6, 50, 12_000, 0.05
BATCHES = (1, 100, 10_000, 1_000_000)
REPEATS = 7
FEW_REPEATS, MANY_ROWS = 3, 100_000
PATIENCE_S = 60.0
MICRO = 1e6


class Peer(NamedTuple):
    """Something that scores a model."""

    name: str
    predict: Predict
    width: Any = np.float64


class Family(NamedTuple):
    """A model of one library and everyone who scores it; the first is ours."""

    name: str
    peers: list[Peer]


def data(rows: int = TRAIN) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return rows with 5 % missing and labels that some of them explain."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(rows, FIELDS))
    X[rng.random(X.shape) < MISSING] = np.nan
    known = np.nan_to_num(X)
    signal = known[:, :10] @ rng.normal(size=10) + known[:, 0] * known[:, 1]
    return X, (signal + 2 * rng.normal(size=rows) > 1).astype(np.int64)


def cpu(function: Callable[[], Any], rows: int) -> float:
    """Return microseconds of CPU a row."""
    calls = max(1, 200 // rows)
    started = time.process_time()
    for _ in range(calls):
        function()
    return (time.process_time() - started) / calls / rows * MICRO


def beside(name: str, ours: Callable[[], Any], theirs: Callable[[], Any], rows: int) -> None:
    """Measure both in turns and print medians."""
    pairs = [(cpu(ours, rows), cpu(theirs, rows)) for _ in range(REPEATS)]
    own, other = (statistics.median(column) for column in zip(*pairs, strict=True))
    print(f"{name:44} {own:10.2f} {other:10.2f} {other / own:8.1f}x")


def ours(model: cvm.TreeEnsemble) -> Peer:
    """Return raw scores by this package on one thread."""
    names = model.feature_names_in_.tolist()
    return Peer("cvm", partial(model.decision_function, columns=names, threads=1))


def skipped(peer: str, reason: object) -> None:
    """Say why a peer is not there."""
    text = " ".join(str(reason).split())[:150]
    print(f"  skipped: {peer}: {text}", flush=True)


def add(peers: list[Peer], name: str, make: Callable[[], Peer]) -> None:
    """Add a peer, or say why not."""
    try:
        peers.append(make())
    except Exception as reason:  # noqa: BLE001 - whatever a peer dies of is a reason to print
        skipped(name, f"{type(reason).__name__}: {reason}")


# Runtimes of other people's models.


def onnx_of(convert: Callable[[Any], Any]) -> Peer:
    """Return ONNX Runtime on a converted model."""
    import onnxruntime as ort
    from onnxmltools.convert.common.data_types import FloatTensorType

    document = convert([("input", FloatTensorType([None, FIELDS]))])
    options = ort.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = ort.InferenceSession(document.SerializeToString(), options)
    # Probabilities: this converter has no raw score of a classifier.
    output = session.get_outputs()[-1].name

    def predict(rows: Matrix) -> Any:
        return session.run([output], {"input": rows})[0]

    return Peer("onnxruntime", predict, np.float32)


def treelite_of(model: Any, width: Any) -> Peer:
    """Return treelite's interpreter."""
    import treelite

    def predict(rows: Matrix) -> Any:
        return treelite.gtil.predict(model, rows, nthread=1, pred_margin=True)

    return Peer("treelite gtil", predict, width)


def compiled_of(model: Any, folder: Path, width: Any) -> Peer:
    """Return the C code of tl2cgen, compiled."""
    import tl2cgen

    library = str(folder / "model.so")
    tl2cgen.export_lib(
        model, toolchain="gcc", libpath=library, params={"parallel_comp": 8}, verbose=False
    )
    predictor = tl2cgen.Predictor(library, nthread=1)

    def predict(rows: Matrix) -> Any:
        return predictor.predict(tl2cgen.DMatrix(rows), pred_margin=True)

    return Peer("tl2cgen (compiled)", predict, width)


def lleaves_of(path: Path) -> Peer:
    """Return lleaves, compiled by LLVM."""
    import lleaves

    model = lleaves.Model(model_file=str(path))
    model.compile()

    def predict(rows: Matrix) -> Any:
        return model.predict(rows, n_jobs=1)

    return Peer("lleaves (compiled)", predict)


# The models.


def lightgbm_family(folder: Path, wanted: set[str]) -> Family:
    """Return a LightGBM model and who scores it."""
    import lightgbm as lgb

    X, y = data()
    params = {"objective": "binary", "num_leaves": LEAVES, "verbose": -1, "num_threads": 1}
    booster = lgb.train(params, lgb.Dataset(X, y), TREES)
    path = folder / "lightgbm.txt"
    booster.save_model(path)
    peers = [ours(cvm.from_lightgbm(booster))]
    own = partial(booster.predict, raw_score=True, num_threads=1)
    peers.append(Peer("LightGBM", own))

    def converted(types: Any) -> Any:
        from onnxmltools import convert_lightgbm

        return convert_lightgbm(booster, initial_types=types, zipmap=False)

    def read() -> Any:
        import treelite

        return treelite.frontend.load_lightgbm_model(path)

    choices: dict[str, Callable[[], Peer]] = {
        "onnxruntime": lambda: onnx_of(converted),
        "treelite": lambda: treelite_of(read(), np.float64),
        "tl2cgen": lambda: compiled_of(read(), folder, np.float64),
        "lleaves": lambda: lleaves_of(path),
    }
    for name, make in choices.items():
        if not wanted or name in wanted:
            add(peers, name, make)
    return Family(f"LightGBM, {TREES} trees of {LEAVES} leaves", peers)


def xgboost_family(_folder: Path, wanted: set[str]) -> Family:
    """Return an XGBoost model and who scores it."""
    import xgboost as xgb

    X, y = data()
    params = {"objective": "binary:logistic", "max_depth": DEPTH, "nthread": 1}
    booster = xgb.train(params, xgb.DMatrix(X, y), TREES)
    peers = [ours(cvm.from_xgboost(booster))]

    def own(rows: Matrix) -> Any:
        return booster.inplace_predict(rows, predict_type="margin")

    peers.append(Peer("XGBoost", own, np.float32))

    def converted(types: Any) -> Any:
        from onnxmltools import convert_xgboost

        return convert_xgboost(booster, initial_types=types)

    def read() -> Any:
        import treelite

        return treelite.frontend.from_xgboost(booster)

    choices: dict[str, Callable[[], Peer]] = {
        "onnxruntime": lambda: onnx_of(converted),
        "treelite": lambda: treelite_of(read(), np.float32),
    }
    for name, make in choices.items():
        if not wanted or name in wanted:
            add(peers, name, make)
    return Family(f"XGBoost, {TREES} trees of depth {DEPTH}", peers)


def catboost_family(_folder: Path, _wanted: set[str]) -> Family:
    """Return a CatBoost model and who scores it."""
    import catboost as cb

    X, y = data()
    model = cb.CatBoostClassifier(
        iterations=TREES, depth=DEPTH, verbose=0, thread_count=1, allow_writing_files=False
    ).fit(X, y)
    own = partial(model.predict, prediction_type="RawFormulaVal", thread_count=1)
    peers = [ours(cvm.from_catboost(model)), Peer("CatBoost", own, np.float32)]
    return Family(f"CatBoost, {TREES} oblivious trees of depth {DEPTH}", peers)


def sklearn_family(_folder: Path, _wanted: set[str]) -> Family:
    """Return a histogram boosting of scikit-learn and who scores it."""
    from sklearn.ensemble import HistGradientBoostingClassifier

    X, y = data()
    settings: dict[str, Any] = {"early_stopping": False, "random_state": 0}
    model = HistGradientBoostingClassifier(max_iter=TREES, max_leaf_nodes=LEAVES, **settings)
    model.fit(X, y)
    peers = [
        ours(cast("cvm.TreeEnsemble", cvm.from_sklearn(model))),
        Peer("scikit-learn", model.decision_function),
    ]
    return Family(f"HistGradientBoosting, {TREES} trees of {LEAVES} leaves", peers)


def own_family(_folder: Path, _wanted: set[str]) -> Family:
    """Return our own trees beside perpetual's, each as trained by itself: no file is shared."""
    X, y = data()
    names = [f"x{i}" for i in range(FIELDS)]
    table = {name: X[:, i] for i, name in enumerate(names)}
    model = cvm.BoostedChurn(rounds=TREES, threads=1).fit(table, y, progress=False)

    def predict(rows: Matrix) -> Any:
        table = model.score_frame(rows, outputs=["logit"], columns=names, threads=1)
        return table["logit"]

    peers = [Peer(f"cvm BoostedChurn ({model.n_trees_} trees)", predict)]

    def perpetual() -> Peer:
        from perpetual import PerpetualBooster

        booster = PerpetualBooster(objective="LogLoss", budget=0.5, num_threads=1)
        booster.fit(X, y.astype(float))
        return Peer(f"perpetual ({booster.number_of_trees} trees)", booster.predict_log_proba)

    add(peers, "perpetual", perpetual)
    return Family("models of their own", peers)


FAMILIES: dict[str, Callable[[Path, set[str]], Family]] = {
    "lightgbm": lightgbm_family,
    "xgboost": xgboost_family,
    "catboost": catboost_family,
    "sklearn": sklearn_family,
    "own": own_family,
}


def works(peer: Peer) -> Exception | None:
    """Return what a peer dies of on one row, if it does."""
    try:
        peer.predict(np.ascontiguousarray(data(2)[0][:1], dtype=peer.width))
    except Exception as reason:  # noqa: BLE001 - whatever a peer dies of is a reason to print
        return reason
    return None


def measure(family: Family, batches: list[int]) -> None:
    """Print a line for each batch: everybody's CPU time a row, and how many times ours."""
    print(f"\n{family.name}")
    peers = []
    for peer in family.peers:
        reason = works(peer)
        if reason is None:
            peers.append(peer)
        else:
            skipped(peer.name, reason)
    last: dict[str, float] = {}
    for rows in batches:
        # Beyond that rows repeat: what they are made of takes longer than to score them.
        X = np.resize(data(min(rows, MANY_ROWS))[0], (rows, FIELDS))
        inputs = {width: np.ascontiguousarray(X, width) for width in {p.width for p in peers}}
        now = [peer for peer in peers if last.get(peer.name, 0.0) * rows / MICRO < PATIENCE_S]
        for peer in (peer for peer in peers if peer not in now):
            skipped(f"{peer.name}, {rows} rows", f"{last[peer.name]:.0f} µs a row takes too long")
        found: dict[str, list[float]] = {peer.name: [] for peer in now}
        for _ in range(REPEATS if rows <= MANY_ROWS else FEW_REPEATS):
            for peer in now:
                call = partial(peer.predict, inputs[peer.width])
                found[peer.name].append(cpu(call, rows))
        medians = {name: statistics.median(times) for name, times in found.items()}
        last |= medians
        base = medians[peers[0].name]
        others = [f"{n} {t:.2f} ({t / base:.1f}x)" for n, t in medians.items()]
        print(f"{rows:>9} rows: " + "; ".join(others), flush=True)


def main() -> None:
    """Train one model of each library, then measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--batches", default=",".join(str(rows) for rows in BATCHES))
    parser.add_argument("--families", nargs="*", default=list(FAMILIES), choices=list(FAMILIES))
    parser.add_argument("--peers", nargs="*", default=[], help="runtimes to try; all by default")
    asked = parser.parse_args()
    batches = [int(rows) for rows in asked.batches.split(",")]
    print(f"{FIELDS} fields, 5 % missing; microseconds of CPU a row, one thread, medians")
    for name in asked.families:
        with tempfile.TemporaryDirectory() as folder:
            try:
                family = FAMILIES[name](Path(folder), set(asked.peers))
            except ImportError as reason:
                skipped(name, reason)
                continue
            measure(family, batches)


if __name__ == "__main__":
    main()
