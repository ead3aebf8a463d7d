"""What a process sees: the interpreter lock is released, forks work, importing is quick."""

from __future__ import annotations

import multiprocessing as mp
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import cvm
from cvm import _core


def big_table(rows):
    return {
        "frequency": np.full(rows, 3.0),
        "recency": np.full(rows, 20.0),
        "T": np.linspace(21, 90, rows),
    }


def test_other_threads_run_while_rows_are_scored(published):
    table = big_table(3_000_000)
    ticks, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            ticks[0] += 1
            time.sleep(0.001)

    thread = threading.Thread(target=count)
    thread.start()
    try:
        before = ticks[0]
        published._score_frame(table, None, None, horizon=39, threads=1)
        during = ticks[0] - before
    finally:
        stop.set()
        thread.join()
    # With the lock held for the whole call there would be one tick, or none.
    assert during > 10


def test_many_threads_score_one_model(published, rows):
    expected = published.score_frame(rows, horizon=39)["expected_purchases"].tobytes()
    results = []
    threads = [
        threading.Thread(
            target=lambda: results.extend(
                published.score_frame(rows, horizon=39)["expected_purchases"].tobytes()
                for _ in range(50)
            )
        )
        for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert set(results) == {expected}
    assert len(results) == 400


def test_scoring_and_fitting_survive_a_fork(published, cdnow, purchase):
    table = big_table(200_000)
    expected = published.predict(table, horizon=39).tobytes()
    context = mp.get_context("fork")
    results = context.Queue()

    def child():
        same = published.predict(table, horizon=39).tobytes() == expected
        again = cvm.BgNbd().fit(cdnow, time_unit="week").fingerprint_
        results.put((same, again))

    processes = [context.Process(target=child) for _ in range(2)]
    for process in processes:
        process.start()
    assert [results.get(timeout=120) for _ in processes] == [(True, purchase.fingerprint_)] * 2
    for process in processes:
        process.join(timeout=60)
        assert process.exitcode == 0


def test_results_do_not_depend_on_threads(published):
    table = big_table(100_000)
    bits = {
        published.score_frame(table, horizon=39, threads=threads)["expected_purchases"].tobytes()
        for threads in (0, 1, 2, 3, 7)
    }
    assert len(bits) == 1


def run(code):
    return subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    ).stdout


def test_importing_brings_nothing_but_numpy():
    code = "import sys, cvm; print(' '.join(sorted({m.split('.')[0] for m in sys.modules})))"
    loaded = set(run(code).split())
    assert not loaded & {"pandas", "polars", "pyarrow", "sklearn", "matplotlib", "grpc", "scipy"}


def test_importing_is_quick():
    # Processor time beyond that of numpy, about 0.1 s; best of five, because other work disturbs.
    # A frame or plotting library taken in by mistake costs several times as much.
    code = (
        "import time, numpy; start = time.process_time(); import cvm; "
        "print(time.process_time() - start)"
    )
    assert min(float(run(code)) for _ in range(5)) < 0.2


def test_it_works_without_any_frame_library():
    code = """
import sys
for name in ("pandas", "polars", "pyarrow", "sklearn", "matplotlib"):
    sys.modules[name] = None
import cvm
log = cvm.datasets.load_cdnow()
customers = cvm.summarize(log, unit="week", calibration_end="1997-09-30")
model = cvm.BgNbd().fit(customers)
print(type(log).__name__, round(model.log_likelihood_, 3))
churn = cvm.LogisticChurn(ignore=["customerID"]).fit(cvm.datasets.load_telco(), "Churn")
print(churn.classes_.tolist())
try:
    cvm.plot.plot_lift([0, 1], [0.1, 0.2])
except ImportError as error:
    print(error)
"""
    lines = run("import cvm.plot\n" + code).splitlines()
    assert lines == [
        "dict -9582.429",
        "['No', 'Yes']",
        "plots need matplotlib: pip install cvm[plot]",
    ]


def test_memory_is_given_back(published):
    resource = pytest.importorskip("resource")
    table = big_table(500_000)
    for _ in range(3):
        published.score_frame(table, horizon=39)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(30):
        published.score_frame(table, horizon=39)
    # Each call makes 8 MB of scores: thirty that leaked would be 240 MB.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000


def test_a_stream_is_released_after_use():
    import pyarrow as pa

    before = pa.total_allocated_bytes()
    for _ in range(20):
        column = pa.chunked_array([pa.array(np.arange(100_000.0))])
        raw = _core.RawColumn.from_arrow("x", column)
        assert len(raw) == 100_000
        del raw, column
    assert pa.total_allocated_bytes() - before < 2_000_000
