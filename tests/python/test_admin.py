"""Versions, traffic and signatures as stock clients of the ecosystem see and make them."""

from __future__ import annotations

import base64
import hashlib
import json
import struct
import time

import grpc
import numpy as np
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)
from scipy.stats import spearmanr

import cvm
from support import PUBLISHED, Server

pytestmark = pytest.mark.server

ROWS = 500


class Service:
    """A service called through its own description, without stubs."""

    def __init__(self, target, name):
        self.channel = grpc.insecure_channel(target)
        self.database = ProtoReflectionDescriptorDatabase(self.channel)
        pool = descriptor_pool.DescriptorPool(self.database)
        self.service = pool.FindServiceByName(name)

    def __call__(self, method, **fields):
        found = self.service.FindMethodByName(method)
        question = message_factory.GetMessageClass(found.input_type)
        answer = message_factory.GetMessageClass(found.output_type)
        call = self.channel.unary_unary(
            f"/{self.service.full_name}/{method}",
            request_serializer=question.SerializeToString,
            response_deserializer=answer.FromString,
        )
        return call(question(**fields), timeout=20)


def model(scale):
    return cvm.BgNbd.from_params(PUBLISHED | {"r": scale * PUBLISHED["r"]}, time_unit="week")


def publish(folder, versions):
    """Write a folder of versions by the documented form of its manifest."""
    folder.mkdir()
    entries = []
    for version, scale in versions.items():
        path = folder / f"{version}.cvm"
        model(scale).save(path)
        content = path.read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        entry = {"version": version, "file": path.name, "size_bytes": len(content)}
        entries.append(entry | {"sha256": digest})
    manifest = {"format": "cvm-repository/1", "versions": entries}
    (folder / "manifest.json").write_text(json.dumps(manifest))


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    folder = tmp_path_factory.mktemp("versions")
    publish(folder / "retail", {"1": 1.0, "2": 2.0})
    server = Server(folder, "--admin-listen", "127.0.0.1:0")
    yield server
    server.stop()


@pytest.fixture(scope="module")
def admin(served):
    return Service(served.admin_target, "cvm.admin.v1.AdminService")


def columns():
    age = 20 + np.arange(ROWS) / 7
    frequency = np.arange(ROWS) % 5.0
    return {"frequency": frequency, "recency": np.where(frequency > 0, age / 2, 0.0), "T": age}


def frame(**values):
    parts = [{"name": name, "doubles": {"values": list(own)}} for name, own in values.items()]
    return {"row_count": len(next(iter(values.values()))), "columns": parts}


def point(name, salt, key, total):
    """Return a customer's place, as the guide says it is computed."""
    digest = hashlib.sha256(f"{name}\0{salt}\0{key}".encode()).digest()
    return int.from_bytes(digest[:8], "big") * total >> 64


def test_each_port_describes_its_own_services(served, admin):
    assert "cvm.admin.v1.AdminService" in admin.database.get_services()
    assert "cvm.v1.ScoringService" not in admin.database.get_services()
    scoring = Service(served.target, "cvm.v1.ScoringService")
    assert "cvm.admin.v1.AdminService" not in scoring.database.get_services()


def test_this_package_asks_for_aliases_and_versions(served, admin):
    admin("SetAlias", model="retail", alias="challenger", version="2")
    asked = {"retail": 1.0, "retail@challenger": 2.0, "models/retail/versions/2": 2.0}
    with cvm.connect(served.target, timeout=20) as client:
        for name, scale in asked.items():
            answer = client.score(name, columns(), outputs=["p_alive"])
            want = model(scale).score_frame(columns(), outputs=["p_alive"])
            assert answer["p_alive"].tobytes() == want["p_alive"].tobytes()


def test_a_split_is_the_one_that_anybody_can_compute(served, admin):
    shares = [{"to": "@champion", "weight": 70}, {"to": "2", "weight": 30}]
    told = admin("SetSplit", model="retail", shares=shares, salt="autumn").model
    assert [(share.to, share.weight) for share in told.shares] == [("@champion", 70), ("2", 30)]
    scoring = Service(served.target, "cvm.v1.ScoringService")
    keys = [f"client {row} é" for row in range(ROWS)]
    answer = scoring("Score", model="retail", frame=frame(**columns()), row_keys=keys)
    want = [int(point("retail", "autumn", key, 100) >= 70) for key in keys]
    assert list(answer.row_models) == want
    names = [stamp.model_version.rsplit("/", 1)[1] for stamp in answer.split_models]
    assert names == ["1", "2"]
    apart = [
        scoring("Score", model=f"retail/versions/{version}", frame=frame(**columns()))
        for version in names
    ]
    for index, output in enumerate(answer.outputs):
        both = [list(one.outputs[index].doubles.values) for one in apart]
        assert list(output.doubles.values) == [both[who][row] for row, who in enumerate(want)]
    admin("SetSplit", model="retail")


def test_versions_are_compared_before_one_takes_over(admin):
    pair = {"base": "retail/versions/1", "candidate": "retail/versions/2"}
    options = {"outputs": ["p_alive"]}
    found = admin("DiffModelVersions", frame=frame(**columns()), options=options, **pair)
    (output,) = found.outputs
    scores = [model(scale).score_frame(columns(), outputs=["p_alive"]) for scale in (1.0, 2.0)]
    base, candidate = (np.asarray(one["p_alive"]) for one in scores)
    assert output.row_count == ROWS
    assert sum(output.migration) == ROWS
    assert output.rank_correlation == pytest.approx(spearmanr(base, candidate)[0], rel=1e-12)
    assert output.delta_mean == pytest.approx(np.mean(candidate - base), rel=1e-9)
    assert output.delta_abs_max == np.max(np.abs(candidate - base))


def sign(path, key, name, counter):
    """Sign a file by the documented form of the message, with another library."""
    content, own = path.read_bytes(), name.encode()
    message = b"cvm-signature/1\n" + struct.pack("<Q", len(own)) + own
    message += struct.pack("<Q", counter) + content
    raw = key.public_key().public_bytes_raw()
    signature = {
        "format": "cvm-signature/1",
        "model": name,
        "counter": counter,
        "key": hashlib.sha256(raw).hexdigest()[:16],
        "signature": base64.b64encode(key.sign(message)).decode(),
    }
    path.with_name(path.name + ".sig").write_text(json.dumps(signature))


def test_a_file_signed_by_another_library_is_served_and_no_other(tmp_path):
    key, models = Ed25519PrivateKey.generate(), tmp_path / "models"
    models.mkdir()
    for name in ("signed", "unsigned"):
        model(1.0).save(models / f"{name}.cvm")
    sign(models / "signed.cvm", key, "signed", 3)
    pem = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    (tmp_path / "keys.pem").write_bytes(pem)
    flags = ["--trusted-keys", str(tmp_path / "keys.pem"), "--admin-listen", "127.0.0.1:0"]
    server = Server(models, *flags)
    try:
        admin = Service(server.admin_target, "cvm.admin.v1.AdminService")
        signed, unsigned = admin("ListVersions").models
        assert signed.versions[0].signature_counter == 3
        assert not signed.error
        assert "no signature" in unsigned.error
        assert not unsigned.versions
        model(2.0).save(models / "signed.cvm")
        for _ in range(100):
            now = admin("ListVersions", model="signed").models[0]
            if now.error:
                break
            time.sleep(0.1)
        assert "not one of this file" in now.error
        assert now.versions[0].fingerprint == signed.versions[0].fingerprint
    finally:
        server.stop()
