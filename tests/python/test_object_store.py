"""Models of an S3 bucket, against moto's server: published, followed, routed, served on without it.

Slow: needs binaries with object stores in `CVM_STORE_BINS`, and a Python with `moto[server]` as
`CVM_MOTO_PYTHON`; `make test-slow` makes both.
"""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

import cvm
from support import PUBLISHED

pytestmark = [
    pytest.mark.server,
    pytest.mark.skipif(
        "CVM_STORE_BINS" not in os.environ, reason="CVM_STORE_BINS names no binaries with stores"
    ),
]

BINARIES = Path(os.environ.get("CVM_STORE_BINS", "."))


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def ask(port, verb, path, body=None):
    """Return status and body of one request."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    connection.request(verb, path, body=body)
    answer = connection.getresponse()
    out = answer.status, answer.read().decode()
    connection.close()
    return out


def until(done, seconds=30):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            if done():
                return
        except OSError:
            pass
        time.sleep(0.05)
    pytest.fail("waited in vain")


class Moto:
    """moto's S3 in a process of its own; its buckets are gone when it ends."""

    def __init__(self, port):
        self.port = port
        python = os.environ.get("CVM_MOTO_PYTHON", sys.executable)
        command = [python, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1"]
        quiet = subprocess.DEVNULL
        self.process = subprocess.Popen([*command, "-p", str(port)], stdout=quiet, stderr=quiet)
        until(lambda: ask(port, "PUT", "/models")[0] == 200)

    def stop(self):
        self.process.kill()
        self.process.wait(timeout=20)


@pytest.fixture
def moto(monkeypatch):
    server = Moto(free_port())
    for name, value in {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.port}",
        "AWS_ALLOW_HTTP": "true",
        "AWS_REGION": "us-east-1",
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
    }.items():
        monkeypatch.setenv(name, value)
    yield server
    server.stop()


def publish(tmp_path, scale, version):
    model = cvm.BgNbd.from_params(PUBLISHED | {"r": scale * PUBLISHED["r"]}, time_unit="week")
    file = tmp_path / f"{version}.cvm"
    model.save(file)
    url = "s3://models/prod/retail"
    command = [BINARIES / "cvm", "publish", file, url, "--version", version]
    subprocess.run(command, check=True, timeout=60, stdout=subprocess.DEVNULL)
    return str(cvm.load(file).fingerprint)


class Served:
    """A server of the bucket."""

    def __init__(self, cache):
        flags = {
            "--models": "s3://models/prod",
            "--models-cache": cache,
            "--store-poll-seconds": "1",
            "--listen": "127.0.0.1:0",
            "--http-listen": "127.0.0.1:0",
            "--poll-interval-ms": "50",
        }
        command = [BINARIES / "cvm-server", *(part for flag in flags.items() for part in flag)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        lines = [self.process.stdout.readline() for _ in range(2)]
        self.port = int(lines[1].rsplit(":", 1)[1])

    def fingerprint(self, model="retail"):
        body = '{"columns": {"frequency": [2], "recency": [30.43], "T": [38.86]}}'
        status, answer = ask(self.port, "POST", f"/v1/models/{model}:score", body)
        return answer.split('"fingerprint":"')[1][:64] if status == 200 else None

    def metrics(self):
        return ask(self.port, "GET", "/metrics")[1]

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.process.stdout.close()


def test_a_bucket_is_served_followed_and_missed(moto, tmp_path):
    first = publish(tmp_path, 1.0, "1")
    served = Served(tmp_path / "cache")
    try:
        until(lambda: served.fingerprint() == first)
        second = publish(tmp_path, 2.0, "2")
        until(lambda: served.fingerprint("retail@champion") == first)
        until(lambda: b'"version": "2"' in (tmp_path / "cache/retail/manifest.json").read_bytes())
        # Who answers is decided in the bucket.
        routing = '{"aliases": {"champion": "2"}}'
        assert ask(moto.port, "PUT", "/models/prod/retail/routing.json", routing)[0] == 200
        until(lambda: served.fingerprint() == second)
        # The store goes away: what was fetched is served on, over a restart too.
        moto.stop()
        until(lambda: 'cvm_store_looks_total{result="failure"} 1' in served.metrics(), 200)
        assert served.fingerprint() == second
        served.stop()
        served = Served(tmp_path / "cache")
        until(lambda: served.fingerprint() == second)
    finally:
        served.stop()


def test_a_file_that_is_not_what_its_manifest_says_is_not_served(moto, tmp_path):
    first = publish(tmp_path, 1.0, "1")
    content = (tmp_path / "1.cvm").read_bytes()
    publish(tmp_path, 2.0, "2")
    half = content[: len(content) // 2]
    assert ask(moto.port, "PUT", "/models/prod/retail/2.cvm", half)[0] == 200
    served = Served(tmp_path / "cache")
    try:
        until(lambda: served.fingerprint() == first)
        assert 'cvm_model_refused{model="retail"' in served.metrics()
        assert not (tmp_path / "cache/retail/2.cvm").exists()
    finally:
        served.stop()
