"""The golden corpus through Python: the files every other surface reads, bit for bit."""

from __future__ import annotations

import functools
import math
import struct
import tomllib

import numpy as np
import pytest

import cvm
from cvm._base import MODEL_CLASSES
from cvm._core import CATALOG
from support import ROOT

GOLDEN = ROOT / "tests" / "golden"


def corpora():
    return {path.stem: tomllib.loads(path.read_text()) for path in sorted(GOLDEN.glob("*.toml"))}


def cases():
    return [
        pytest.param(kind, case, id=f"{kind}: {case['name']}")
        for kind, corpus in corpora().items()
        if corpus.get("kind") == kind
        for case in corpus.get("case", [])
    ]


def fits():
    return [
        pytest.param(kind, fit, id=f"{kind}: {fit['name']}")
        for kind, corpus in corpora().items()
        if corpus.get("kind") == kind
        for fit in corpus.get("fit", [])
    ]


def test_every_kind_has_cases():
    kinds = {kind for kind, _, _ in CATALOG}
    assert kinds <= set(corpora())
    assert {param.values[0] for param in cases()} == kinds


def column(values):
    if any(isinstance(value, str) for value in values):
        return np.array([value or None for value in values], dtype=object)
    return np.array(values, dtype=np.float64)


@functools.cache
def model_of(kind, name):
    """Return a model of the corpus; opening one scores its probe rows."""
    return cvm.load(GOLDEN / "models" / kind / f"{name}.cvm")


SCORES = {}


def score(kind, case):
    """Return the scores of a case, computed once for all tests."""
    key = kind, case["name"]
    if key not in SCORES:
        SCORES[key] = scored(model_of(kind, case["model"]), case)
    return SCORES[key]


def scored(model, case):
    options = case.get("options", {})
    names = {
        "horizon_periods": "horizon",
        "discount_rate_per_year": "discount_rate",
        "interval_level": "interval",
        "elapsed_periods": "elapsed",
    }
    arguments = {names.get(name, name): value for name, value in options.items()}
    table = {name: column(values) for name, values in case["columns"].items()}
    return model.score_frame(table, **arguments)


@pytest.mark.parametrize(("kind", "case"), cases())
def test_known_answers(kind, case):
    scores = score(kind, case)
    rows = len(scores["status"])
    assert scores["status"].tolist() == case.get("status", ["ok"] * rows)
    for output, expect in case.get("expect", {}).items():
        for got, want in zip(scores[output].tolist(), expect["values"], strict=True):
            assert math.isnan(got) == math.isnan(want), (output, expect["source"])
            close = {"abs": expect.get("abs", 0.0), "rel": expect.get("rel", 0.0)}
            assert got == pytest.approx(want, nan_ok=True, **close), (output, expect["source"])


@pytest.mark.parametrize(("kind", "case"), cases())
def test_pinned_bits(kind, case):
    scores = score(kind, case)
    record = pinned(kind)["cases"][case["name"]]
    assert scores["status"].tolist() == record["status"]
    assert {name for name in scores if name != "status"} == set(record["outputs"])
    for output, bits in record["outputs"].items():
        assert [bits_of(value) for value in scores[output].tolist()] == bits, output


def test_pinned_fingerprints():
    for kind, _, _ in CATALOG:
        for name, fingerprint in pinned(kind)["models"].items():
            assert model_of(kind, name).fingerprint_ == fingerprint


def pinned(kind):
    """Return the record of a kind, as the Rust test wrote it."""
    return tomllib.loads((GOLDEN / "bits" / f"{kind}.toml").read_text())


def bits_of(value):
    return "nan" if math.isnan(value) else struct.pack(">d", value).hex()


def customers_of(fit):
    """Return the customers of a fit: a summary of CDNOW, or a table as it is."""
    if "summarize" not in fit:
        return np.genfromtxt(ROOT / fit["data"], delimiter=",", names=True)
    options = dict(fit["summarize"])
    unit = options.pop("time_unit")
    log = cvm.datasets.load_cdnow(as_frame="dict")
    return cvm.summarize(log, unit=unit, **options)


@pytest.mark.parametrize(("kind", "fit"), fits())
def test_known_fits(kind, fit):
    customers = customers_of(fit)
    decimals = fit.get("round_decimals")
    for name in ("recency", "T") if decimals is not None else ():
        customers[name] = np.array([float(f"{value:.{decimals}f}") for value in customers[name]])
    options = dict(fit.get("options", {}))
    weight = options.pop("weight_column", None)
    settings = options.pop("settings", {})
    # Models of durations take their columns where they are fitted.
    named = {name: settings.pop(name) for name in ("duration", "event") if name in settings}
    model = MODEL_CLASSES[kind](**settings)
    if named:
        customers = {name: customers[name] for name in customers.dtype.names}
    if weight is not None:
        named["weight"] = weight
    model.fit(customers, **named, **options)
    assert model.params_ == pytest.approx(fit["params"], rel=fit["rel"])
    close = fit["log_likelihood_abs"]
    assert model.log_likelihood_ == pytest.approx(fit["log_likelihood"], abs=close)
    record = pinned(kind)["fits"][fit["name"]]
    assert bits_of(model.log_likelihood_) == record["log_likelihood"]
    assert {name: bits_of(value) for name, value in model.params_.items()} == record["params"]
    errors = {name: bits_of(value) for name, value in model.standard_errors_.items()}
    assert errors == record["standard_errors"]
