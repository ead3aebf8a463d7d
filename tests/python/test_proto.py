"""The API's files: buf's rules of style, and nothing that breaks who was built on the first."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT

PROTO = ROOT / "proto"
# The API as it first landed: cvm.v1 with scoring and models, cvm.admin.v1 with versions.
FIRST = PROTO / "first.binpb"


def buf(*arguments):
    """Run buf, which comes with the package ``buf-bin``, and return what it objects to."""
    command = [Path(sys.executable).parent / "buf", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode in {0, 100}, done.stderr
    return done.stdout.splitlines()


def broken_by(folder):
    return buf("breaking", folder, "--against", FIRST)


@pytest.fixture
def copy(tmp_path):
    return Path(shutil.copytree(PROTO, tmp_path / "proto"))


def change(folder, file, old, new):
    path = folder / "cvm" / "v1" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def test_the_files_keep_the_standard_rules():
    assert buf("lint", PROTO) == []


def test_nothing_breaks_the_first_callers():
    assert broken_by(PROTO) == []


def test_a_wrong_name_is_seen(copy):
    change(copy, "frame.proto", "int32 row_count", "int32 rowCount")
    assert any("rowCount" in line for line in buf("lint", copy))


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("frame.proto", "int32 row_count = 1;", "int32 row_count = 7;"),
        ("frame.proto", "int32 row_count = 1;", "int64 row_count = 1;"),
        ("frame.proto", "int32 row_count = 1;", ""),
        ("scoring_service.proto", "rpc Score(", "rpc Rate("),
    ],
)
def test_a_change_that_breaks_is_seen(copy, file, old, new):
    change(copy, file, old, new)
    assert broken_by(copy)
