"""Shared by the tests: tables of every kind, and a server on the loopback interface."""

from __future__ import annotations

import os
import subprocess
import threading
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

ROOT = Path(__file__).resolve().parents[2]
PUBLISHED = {"r": 0.243, "alpha": 4.414, "a": 0.793, "b": 2.426}
KINDS = ("pandas", "polars", "pyarrow", "dict", "structured", "matrix")


def make_table(kind, columns):
    """Return columns of numbers as a table of a kind."""
    match kind:
        case "pandas":
            return pd.DataFrame(columns, index=[f"c{i}" for i in range(_length(columns))])
        case "polars":
            return pl.DataFrame(columns)
        case "pyarrow":
            return pa.table(columns)
        case "dict":
            return columns
        case "structured":
            out = np.empty(_length(columns), dtype=[(name, "f8") for name in columns])
            for name, values in columns.items():
                out[name] = values
            return out
        case "matrix":
            return np.column_stack([columns[name] for name in columns])


def _length(columns):
    return len(next(iter(columns.values())))


def read_column(table, name):
    """Return a column of any kind of table as numpy."""
    if isinstance(table, pa.Table):
        return table.column(name).to_numpy(zero_copy_only=False)
    return np.asarray(table[name])


def server_binary():
    """Return the path of the server, or say how to make it."""
    named = os.environ.get("CVM_SERVER_BIN")
    built = [ROOT / "target" / profile / "cvm-server" for profile in ("release", "debug")]
    for path in [Path(named)] if named else built:
        if path.is_file():
            return path
    pytest.fail(
        f"no server binary at {named or [str(path) for path in built]}: "
        "run `cargo build --release -p cvm-server`, or set CVM_SERVER_BIN"
    )


class Server:
    """A server process over a folder of models."""

    def __init__(self, models, *options):
        command = [server_binary(), "--models", models, "--listen", "127.0.0.1:0", *options]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        watchdog = threading.Timer(60, self.process.kill)
        watchdog.start()
        self.target = self._address("listening on")
        self.http_target = self._address("http on") if "--http-listen" in options else None
        self.admin_target = self._address("admin on") if "--admin-listen" in options else None
        watchdog.cancel()

    def _address(self, words):
        line = self.process.stdout.readline()
        assert words in line, f"the server said {line!r}"
        return line.split()[-1]

    def stop(self):
        self.process.terminate()
        self.process.wait(timeout=30)
        self.process.stdout.close()
