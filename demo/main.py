"""The main job on real data: raw data, models, files, a running server, and the same scores back.

Run by ``make demo``. Everything it writes goes to ``demo-out/``. The last line is
``demo ok: N of N scores identical`` and the exit code 0; anything else is a failure.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import cvm

if TYPE_CHECKING:
    from collections.abc import Generator

ROOT = Path(__file__).resolve().parent.parent
OUT = ROOT / "demo-out"
MODELS = OUT / "models"

HOLDOUT_WEEKS = 39.0
YEARLY_DISCOUNT = 0.10

# Fader, Hardie & Lee (2005), Marketing Science 24(2), table 2; digits of CLVTools' test suite.
PUBLISHED_BG_NBD = {"r": 0.2426, "alpha": 4.4136, "a": 0.7929, "b": 2.4259}
PUBLISHED_BG_NBD_LL = -9582.429
# Fader & Hardie (2013), note 025, section 5; digits of the CLVTools test suite.
PUBLISHED_SPEND = {"p": 6.249, "q": 3.744, "v": 15.444}
PUBLISHED_SPEND_LL = -4055.918
# BTYDplus on the same split: total and mean absolute error of the 39-week forecast.
PUBLISHED_TOTAL, PUBLISHED_MAE = 1653.4, 0.7855


class DemoError(Exception):
    """A step that did not do what the demo promises."""


def main() -> int:
    """Run every step and say how it went."""
    MODELS.mkdir(parents=True, exist_ok=True)
    for old in MODELS.glob("*.cvm"):
        old.unlink()
    try:
        value, summary = customer_value()
        churn, telco = churn_propensity()
        value.save(MODELS / "cdnow-value.cvm", name="cdnow-value")
        churn.save(MODELS / "telco-churn.cvm", name="telco-churn")
        section("Hand-off: two files")
        for path in sorted(MODELS.glob("*.cvm")):
            model = cvm.load(path)
            print(
                f"  {path.name:18}{path.stat().st_size:>8} bytes  fingerprint {model.fingerprint_}"
            )
        with server() as address:
            identical, total = compare(address, value, summary, churn, telco)
            latency(address, summary, telco)
    except DemoError as error:
        print(f"demo failed: {error}", file=sys.stderr)
        return 1
    next_steps()
    if identical != total or total == 0:
        print(f"demo failed: only {identical} of {total} scores identical")
        return 1
    print(f"demo ok: {identical} of {total} scores identical")
    return 0


def section(title: str) -> None:
    """Print a heading."""
    print(f"\n== {title} ==")


# -- customer value ------------------------------------------------------------------------------


def customer_value() -> tuple[cvm.LifetimeValue, Any]:
    """CDNOW: transactions to summaries, two models, and the forecast against what happened."""
    section("CDNOW: transaction log to lifetime value")
    log = cvm.datasets.load_cdnow(as_frame="pandas")
    summary = cvm.summarize(
        log,
        unit="week",
        calibration_end="1997-09-30",
        observation_end="1998-06-30",
    )
    print(f"  {len(log)} transactions -> {len(summary)} customers, calibration to 1997-09-30")
    purchase = cvm.BgNbd().fit(summary, time_unit="week")
    parameter_table("BG/NBD", purchase, PUBLISHED_BG_NBD, PUBLISHED_BG_NBD_LL)
    spend = cvm.GammaGamma().fit(summary)
    parameter_table("Gamma-Gamma", spend, PUBLISHED_SPEND, PUBLISHED_SPEND_LL)
    holdout(purchase, log, summary)
    return cvm.LifetimeValue(purchase, spend), summary


def parameter_table(
    title: str,
    model: Any,
    published: dict[str, float],
    published_ll: float,
) -> None:
    """Print estimates beside the published ones."""
    print(f"\n  {title:12}{'published':>12}{'fitted':>12}{'std. error':>12}")
    for name, value in published.items():
        fitted, error = model.params_[name], model.standard_errors_[name]
        print(f"  {name:12}{value:>12.4f}{fitted:>12.4f}{error:>12.4f}")
    print(f"  {'log-lik.':12}{published_ll:>12.3f}{model.log_likelihood_:>12.3f}")


def holdout(purchase: cvm.BgNbd, log: Any, summary: Any) -> None:
    """Print the 39-week forecast against the purchases that came, and draw the curve."""
    forecast = purchase.predict(summary, horizon=HOLDOUT_WEEKS)
    actual = summary["holdout_frequency"].to_numpy(dtype=float)
    error = float(np.abs(forecast - actual).mean())
    total, came = forecast.sum(), actual.sum()
    print(f"\n  {'39-week hold-out':18}{'published':>12}{'cvm':>12}{'actual':>12}")
    print(f"  {'total purchases':18}{PUBLISHED_TOTAL:>12.1f}{total:>12.1f}{came:>12.0f}")
    print(f"  {'mean abs. error':18}{PUBLISHED_MAE:>12.4f}{error:>12.4f}")
    draw_tracking(purchase, log)


# -- churn ---------------------------------------------------------------------------------------


def churn_propensity() -> tuple[cvm.LogisticChurn, Any]:
    """Telco: honest cross-validation, then the model on all rows."""
    from sklearn.model_selection import StratifiedKFold

    section("Telco: churn table to churn propensity")
    telco = cvm.datasets.load_telco(as_frame="pandas")
    features, churned = telco.drop(columns=["customerID", "Churn"]), telco["Churn"]
    outcome = (churned == "Yes").to_numpy(dtype=float)
    score = np.full(len(telco), np.nan)
    folds = StratifiedKFold(n_splits=5, shuffle=True, random_state=0)
    per_fold = []
    for train, test in folds.split(features, churned):
        model = cvm.LogisticChurn().fit(features.iloc[train], churned.iloc[train])
        score[test] = model.predict_proba(features.iloc[test])[:, 1]
        per_fold.append(cvm.metrics.auc(outcome[test], score[test]))
    print(f"  {len(telco)} customers, {outcome.mean():.2%} churned; 5-fold stratified, seed 0")
    print(
        f"  AUC        {np.mean(per_fold):.4f} (folds {min(per_fold):.4f} to {max(per_fold):.4f})"
    )
    print(f"  Brier      {cvm.metrics.brier(outcome, score):.4f}")
    print(f"  log-loss   {cvm.metrics.log_loss(outcome, score):.4f}")
    print(f"  ECE (10)   {cvm.metrics.ece(outcome, score, bins=10):.4f}")
    draw_lift(outcome, score)
    return cvm.LogisticChurn().fit(features, churned), features


# -- pictures ------------------------------------------------------------------------------------


def draw_tracking(purchase: cvm.BgNbd, log: Any) -> None:
    """Draw actual against expected cumulative repeat purchases."""
    figure, axes = _figure()
    cvm.plot.plot_tracking(purchase, log, calibration_end="1997-09-30", ax=axes)
    axes.set_title("CDNOW: repeat purchases, BG/NBD fitted on the first 39 weeks")
    _save(figure, "cdnow_tracking.png")


def draw_lift(outcome: Any, score: Any) -> None:
    """Draw the lift curve of the cross-validated churn scores."""
    figure, axes = _figure()
    cvm.plot.plot_lift(outcome, score, ax=axes)
    axes.set_title("Telco: churners reached, out-of-fold scores")
    _save(figure, "telco_lift.png")


def _figure() -> tuple[Any, Any]:
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    return plt.subplots(figsize=(7.5, 4.5), dpi=120)


def _save(figure: Any, name: str) -> None:
    figure.tight_layout()
    figure.savefig(OUT / name)
    print(f"  picture: {(OUT / name).relative_to(ROOT)}")


# -- server --------------------------------------------------------------------------------------


@contextmanager
def server() -> Generator[str]:
    """Start ``cvm-server`` on a free port; stop it with SIGTERM and expect a clean exit."""
    binary = Path(os.environ.get("CVM_SERVER_BIN", ROOT / "target/release/cvm-server"))
    if not binary.exists():
        raise DemoError(f"{binary} is missing: run `make build`")
    section("Server")
    with (OUT / "server.log").open("w") as log:
        process = subprocess.Popen(
            [binary, "--models", MODELS, "--listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        try:
            address = _wait_for_address(process)
            print(f"  cvm-server --models demo-out/models listens on {address}")
            yield address
        finally:
            process.terminate()
            code = process.wait(timeout=20)
    if code:
        raise DemoError(f"the server left with exit code {code}, see demo-out/server.log")
    print("\n  server stopped cleanly on SIGTERM")


def _wait_for_address(process: subprocess.Popen[str]) -> str:
    line = process.stdout.readline() if process.stdout else ""
    found = re.search(r"listening on (\S+)", line)
    if not found:
        raise DemoError(f"the server did not start: {line!r}, see demo-out/server.log")
    return found.group(1)


# -- parity --------------------------------------------------------------------------------------


def compare(
    address: str,
    value: cvm.LifetimeValue,
    summary: Any,
    churn: cvm.LogisticChurn,
    telco: Any,
) -> tuple[int, int]:
    """Score every customer in the notebook, over gRPC and with stock stubs; count equal bits."""
    section("Every customer over gRPC, held against the notebook")
    options: dict[str, Any] = {"horizon": HOLDOUT_WEEKS, "discount_rate": YEARLY_DISCOUNT}
    jobs: list[tuple[str, Any, dict[str, Any], Any]] = [
        ("cdnow-value", summary, options, value.score_frame(summary, **options)),
        ("telco-churn", telco, {}, churn.score_frame(telco)),
    ]
    identical = total = 0
    with cvm.connect(address) as client:
        for name, frame, wanted, notebook in jobs:
            remote = client.score(name, frame, **wanted)
            columns = [c for c in notebook.columns if notebook[c].dtype == np.float64]
            stock = stock_scores(address, name, frame, wanted)
            for label, other in (("cvm.connect", remote), ("grpcio stubs", stock)):
                same, count = _equal_bits(notebook, other, columns)
                print(f"  {name:12} {label:13}{same} of {count} scores identical, bit for bit")
                identical, total = identical + same, total + count
    return identical, total


def _equal_bits(ours: Any, theirs: Any, columns: list[str]) -> tuple[int, int]:
    same = count = 0
    for column in columns:
        left = np.ascontiguousarray(ours[column], dtype=np.float64).view(np.uint64)
        right = np.ascontiguousarray(theirs[column], dtype=np.float64).view(np.uint64)
        count += left.size
        same += int((left == right).sum()) if left.shape == right.shape else 0
    return same, count


def stock_scores(address: str, name: str, frame: Any, options: dict[str, float]) -> Any:
    """Score a frame with a client that shares no code with cvm."""
    columns = {
        column: values.to_numpy(dtype=float if values.dtype.kind in "iufb" else str)
        for column, values in frame.items()
    }
    source, target = OUT / "stock_in.npz", OUT / "stock_out.npz"
    np.savez(source, **columns)
    wire = {"horizon": "horizon_periods", "discount_rate": "discount_rate_per_year"}
    fields = json.dumps({wire[key]: value for key, value in options.items()})
    script = Path(__file__).with_name("stock_client.py")
    command = [sys.executable, script, OUT / "stubs", address, name, fields, source, target]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DemoError(f"the stock client failed: {done.stderr}")
    return dict(np.load(target))


# -- latency -------------------------------------------------------------------------------------


def latency(address: str, summary: Any, telco: Any) -> None:
    """Print round-trip times of single customers and of one big batch."""
    section("Latency from Python, loopback, this machine")
    with cvm.connect(address) as client:
        cases: list[tuple[str, str, Any, dict[str, Any], int]] = [
            (
                "one customer, lifetime value",
                "cdnow-value",
                summary.iloc[:1],
                {"horizon": 39.0},
                500,
            ),
            ("one customer, churn", "telco-churn", telco.iloc[:1], {}, 500),
            (f"{len(summary)} customers, value", "cdnow-value", summary, {"horizon": 39.0}, 20),
            (f"{len(telco)} customers, churn", "telco-churn", telco, {}, 20),
        ]
        for label, name, frame, options, repeats in cases:
            times = []
            for _ in range(repeats):
                start = time.perf_counter()
                client.score(name, frame, **options)
                times.append(1e3 * (time.perf_counter() - start))
            median, worst = np.percentile(times, [50, 99])
            print(f"  {label:32} median {median:8.3f} ms   p99 {worst:8.3f} ms")


def next_steps() -> None:
    """Print commands worth trying next."""
    section("Try next")
    print("  target/release/cvm inspect demo-out/models/cdnow-value.cvm")
    print("  target/release/cvm-server --models demo-out/models --listen 127.0.0.1:50051 &")
    print("  .venv/bin/python -c \"import cvm; print(cvm.connect('127.0.0.1:50051').models())\"")
    print()


if __name__ == "__main__":
    sys.exit(main())
