"""The documentation's code runs: README, guides, in order, as a reader would type it."""

import gzip
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support import ROOT, Server

DATA = ROOT / "python" / "cvm" / "datasets" / "data"
EXAMPLE_ADDRESS = "127.0.0.1:50051"
HEX = re.compile(r"\b[0-9a-f]{8,64}\b")


def blocks(page, language):
    """Code blocks of a page in one language, in order."""
    text = (ROOT / page).read_text()
    found = re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)
    assert found, f"{page} has no {language} block"
    return found


@pytest.fixture
def desk(tmp_path):
    """A folder with the files the pages speak of, and ``cvm`` on the path."""
    shutil.copy(DATA / "cdnow_sample.csv", tmp_path / "cdnow.csv")
    shutil.copy(DATA / "cdnow_sample.csv", tmp_path / "log.csv")
    telco = gzip.decompress((DATA / "telco.csv.gz").read_bytes())
    (tmp_path / "telco.csv").write_bytes(telco)
    binary = Path(os.environ.get("CVM_BIN", ROOT / "target" / "release" / "cvm"))
    assert binary.is_file(), f"{binary} is missing: run `make build`"
    path = f"{binary.parent}{os.pathsep}{os.environ['PATH']}"
    return tmp_path, {**os.environ, "PATH": path, "COLUMNS": "100"}


def shell(command, desk):
    folder, environment = desk
    return subprocess.run(
        ["/bin/bash", "-c", command],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.server
def test_the_notebook_of_the_readme_runs(desk, monkeypatch, capsys):
    folder, _ = desk
    monkeypatch.chdir(folder)
    first, second = blocks("README.md", "python")
    names: dict[str, object] = {}
    exec(first, names)  # noqa: S102 - the page is ours
    assert "alpha" in capsys.readouterr().out
    server = Server(folder)
    try:
        exec(second.replace(EXAMPLE_ADDRESS, server.target), names)  # noqa: S102
    finally:
        server.stop()
    assert len(names["scores"]) == len(names["summary"])


def test_the_commands_of_the_readme_run(desk):
    (commands,) = blocks("README.md", "sh")
    for command in commands.splitlines():
        done = shell(command, desk)
        assert done.returncode == 0, f"{command}: {done.stderr}"


def test_the_command_line_guide_shows_what_happens(desk):
    for session in blocks("docs/guide/cli.md", "console"):
        for command, shown in dialogue(session):
            done = shell(command, desk)
            said = done.stdout + done.stderr
            for line in shown:
                assert HEX.sub("…", line.rstrip()) in HEX.sub("…", said), f"$ {command}\n{said}"


def test_the_guide_to_decisions_runs(desk, monkeypatch):
    folder, _ = desk
    monkeypatch.chdir(folder)
    names: dict[str, object] = {}
    for block in blocks("docs/guide/decisions.md", "python"):
        exec(block, names)  # noqa: S102 - the page is ours
    telco = (folder / "telco.csv").read_text().splitlines()
    (folder / "train.csv").write_text("\n".join(telco[:4000]))
    (folder / "held_out.csv").write_text("\n".join([telco[0], *telco[4000:]]))
    fit = "cvm fit churn.logistic train.csv --target Churn --set 'ignore=[\"customerID\"]'"
    assert shell(f"{fit} -o churn.cvm", desk).returncode == 0
    (command,) = blocks("docs/guide/decisions.md", "sh")
    done = shell(command, desk)
    assert done.returncode == 0, done.stderr
    assert "calibrated by" in done.stdout


def dialogue(session):
    """Commands of a session with the lines shown under each; `…` lines are cuts."""
    found = []
    for line in session.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found and line.strip() not in {"", "…", "..."}:
            found[-1][1].append(line)
    return found


@pytest.mark.server
def test_the_stock_stubs_of_the_serving_guide_work(tmp_path, published):
    published.save(tmp_path / "retail-clv.cvm")
    stock, tritons = blocks("docs/guide/serving.md", "python notest")
    stubs = tmp_path / "stubs"
    stubs.mkdir()
    proto = ROOT / "proto"
    files = [str(path.relative_to(proto)) for path in proto.glob("cvm/v1/*.proto")]
    out = [f"-I{proto}", f"--python_out={stubs}", f"--grpc_python_out={stubs}"]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", *out, *files], check=True)
    server = Server(tmp_path)
    try:
        # `import cvm` first: package and stubs share a name and must share a process.
        said = run_code("import cvm\n" + stock.replace(EXAMPLE_ADDRESS, server.target), stubs)
        asked = tritons.replace(EXAMPLE_ADDRESS, server.target)
        seen = run_code(asked.replace("answer.as_numpy", "print(*answer.as_numpy") + ")", stubs)
    finally:
        server.stop()
    row = {"frequency": [2.0], "recency": [30.43], "T": [38.86]}
    (expected,) = published.predict(row, horizon=39).tolist()
    assert f"expected_purchases [{expected}]" in said
    assert seen.strip() == str(expected)


def run_code(code, path):
    """Run code in a process of its own and return what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(path)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout
