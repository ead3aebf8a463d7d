"""A client that knows nothing of cvm: stock grpcio, and stubs generated from ``proto/``.

It runs in a process of its own, since the stubs' package ``cvm.v1`` and the installed package
``cvm`` share a name. Usage: ``stock_client.py STUBS ADDRESS MODEL OPTIONS_JSON IN.npz OUT.npz``.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

PROTO = Path(__file__).resolve().parent.parent / "proto"


def main(stubs: str, address: str, model: str, options: str, source: str, target: str) -> None:
    """Score the columns of ``source`` and write the output columns to ``target``."""
    generate_stubs(Path(stubs))
    sys.path.insert(0, stubs)
    frame_pb, scoring_pb, service_pb, service_grpc = (
        importlib.import_module(f"cvm.v1.{name}")
        for name in ("frame_pb2", "scoring_pb2", "scoring_service_pb2", "scoring_service_pb2_grpc")
    )
    grpc = importlib.import_module("grpc")
    columns = dict(np.load(source))
    request = service_pb.ScoreRequest(
        model=f"models/{model}",
        frame=frame_pb.Frame(
            row_count=len(next(iter(columns.values()))),
            columns=[column(frame_pb, name, values) for name, values in columns.items()],
        ),
        options=scoring_pb.ScoreOptions(**json.loads(options)),
    )
    limit = [("grpc.max_receive_message_length", 64 << 20)]
    with grpc.insecure_channel(address, limit) as channel:
        response = service_grpc.ScoringServiceStub(channel).Score(request, timeout=30)
    outputs = response.outputs
    scores: dict[str, Any] = {o.name: np.array(o.doubles.values) for o in outputs}
    np.savez(target, **scores)


def column(frame_pb: Any, name: str, values: np.ndarray[Any, Any]) -> Any:
    """Return a column message: numbers as they are, text as codes into a dictionary."""
    if values.dtype.kind == "f":
        return frame_pb.Column(name=name, doubles=frame_pb.DoubleValues(values=values))
    levels, codes = np.unique(values, return_inverse=True)
    strings = frame_pb.StringValues(dictionary=levels.tolist(), codes=codes.tolist())
    return frame_pb.Column(name=name, strings=strings)


def generate_stubs(folder: Path) -> None:
    """Compile ``proto/`` with the stock compiler, as the owner of any backend would."""
    from grpc_tools import protoc

    folder.mkdir(parents=True, exist_ok=True)
    files = sorted(str(path.relative_to(PROTO)) for path in PROTO.glob("cvm/v1/*.proto"))
    out = [f"-I{PROTO}", f"--python_out={folder}", f"--grpc_python_out={folder}"]
    if protoc.main(["protoc", *out, *files]):
        sys.exit("the stock compiler refused proto/")
    for package in ("cvm", "cvm/v1"):
        (folder / package / "__init__.py").touch()


if __name__ == "__main__":
    main(*sys.argv[1:])
