"""The server beside those who serve the same model: processor time of the server for each request.

    python benches/server_peers.py [--mlserver PYTHON] [--requests N] [--rounds N]

One LightGBM model (500 trees of 64 leaves on 20 fields) is served by ``cvm-server`` (its file
imported, the scores equal in every bit), by a gRPC server written with grpcio around
``Booster.predict``, and by MLServer, whose Python is named by ``--mlserver`` (an environment of its
own with ``mlserver`` and ``mlserver-lightgbm``). All run on one thread of scoring, all are asked by
the same client, the example ``closed_loop`` of ``cvm-load``, which sends bytes made beforehand over
one connection: ``c`` calls at a time of one row each, the servers in turns. The client costs less
than any of the servers, so that a server with many callers is never idle. Processor time is that of
the server's process and its children, the kernel's part for it included; wall figures depend on
what else the machine does.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from concurrent import futures
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

os.environ.setdefault("OMP_NUM_THREADS", "1")

import grpc
import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[1]
TREES, LEAVES, FIELDS, TRAIN = 500, 64, 20, 20_000
CALLERS = (1, 8, 64)
ROUNDS, REQUESTS = 5, 3_000
INFER = "/inference.GRPCInferenceService/ModelInfer"
SCORE = "/cvm.v1.ScoringService/Score"
MICRO = 1e6
START_SECONDS = 90.0
GOALS = {"grpcio + LightGBM": 10.0, "MLServer": 20.0}


class Peer(NamedTuple):
    """A running server, and what to send it."""

    name: str
    process: subprocess.Popen[str]
    address: str
    method: str
    request: bytes
    value: Callable[[bytes], float]


def train(folder: Path) -> Any:
    """Return a model of the size the comparison is about, also written to a file."""
    import lightgbm as lgb

    rng = np.random.default_rng(0)
    X = rng.normal(size=(TRAIN, FIELDS))
    y = X[:, :10] @ rng.normal(size=10) + X[:, 0] * X[:, 1] + 2 * rng.normal(size=TRAIN) > 1
    params = {"objective": "binary", "num_leaves": LEAVES, "verbose": -1, "num_threads": 1}
    booster = lgb.train(params, lgb.Dataset(X, y.astype(int)), TREES)
    booster.save_model(folder / "model.txt")
    return booster


def row() -> np.ndarray[Any, Any]:
    """Return the row that is asked about."""
    return np.random.default_rng(1).normal(size=(1, FIELDS))


# The servers.


def start(command: list[Any], ready: str, **options: Any) -> tuple[subprocess.Popen[str], str]:
    """Return a process and the address in its first line with `ready`."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, **options)
    watchdog = threading.Timer(START_SECONDS, process.kill)
    watchdog.start()
    for line in process.stdout or ():
        if ready in line:
            watchdog.cancel()
            return process, line.split()[-1]
    raise SystemExit(f"{command[0]} did not start")


def ours(folder: Path, booster: Any, *, typed: bool) -> Peer:
    """Return ``cvm-server``, asked by the typed API or by the Open Inference Protocol."""
    import cvm

    models = folder / "models"
    models.mkdir(exist_ok=True)
    model = cvm.from_lightgbm(booster)
    model.save(models / "churn.cvm")
    names = model.feature_names_in_.tolist()
    binary = os.environ.get("CVM_SERVER_BIN", ROOT / "target/release/cvm-server")
    command = [binary, "--models", models, "--listen", "127.0.0.1:0", "--workers", "1"]
    process, address = start(command, "listening on", stderr=subprocess.DEVNULL)
    if typed:
        request, value = typed_request(folder, names)
        return Peer("cvm, typed", process, address, SCORE, request, value)
    return Peer("cvm, OIP", process, address, INFER, *columns_request(names))


def typed_request(folder: Path, names: list[str]) -> tuple[bytes, Callable[[bytes], float]]:
    """Return a `ScoreRequest`, and how to read the score from its answer."""
    stubs = folder / "stubs"
    stubs.mkdir(exist_ok=True)
    sources = sorted((ROOT / "proto/cvm/v1").glob("*.proto"))
    tool = [sys.executable, "-m", "grpc_tools.protoc", "-I", ROOT / "proto"]
    subprocess.run([*tool, f"--python_out={stubs}", *sources], check=True)
    sys.path.insert(0, str(stubs / "cvm" / "v1"))
    import cvm

    cvm.__path__.append(str(stubs / "cvm"))
    from cvm.v1 import frame_pb2, scoring_service_pb2  # pyright: ignore[reportMissingImports]

    frame = frame_pb2.Frame(row_count=1)
    for name, value in zip(names, row()[0].tolist(), strict=True):
        frame.columns.add(name=name, doubles=frame_pb2.DoubleValues(values=[value]))
    request = scoring_service_pb2.ScoreRequest(model="models/churn", frame=frame)
    request.options.outputs.append("churn_probability")

    def read(answer: bytes) -> float:
        outputs = scoring_service_pb2.ScoreResponse.FromString(answer).outputs
        return outputs[0].doubles.values[0]

    return request.SerializeToString(), read


def triton_messages() -> Any:
    """Return the messages of the Open Inference Protocol, whose stubs name none of them."""
    from tritonclient.grpc import service_pb2

    return service_pb2


def columns_request(names: list[str]) -> tuple[bytes, Callable[[bytes], float]]:
    """Return a `ModelInferRequest` of a tensor a column, and how to read its answer."""
    request = triton_messages().ModelInferRequest(model_name="churn")
    for name, value in zip(names, row()[0], strict=True):
        request.inputs.add(name=name, datatype="FP64", shape=[1, 1])
        request.raw_input_contents.append(value.tobytes())
    request.outputs.add(name="churn_probability")
    return request.SerializeToString(), raw_value


def raw_value(answer: bytes) -> float:
    """Return the first number of an answer's first output, wherever it is."""
    response = triton_messages().ModelInferResponse.FromString(answer)
    if response.raw_output_contents:
        return float(np.frombuffer(response.raw_output_contents[0])[0])
    return response.outputs[0].contents.fp64_contents[0]


def matrix_request() -> bytes:
    """Return a `ModelInferRequest` of one tensor with all fields."""
    request = triton_messages().ModelInferRequest(model_name="churn")
    request.inputs.add(name="x", datatype="FP64", shape=[1, FIELDS])
    request.raw_input_contents.append(row().tobytes())
    return request.SerializeToString()


def grpcio_peer(folder: Path) -> Peer:
    """Return this script in the role of a server."""
    command = [sys.executable, __file__, "--serve", folder / "model.txt"]
    process, address = start(command, "listening on")
    return Peer("grpcio + LightGBM", process, address, INFER, matrix_request(), raw_value)


def serve(path: str) -> None:
    """Serve a LightGBM file by grpcio, with as many threads as it has by default here: eight."""
    import lightgbm as lgb
    from tritonclient.grpc import service_pb2_grpc

    booster: Any = lgb.Booster(model_file=path)

    class Inference(service_pb2_grpc.GRPCInferenceServiceServicer):
        def ModelInfer(self, request: Any, context: Any) -> Any:  # noqa: ARG002, N802 - the protocol's
            rows = np.frombuffer(request.raw_input_contents[0]).reshape(request.inputs[0].shape)
            scores = booster.predict(rows, num_threads=1)
            response = triton_messages().ModelInferResponse(model_name=request.model_name)
            response.outputs.add(name="churn_probability", datatype="FP64", shape=scores.shape)
            response.raw_output_contents.append(scores.tobytes())
            return response

    server = grpc.server(futures.ThreadPoolExecutor(8))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(Inference(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    server.wait_for_termination()


def mlserver_peer(folder: Path, python: str) -> Peer:
    """Return MLServer in one process, the way it costs least."""
    home = folder / "mlserver"
    home.mkdir()
    port = free_port()
    settings = {"grpc_port": port, "http_port": free_port(), "metrics_port": free_port()}
    settings |= {"host": "127.0.0.1", "parallel_workers": 0, "debug": False}
    (home / "settings.json").write_text(json.dumps(settings))
    model = {
        "name": "churn",
        "implementation": "mlserver_lightgbm.LightGBMModel",
        "parameters": {"uri": str(folder / "model.txt")},
    }
    (home / "model-settings.json").write_text(json.dumps(model))
    program = (
        "from mlserver.cli import main; import sys; sys.argv = ['mlserver', 'start', '.']; main()"
    )
    command = [python, "-c", program]
    quiet: Any = subprocess.DEVNULL
    process = subprocess.Popen(command, cwd=home, stdout=quiet, stderr=quiet, text=True)
    address = f"127.0.0.1:{port}"
    with grpc.insecure_channel(address) as channel:
        grpc.channel_ready_future(channel).result(START_SECONDS)
    return Peer("MLServer", process, address, INFER, matrix_request(), raw_value)


def free_port() -> int:
    """Return a port that nobody listens on now."""
    import socket

    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return found.getsockname()[1]


# The measurement.


def cpu_ns(process: int) -> int:
    """Return the processor time of all threads of a process, in nanoseconds."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


class Asker:
    """Calls of one peer over one connection."""

    def __init__(self, peer: Peer, client: Path, folder: Path) -> None:
        self.peer = peer
        self.client = client
        self.request = folder / f"{peer.process.pid}.request"
        self.request.write_bytes(peer.request)

    def once(self) -> float:
        """Return the score."""
        with grpc.insecure_channel(self.peer.address) as channel:
            answer = channel.unary_unary(self.peer.method)(self.peer.request, timeout=60)
        return self.peer.value(answer)

    def round(self, callers: int, requests: int) -> tuple[float, float]:
        """Return microseconds of the server's processor time a request, and requests a second."""
        what = [self.peer.address, self.peer.method, self.request, str(callers), str(requests)]
        before = cpu_ns(self.peer.process.pid)
        done = subprocess.run([self.client, *what], check=True, stdout=subprocess.PIPE, text=True)
        spent = cpu_ns(self.peer.process.pid) - before
        return spent / 1e3 / requests, float(done.stdout)


def build_client() -> Path:
    """Return the client, built."""
    command = ["cargo", "build", "--locked", "--release", "-p", "cvm-load", "--example"]
    subprocess.run([*command, "closed_loop"], check=True, cwd=ROOT)
    target = Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target"))
    return target / "release/examples/closed_loop"


def measure(askers: list[Asker], rounds: int, requests: int) -> None:
    """Print the figures of all peers in turns."""
    scores = {asker.peer.name: asker.once() for asker in askers}
    print("score of the row:", *(f"{name} {value!r}" for name, value in scores.items()), sep="\n  ")
    print(f"\n{'c':>3} {'server':20} {'req/s':>8} {'server CPU us':>14} {'x cvm, typed':>13}")
    for callers in CALLERS:
        for asker in askers:
            asker.round(callers, requests // 10)
        turns = [[asker.round(callers, requests) for asker in askers] for _ in range(rounds)]
        for index, peer in enumerate(asker.peer for asker in askers):
            cpu, rate = (statistics.median(turn[index][part] for turn in turns) for part in (0, 1))
            times = statistics.median(turn[index][0] / turn[0][0] for turn in turns)
            goal = GOALS.get(peer.name)
            verdict = (
                "" if goal is None else f"  goal {goal:g}: {'met' if times >= goal else 'missed'}"
            )
            print(
                f"{callers:3} {peer.name:20} {rate:8.0f} {cpu:14.1f} {times:12.1f}x{verdict}",
                flush=True,
            )


def main() -> None:
    """Start all, measure, stop all."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument(
        "--mlserver", metavar="PYTHON", help="Python with mlserver and mlserver-lightgbm"
    )
    parser.add_argument("--requests", type=int, default=REQUESTS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--serve", metavar="FILE", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve)
        return
    client = build_client()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        booster = train(folder)
        peers: list[Peer] = []
        try:
            peers += [ours(folder, booster, typed=True), ours(folder, booster, typed=False)]
            peers.append(grpcio_peer(folder))
            if options.mlserver:
                peers.append(mlserver_peer(folder, options.mlserver))
            else:
                print("MLServer is left out: --mlserver names no Python")
            askers = [Asker(peer, client, folder) for peer in peers]
            measure(askers, options.rounds, options.requests)
        finally:
            for peer in peers:
                peer.process.terminate()
                peer.process.wait()


if __name__ == "__main__":
    main()
