"""Lifetime-value models beside lifetimes, scipy and PyMC-Marketing: fits, forecasts, growth.

Every measurement runs in a process of its own, on the same arrays, and reports the CPU time of the
call alone (no import, no loading), after a warm-up on 2 000 rows. Run by ``make bench``; alone:
``.venv/bin/python benches/clv_peers.py [--quick] [--repeats 3]``. A peer that is not installed, or
needs more than ``--patience`` seconds, is told as such.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter, process_time
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

    Data = dict[str, np.ndarray]

BG_TRUTH = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
PARETO_TRUTH = {"r": 0.553, "alpha": 10.578, "s": 0.606, "beta": 11.669}
HORIZON = 39.0


def simulate(model: str, customers: int, seed: int) -> Data:
    """Day-granular customers, acquired over one year, watched for two; times in weeks."""
    rng = np.random.default_rng(seed)
    age_days = 730.0 - rng.integers(0, 365, customers)
    if model == "bg_nbd":
        p = BG_TRUTH
        leave = rng.beta(p["a"], p["b"], customers)
        gone_days = np.full(customers, np.inf)
    else:
        p = PARETO_TRUTH
        leave = np.zeros(customers)
        death = rng.gamma(p["s"], 1 / p["beta"], customers)
        gone_days = rng.exponential(1.0, customers) / np.maximum(death, 1e-300) * 7
    rate = rng.gamma(p["r"], 1 / p["alpha"], customers) / 7
    end = np.minimum(age_days, gone_days)
    frequency, last_day, clock = (np.zeros(customers) for _ in range(3))
    active = np.arange(customers)
    while active.size:
        clock[active] += rng.exponential(1 / np.maximum(rate[active], 1e-300))
        active = active[clock[active] <= end[active]]
        day = np.ceil(clock[active])
        new = day > last_day[active]
        frequency[active[new]] += 1
        last_day[active] = np.minimum(day, age_days[active])
        active = active[rng.random(active.size) >= leave[active]]
    return {"frequency": frequency, "recency": last_day / 7, "T": age_days / 7}


def cvm_model(model: str, threads: int = 1) -> Any:
    """Return an unfitted model of cvm."""
    from cvm import clv

    return {"bg_nbd": clv.BgNbd, "pareto_nbd": clv.ParetoNbd}[model](threads=threads)


def fit_cvm(model: str, data: Data, threads: int = 1) -> dict[str, float]:
    """Fit with cvm, standard errors included."""
    fitted = cvm_model(model, threads).fit(data, time_unit="week")
    if not np.isfinite(list(fitted.standard_errors_.values())).all():
        sys.exit("cvm gave no standard errors")
    return dict(fitted.params_)


def fit_cvm_2_threads(model: str, data: Data) -> dict[str, float]:
    """Fit with cvm on two threads."""
    return fit_cvm(model, data, threads=2)


def lifetimes_model(model: str) -> Any:
    """Return an unfitted model of lifetimes, its defaults."""
    import lifetimes

    fitter = {"bg_nbd": lifetimes.BetaGeoFitter, "pareto_nbd": lifetimes.ParetoNBDFitter}
    return fitter[model]()


def fit_lifetimes(model: str, data: Data) -> dict[str, float]:
    """Fit with lifetimes' defaults (no standard errors for Pareto/NBD)."""
    fitted = lifetimes_model(model).fit(data["frequency"], data["recency"], data["T"])
    return {str(name): float(value) for name, value in fitted.params_.items()}


def fit_pymc_marketing(model: str, data: Data) -> dict[str, float]:
    """Find PyMC-Marketing's MAP under flat priors, warm; no standard errors."""
    import pandas as pd
    from pymc_extras.prior import Prior
    from pymc_marketing import clv

    table = pd.DataFrame({"customer_id": np.arange(len(data["T"])), **data})
    names = {"bg_nbd": ("r", "alpha", "a", "b"), "pareto_nbd": ("r", "alpha", "s", "beta")}
    config = {name: Prior("HalfFlat") for name in names[model]}
    kind = {"bg_nbd": clv.BetaGeoModel, "pareto_nbd": clv.ParetoNBDModel}[model]
    fitted = kind(data=table, model_config=config)
    fitted.fit(method="map", progressbar=False)
    posterior = fitted.fit_result
    return {name: float(posterior[name].mean()) for name in names[model]}


def fit_scipy(model: str, data: Data) -> dict[str, float]:
    """Fit BG/NBD with scipy's L-BFGS-B, analytic gradient, no merging, no errors."""
    from scipy.optimize import minimize
    from scipy.special import digamma, expit, gammaln

    if model != "bg_nbd":
        sys.exit("only for BG/NBD")

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
    return dict(zip(BG_TRUTH, map(float, np.exp(found.x)), strict=True))


def known(model: str) -> dict[str, float]:
    """Return the parameters forecasts are made with."""
    return BG_TRUTH if model == "bg_nbd" else PARETO_TRUTH


def predict_cvm(model: str, what: str, data: Data) -> Callable[[], Any]:
    """Forecast with cvm; the CPU time is that of all threads."""
    fitted: Any = type(cvm_model(model)).from_params(known(model))

    def forecast() -> Any:
        if what == "p_alive":
            return fitted.p_alive(data)
        return fitted.expected_purchases(data, horizon=HORIZON)

    return forecast


def predict_lifetimes(model: str, what: str, data: Data) -> Callable[[], Any]:
    """Forecast with lifetimes."""
    import pandas as pd

    fitted = lifetimes_model(model)
    fitted.params_ = pd.Series(known(model))
    row = (data["frequency"], data["recency"], data["T"])
    if what == "p_alive":
        return lambda: fitted.conditional_probability_alive(*row)
    name = "conditional_expected_number_of_purchases_up_to_time"
    return lambda: getattr(fitted, name)(HORIZON, *row)


def measure(task: str, peer: str, model: str, data: Data) -> dict[str, Any]:
    """Do one task twice, the first on few rows, and time the second."""
    head = {name: column[:2_000] for name, column in data.items()}
    if task == "fit":
        work = globals()[f"fit_{peer}"]
        work(model, head)
        cpu, wall = process_time(), perf_counter()
        params = work(model, data)
        return {"cpu_s": process_time() - cpu, "wall_s": perf_counter() - wall, "params": params}
    make = globals()[f"predict_{peer}"]
    make(model, task, head)()
    call = make(model, task, data)
    call()
    cpu, wall = process_time(), perf_counter()
    call()
    return {"cpu_s": process_time() - cpu, "wall_s": perf_counter() - wall}


def run(arguments: list[str], patience: float) -> dict[str, Any] | str:
    """Measure in a process of its own; a sentence where that fails."""
    command = [sys.executable, __file__, "--worker", *arguments]
    try:
        out = subprocess.run(command, capture_output=True, text=True, check=False, timeout=patience)
    except subprocess.TimeoutExpired:
        return f"gave up after {patience:.0f} s"
    if out.returncode:
        return f"failed: {(out.stderr.strip().splitlines() or ['no message'])[-1][:90]}"
    return json.loads(out.stdout.strip().splitlines()[-1])


def medians(
    task: str, peers: list[str], model: str, file: str, args: argparse.Namespace
) -> dict[str, dict[str, Any] | str]:
    """Run every peer in turn, ``repeats`` times, and return the runs of median CPU time."""
    runs: dict[str, list[dict[str, Any]]] = {peer: [] for peer in peers}
    failed: dict[str, str] = {}
    for _ in range(args.repeats):
        for peer in peers:
            if peer in failed:
                continue
            found = run([task, peer, model, file], args.patience)
            if isinstance(found, str):
                failed[peer] = found
            else:
                runs[peer].append(found)
    middle = {
        peer: sorted(own, key=lambda r: r["cpu_s"])[len(own) // 2]
        for peer, own in runs.items()
        if own
    }
    return {peer: middle.get(peer, failed.get(peer, "not run")) for peer in peers}


def show_fits(model: str, customers: int, folder: str, args: argparse.Namespace) -> None:
    """Print CPU seconds of fits and each peer's multiple of cvm's."""
    file = save(model, customers, folder)
    peers = ["cvm", "cvm_2_threads", "lifetimes", "pymc_marketing"]
    peers += ["scipy"] if model == "bg_nbd" else []
    found = medians("fit", peers, model, file, args)
    print(f"\nfit {model}, {customers} customers: CPU s, wall s, x cvm, parameters")
    base = found["cvm"]
    for peer, result in found.items():
        if isinstance(result, str) or isinstance(base, str):
            print(f"  {peer:16}{result}")
            continue
        params = " ".join(f"{name} {value:.5f}" for name, value in result["params"].items())
        ratio = result["cpu_s"] / base["cpu_s"]
        print(f"  {peer:16}{result['cpu_s']:9.3f}{result['wall_s']:9.3f}{ratio:9.1f}   {params}")


def show_forecasts(model: str, customers: int, folder: str, args: argparse.Namespace) -> None:
    """Print rows per CPU second and how far that is from copying the columns."""
    file = save(model, customers, folder)
    copied = np.zeros((4, customers))
    target = np.empty_like(copied)
    target[:] = copied
    cpu = process_time()
    for _ in range(5):
        target[:] = copied
    copy_rows = 5 * customers / (process_time() - cpu)
    for task in ("p_alive", "expected_purchases"):
        found = medians(task, ["cvm", "lifetimes"], model, file, args)
        print(f"\n{task} of {model}, {customers} rows: M rows per CPU s, cvm's multiple")
        base = found["cvm"]
        for peer, result in found.items():
            if isinstance(result, str) or isinstance(base, str):
                print(f"  {peer:16}{result}")
                continue
            ratio = result["cpu_s"] / base["cpu_s"]
            rate = customers / result["cpu_s"]
            print(f"  {peer:16}{rate / 1e6:9.2f}{ratio:9.1f}")
        if not isinstance(base, str):
            distance = copy_rows / (customers / base["cpu_s"])
            print(f"  copying three columns in and one out is {distance:.1f} times as fast as cvm")


def show_growth(model: str, sizes: list[int], folder: str, args: argparse.Namespace) -> None:
    """Print how the cost of a fit grows with customers."""
    print(f"\ngrowth of a fit of {model} with cvm: customers, CPU s, ns a customer")
    for customers in sizes:
        found = medians("fit", ["cvm"], model, save(model, customers, folder), args)["cvm"]
        if isinstance(found, str):
            print(f"  {customers:>10} {found}")
            continue
        print(f"  {customers:>10}{found['cpu_s']:9.3f}{found['cpu_s'] / customers * 1e9:9.0f}")


def save(model: str, customers: int, folder: str) -> str:
    """Write simulated customers once and return the file."""
    file = Path(folder) / f"{model}-{customers}.npz"
    if not file.exists():
        arrays: Any = simulate(model, customers, seed=7)
        np.savez(file, **arrays)
    return str(file)


def main() -> None:
    """Measure everything and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the customers")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--patience", type=float, default=240.0)
    parser.add_argument("--worker", nargs=4, metavar=("TASK", "PEER", "MODEL", "FILE"))
    args = parser.parse_args()
    if args.worker:
        task, peer, model, file = args.worker
        print(json.dumps(measure(task, peer, model, dict(np.load(file)))))
        return
    scale = 10 if args.quick else 1
    with tempfile.TemporaryDirectory() as folder:
        for model in ("bg_nbd", "pareto_nbd"):
            for customers in (100_000, 1_000_000):
                show_fits(model, customers // scale, folder, args)
            show_forecasts(model, 1_000_000 // scale, folder, args)
            sizes = [n // scale for n in (10_000, 100_000, 1_000_000, 10_000_000)]
            show_growth(model, sizes, folder, args)


if __name__ == "__main__":
    main()
