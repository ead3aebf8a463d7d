"""Fit BG/NBD to one million simulated customers with cvm, lifetimes and scipy, in one run.

Each fit runs in a process of its own, on the same arrays, and reports the CPU and wall time of the
fit alone (no import, no loading). Run by ``make bench``; alone: ``.venv/bin/python
benches/fit_peers.py [--customers 1000000] [--repeats 3]``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

TRUTH = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
PEERS = ("cvm", "cvm_1_thread", "lifetimes", "scipy")


def simulate(customers: int, seed: int) -> dict[str, np.ndarray]:
    """Day-granular BG/NBD customers, acquired over one year, watched for two; times in weeks."""
    rng = np.random.default_rng(seed)
    age_days = 730 - rng.integers(0, 365, customers)
    rate = rng.gamma(TRUTH["r"], 1 / TRUTH["alpha"], customers) / 7
    dropout = rng.beta(TRUTH["a"], TRUTH["b"], customers)
    frequency = np.zeros(customers)
    last_day = np.zeros(customers)
    clock = np.zeros(customers)
    active = np.arange(customers)
    while active.size:
        clock[active] += rng.exponential(1 / np.maximum(rate[active], 1e-300))
        active = active[clock[active] <= age_days[active]]
        day = np.ceil(clock[active])
        new = day > last_day[active]
        frequency[active[new]] += 1
        last_day[active] = day
        active = active[rng.random(active.size) >= dropout[active]]
    return {"frequency": frequency, "recency": last_day / 7, "T": age_days / 7}


def fit_cvm(data: dict[str, np.ndarray], threads: int = 0) -> dict[str, float]:
    """Fit with cvm, standard errors included."""
    from cvm.clv import BgNbd

    model = BgNbd(threads=threads).fit(data, time_unit="week")
    if not np.isfinite(list(model.standard_errors_.values())).all():
        sys.exit("cvm gave no standard errors")
    return dict(model.params_)


def fit_cvm_1_thread(data: dict[str, np.ndarray]) -> dict[str, float]:
    """Fit with cvm on one thread."""
    return fit_cvm(data, threads=1)


def fit_lifetimes(data: dict[str, np.ndarray]) -> dict[str, float]:
    """Fit with lifetimes' defaults."""
    from lifetimes import BetaGeoFitter

    model = BetaGeoFitter().fit(data["frequency"], data["recency"], data["T"])
    return {str(name): float(value) for name, value in model.params_.items()}


def fit_scipy(data: dict[str, np.ndarray]) -> dict[str, float]:
    """Fit with scipy's L-BFGS-B on log-parameters, analytic gradient, no merging, no errors."""
    from scipy.optimize import minimize
    from scipy.special import digamma, expit, gammaln

    x, t_x, age = data["frequency"], data["recency"], data["T"]
    repeat = x > 0

    def objective(theta: np.ndarray) -> tuple[float, np.ndarray]:
        r, alpha, a, b = np.exp(theta)
        log_end, log_last = np.log(alpha + age), np.log(alpha + t_x)
        gap = np.where(repeat, np.log(a) - np.log(np.maximum(b + x - 1, 1e-300)), -np.inf)
        gap = gap + (r + x) * (log_end - log_last)
        lapsed = np.where(repeat, expit(gap), 0.0)
        value = (
            gammaln(r + x)
            - gammaln(r)
            + r * np.log(alpha)
            - (r + x) * log_end
            + gammaln(b + x)
            - gammaln(b)
            + gammaln(a + b)
            - gammaln(a + b + x)
            + np.logaddexp(0, gap)
        )
        shared = digamma(a + b) - digamma(a + b + x)
        d_r = digamma(r + x) - digamma(r) + np.log(alpha) - log_end + lapsed * (log_end - log_last)
        d_alpha = r / alpha - (r + x) * ((1 - lapsed) / (alpha + age) + lapsed / (alpha + t_x))
        d_a = shared + lapsed / a
        d_b = shared + digamma(b + x) - digamma(b)
        d_b = d_b - np.where(repeat, lapsed / np.where(repeat, b + x - 1, 1.0), 0.0)
        gradient = np.array([d_r.mean(), d_alpha.mean(), d_a.mean(), d_b.mean()])
        return -value.mean(), -gradient * np.exp(theta)

    found = minimize(objective, np.zeros(4), jac=True, method="L-BFGS-B", tol=1e-10)
    return dict(zip(TRUTH, map(float, np.exp(found.x)), strict=True))


def worker(peer: str, data_file: str) -> None:
    """Fit twice (the first warms caches and imports) and print the second's times as JSON."""
    data = dict(np.load(data_file))
    fit = globals()[f"fit_{peer}"]
    head = {name: column[:2_000] for name, column in data.items()}
    fit(head)
    cpu, wall = process_time(), perf_counter()
    params = fit(data)
    print(json.dumps({"cpu_s": process_time() - cpu, "wall_s": perf_counter() - wall, **params}))


def main() -> None:
    """Run every peer in turn and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--worker", nargs=2, metavar=("PEER", "FILE"))
    args = parser.parse_args()
    if args.worker:
        worker(*args.worker)
        return
    with tempfile.TemporaryDirectory() as folder:
        data_file = str(Path(folder) / "customers.npz")
        data: dict[str, Any] = simulate(args.customers, seed=7)
        np.savez(data_file, **data)
        unique = len(np.unique(np.column_stack(list(data.values())), axis=0))
        print(f"{args.customers} customers, {unique} distinct rows, truth {TRUTH}")
        runs: dict[str, list[dict[str, float]]] = {peer: [] for peer in PEERS}
        for _ in range(args.repeats):
            for peer in PEERS:
                command = [sys.executable, __file__, "--worker", peer, data_file]
                out = subprocess.run(command, capture_output=True, text=True, check=False)
                if out.returncode:
                    print(f"{peer}: failed: {out.stderr.strip().splitlines()[-1:]}")
                    continue
                runs[peer].append(json.loads(out.stdout.strip().splitlines()[-1]))
    report(runs)


def report(runs: dict[str, list[dict[str, float]]]) -> None:
    """Print medians and the ratio of each peer's CPU time to cvm's."""
    base = float(np.median([run["cpu_s"] for run in runs["cvm"]]))
    print(f"{'':14}{'CPU s':>9}{'wall s':>9}{'x cvm':>8}   parameters")
    for peer, results in runs.items():
        if not results:
            continue
        cpu = float(np.median([run["cpu_s"] for run in results]))
        wall = float(np.median([run["wall_s"] for run in results]))
        params = " ".join(f"{name} {results[0][name]:.5f}" for name in TRUTH)
        print(f"{peer:14}{cpu:9.3f}{wall:9.3f}{cpu / base:8.1f}   {params}")


if __name__ == "__main__":
    main()
