"""Slow: a server with ten models takes requests within 0.3 s."""

from __future__ import annotations

import http.client
import os
import time

import numpy as np
import pytest

import cvm
from support import PUBLISHED, Server

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif("CVM_SLOW" not in os.environ, reason="a matter of time: CVM_SLOW runs it"),
]

LIMIT_SECONDS = 0.3


def trees(path):
    """Save a churn model of 500 trees of 64 leaves."""
    lightgbm = pytest.importorskip("lightgbm")
    rng = np.random.default_rng(1)
    inputs = rng.normal(size=(5_000, 20))
    target = (inputs[:, 0] + rng.normal(size=5_000) > 0).astype(float)
    settings = {"objective": "binary", "num_leaves": 64, "verbose": -1, "num_threads": 2}
    booster = lightgbm.train(settings, lightgbm.Dataset(inputs, target), 500)
    cvm.churn.from_lightgbm(booster).save(path)


def get(connection, path):
    connection.request("GET", path)
    answer = connection.getresponse()
    return answer.status, answer.read().decode()


def test_ten_models_are_served_within_the_time(tmp_path):
    for number in range(8):
        scale = 1 + number / 10
        params = PUBLISHED | {"r": scale * PUBLISHED["r"]}
        cvm.BgNbd.from_params(params, time_unit="week").save(tmp_path / f"clv-{number}.cvm")
    trees(tmp_path / "churn-a.cvm")
    (tmp_path / "churn-b.cvm").write_bytes((tmp_path / "churn-a.cvm").read_bytes())
    took = []
    for _ in range(5):
        begun = time.monotonic()
        server = Server(tmp_path, "--http-listen", "127.0.0.1:0")
        connection = http.client.HTTPConnection(server.http_target, timeout=20)
        while get(connection, "/readyz")[0] != 200:
            time.sleep(0.002)
        took.append(time.monotonic() - begun)
        _, status = get(connection, "/status.json")
        connection.close()
        server.stop()
        assert status.count('"fingerprint"') == 10
    # The machine may be busy with something else: one start in five must make it.
    assert min(took) < LIMIT_SECONDS, took
