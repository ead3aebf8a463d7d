"""A server that knows its callers, called by this package, by stock grpcio and over HTTP."""

from __future__ import annotations

import hashlib
import json
import time
import urllib.error
import urllib.request

import grpc
import jwt
import numpy as np
import pytest
import trustme
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

import cvm
from support import Server

# In TLS 1.3 the refusal may come with the first call, as a connection that ends.
REFUSED = (cvm.ServerUnavailableError, cvm.DeadlineError)
SCORER, VIEWER = "s3cret", "see"
ROW = {"frequency": [2.0], "recency": [30.43], "T": [38.86]}


def entry(name, token, roles):
    digest = hashlib.sha256(token.encode()).hexdigest()
    return f'[[token]]\nname = "{name}"\nsha256 = "{digest}"\nroles = {json.dumps(roles)}\n'


@pytest.fixture(scope="module")
def guarded(tmp_path_factory, published):
    folder = tmp_path_factory.mktemp("guarded")
    published.save(folder / "retail.cvm")
    authority, clients = trustme.CA(), trustme.CA()
    own = authority.issue_cert("localhost", "127.0.0.1")
    authority.cert_pem.write_to_path(folder / "ca.pem")
    clients.cert_pem.write_to_path(folder / "clients.pem")
    own.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    own.private_key_pem.write_to_path(folder / "key.pem")
    caller = clients.issue_cert("caller")
    caller.cert_chain_pems[0].write_to_path(folder / "caller.pem")
    caller.private_key_pem.write_to_path(folder / "caller_key.pem")
    tokens = entry("scorer", SCORER, ["score", "read"]) + entry("viewer", VIEWER, ["read"])
    (folder / "tokens.toml").write_text(tokens)
    flags = ["--tls-cert", folder / "cert.pem", "--tls-key", folder / "key.pem"]
    flags += ["--tls-client-ca", folder / "clients.pem", "--tokens", folder / "tokens.toml"]
    server = Server(folder, *map(str, flags))
    server.folder = folder
    yield server
    server.stop()


def own(folder):
    return {
        "ca_certificate": folder / "ca.pem",
        "certificate": folder / "caller.pem",
        "private_key": folder / "caller_key.pem",
    }


def test_this_package_shows_its_certificate_and_token(guarded, published):
    with cvm.connect(guarded.target, token=SCORER, **own(guarded.folder)) as client:
        scores = client.score("retail", ROW, horizon=39)
        assert scores["p_alive"].tobytes() == published.p_alive(ROW).tobytes()
        assert [model.name for model in client.models()] == ["retail"]
    with cvm.connect(guarded.target, token=VIEWER, **own(guarded.folder)) as client:
        assert client.models()
        with pytest.raises(cvm.AccessDeniedError, match="`viewer` lacks the role `score`"):
            client.score("retail", ROW, horizon=39)
    for token in (None, "guess"):
        with (
            cvm.connect(guarded.target, token=token, **own(guarded.folder)) as client,
            pytest.raises(PermissionError, match="token"),
        ):
            client.score("retail", ROW, horizon=39)


def test_a_caller_without_the_certificate_gets_nothing(guarded):
    only_ca = {"ca_certificate": guarded.folder / "ca.pem"}
    with (
        pytest.raises(REFUSED),
        cvm.connect(guarded.target, token=SCORER, **only_ca) as client,
    ):
        client.score("retail", ROW, horizon=39)
    with pytest.raises(REFUSED), cvm.connect(guarded.target) as client:
        client.score("retail", ROW, horizon=39)


def test_stock_grpcio_gets_in_the_same_way(guarded):
    read = {name: path.read_bytes() for name, path in own(guarded.folder).items()}
    credentials = grpc.ssl_channel_credentials(
        read["ca_certificate"], read["private_key"], read["certificate"]
    )
    with grpc.secure_channel(guarded.target, credentials) as channel:
        call = channel.unary_unary("/cvm.v1.ModelService/ListModels")
        with pytest.raises(grpc.RpcError) as raised:
            call(b"", timeout=10)
        assert raised.value.code() == grpc.StatusCode.UNAUTHENTICATED
        answer = call(b"", timeout=10, metadata=[("authorization", f"Bearer {VIEWER}")])
        assert b"models/retail" in answer


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ({"token": "two\nlines"}, "token"),
        ({"ca_certificate": "absent.pem"}, "ca_certificate: cannot be read"),
        ({"certificate": __file__}, "certificate: is .*PEM"),
        ({"ca_certificate": __file__}, "ca_certificate"),
    ],
)
def test_wrong_credentials_are_named(arguments, match):
    with pytest.raises(cvm.CvmError, match=match):
        cvm.connect("127.0.0.1:1", timeout=5, **arguments)


def ask(url, token=None, body=None):
    headers = {"authorization": f"Bearer {token}"} if token else {}
    request = urllib.request.Request(url, data=body, headers=headers)  # noqa: S310 - loopback
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def test_http_scores_and_shows_to_those_with_the_role(tmp_path, published):
    published.save(tmp_path / "retail.cvm")
    tokens = entry("scorer", SCORER, ["score"]) + entry("viewer", VIEWER, ["read"])
    (tmp_path / "tokens.toml").write_text(tokens)
    flags = ["--http-listen", "127.0.0.1:0", "--tokens", str(tmp_path / "tokens.toml")]
    server = Server(tmp_path, *flags)
    try:
        base = f"http://{server.http_target}"
        body = json.dumps({"columns": ROW, "options": {"horizon_periods": 39}}).encode()
        url = f"{base}/v1/models/retail:score"
        status, answer = ask(url, SCORER, body)
        assert status == 200
        value = json.loads(answer)["outputs"]["expected_purchases"][0]
        assert value == published.expected_purchases(ROW, horizon=39)[0]
        assert ask(url, VIEWER, body)[0] == 403
        assert ask(url, None, body)[0] == 401
        assert ask(f"{base}/metrics")[0] == 401
        assert "cvm_rows_total" in ask(f"{base}/metrics", VIEWER)[1]
        assert ask(f"{base}/livez") == (200, "ok")
        assert np.isfinite(json.loads(ask(f"{base}/status.json", VIEWER)[1])["up_seconds"])
    finally:
        server.stop()


RULES = """
issuer = "https://login.example"
audience = "cvm"
algorithms = ["ES256", "ES384", "EdDSA", "RS256", "RS512", "PS256"]
roles_claim = "scope"
[roles]
"cvm:score" = ["score", "read"]
"""
KEYS = {
    "RS256": rsa.generate_private_key(65537, 2048),
    "RS512": rsa.generate_private_key(65537, 2048),
    "PS256": rsa.generate_private_key(65537, 2048),
    "ES256": ec.generate_private_key(ec.SECP256R1()),
    "ES384": ec.generate_private_key(ec.SECP384R1()),
    "EdDSA": ed25519.Ed25519PrivateKey.generate(),
}


def signed(algorithm, key, key_id, **claims):
    """Make a token as PyJWT makes them."""
    usual = {"iss": "https://login.example", "aud": "cvm", "exp": int(time.time()) + 300}
    usual |= {"sub": "kim", "scope": "openid cvm:score"}
    return jwt.encode(usual | claims, key, algorithm=algorithm, headers={"kid": key_id})


def public(algorithm, key, key_id):
    made = jwt.get_algorithm_by_name(algorithm).to_jwk(key.public_key(), as_dict=True)
    return made | {"kid": key_id, "use": "sig"}


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits long")
def test_tokens_that_another_library_signs_get_in(tmp_path, published):
    published.save(tmp_path / "retail.cvm")
    weak = rsa.generate_private_key(65537, 1024)  # noqa: S505 - to be refused
    keys = [public(name, key, name) for name, key in KEYS.items()]
    keys.append(public("RS256", weak, "weak"))
    keys.append(public("RS256", KEYS["RS256"], "for-encryption") | {"use": "enc"})
    keys.append(public("RS256", KEYS["RS256"], "for-PS256") | {"alg": "PS256"})
    (tmp_path / "jwt.toml").write_text(RULES)
    (tmp_path / "jwks.json").write_text(json.dumps({"keys": keys}))
    flags = ["--jwt", str(tmp_path / "jwt.toml"), "--jwks", str(tmp_path / "jwks.json")]
    server = Server(tmp_path, *flags)
    try:

        def answer(token):
            with cvm.connect(server.target, token=token) as client:
                return client.score("retail", ROW, horizon=39)

        for name, key in KEYS.items():
            assert answer(signed(name, key, name))["p_alive"] == published.p_alive(ROW), name
        own = KEYS["RS256"]
        for token in [
            signed("RS256", weak, "weak"),
            signed("RS256", own, "for-encryption"),
            signed("RS256", own, "for-PS256"),
            signed("RS384", own, "RS256"),
            signed("RS256", own, "PS256"),
            signed("RS256", own, "RS256", exp=int(time.time()) - 3600),
            signed("RS256", own, "RS256", aud="other"),
            jwt.encode({"iss": "https://login.example"}, None, algorithm="none"),
        ]:
            with pytest.raises(PermissionError, match="refused"):
                answer(token)
        with pytest.raises(cvm.AccessDeniedError, match="`kim` lacks the role `read`"):
            answer(signed("ES256", KEYS["ES256"], "ES256", scope="openid"))
    finally:
        server.stop()
