"""What deploys the server speaks of settings that exist, and of Kubernetes as it is."""

import json
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import jsonschema
import kubernetes_validate
import pytest
import trustme
import yaml

from support import ROOT, server_binary

DEPLOY = ROOT / "deploy"
KUBERNETES = DEPLOY / "kubernetes"
CHART = DEPLOY / "helm" / "cvm-server"
# The newest that kubernetes-validate knows and the oldest that the chart allows are both served.
VERSIONS = ("1.25.0", "1.33.0")
NO_TOKENS = "token = []\n"


@pytest.fixture(scope="module")
def secrets(tmp_path_factory):
    """Files of the kinds that the settings name."""
    folder = tmp_path_factory.mktemp("secrets")
    own = trustme.CA().issue_cert("scores.example")
    own.cert_chain_pems[0].write_to_path(folder / "tls.crt")
    own.private_key_pem.write_to_path(folder / "tls.key")
    (folder / "tokens.toml").write_text(NO_TOKENS)
    (folder / "models").mkdir()
    return folder


def check(text, folder):
    """Check a file of settings, its paths moved to files that are here."""
    moved = re.sub(r'"(?:/[\w.-]+)*/([\w.-]+)"', lambda found: f'"{folder}/{found[1]}"', text)
    path = folder / "server.toml"
    path.write_text(moved)
    command = [server_binary(), "check-config", "--config", path]
    return subprocess.run(command, capture_output=True, text=True, check=False, env={})


def documents(path):
    return [document for document in yaml.safe_load_all(path.read_text()) if document]


def manifests():
    names = yaml.safe_load((KUBERNETES / "kustomization.yaml").read_text())["resources"]
    assert set(names) == {path.name for path in KUBERNETES.glob("*.yaml")} - {"kustomization.yaml"}
    return [document for name in names for document in documents(KUBERNETES / name)]


def of_kind(found, kind):
    (one,) = [document for document in found if document["kind"] == kind]
    return one


@pytest.fixture(scope="module")
def chart():
    """The chart's manifests with its own values."""
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    return render(values), values


def render(values):
    own = yaml.safe_load((CHART / "Chart.yaml").read_text())
    scope = {
        "Values": values,
        "Release": {"Name": "scores"},
        "Chart": {"Name": own["name"], "AppVersion": own["appVersion"]},
    }
    helpers = Template((CHART / "templates" / "_helpers.tpl").read_text(), {})
    helpers.render(scope)
    found = []
    for path in sorted((CHART / "templates").glob("*.yaml")):
        text = Template(path.read_text(), helpers.defined).render(scope)
        found += [document for document in yaml.safe_load_all(text) if document]
    return found


class Template:
    """The few constructs of Helm's templates that the chart uses; any other is an error."""

    TAG = re.compile(r"\{\{(-?) *(.*?) *(-?)\}\}", re.DOTALL)

    def __init__(self, text, defined):
        self.defined = defined
        text, *rest = self.TAG.split(text)
        self.parts = [text]
        for left, code, right, after in zip(*(rest[i::4] for i in range(4)), strict=True):
            if left:
                self.parts[-1] = self.parts[-1].rstrip()
            self.parts += [(code,), after.lstrip() if right else after]

    def render(self, scope):
        parts = iter(self.parts)
        return self._until_end(parts, scope, scope, skip=False)

    def _until_end(self, parts, scope, dot, *, skip):
        out = []
        for part in parts:
            if isinstance(part, str):
                out.append(part)
                continue
            (code,) = part
            word, _, rest = code.partition(" ")
            if word == "end":
                break
            if word == "define":
                inner = []
                for inside in parts:
                    if inside == ("end",):
                        break
                    inner.append(inside)
                self.defined[rest.strip('"')] = inner
            elif word == "with":
                value = self._value(rest, scope, dot)
                text = self._until_end(parts, scope, value, skip=not value)
                out.append(text if value else "")
            elif not skip:
                out.append(str(self._value(code, scope, dot)))
        return "".join(out)

    def _value(self, code, scope, dot):
        first, *pipes = [step.strip() for step in code.split("|")]
        value = self._call(first.split(), scope, dot)
        for pipe in pipes:
            name, *given = pipe.split()
            match name:
                case "nindent":
                    pad = " " * int(given[0])
                    value = "\n" + "\n".join(pad + line for line in value.splitlines())
                case "sha256sum":
                    value = f"sum-of-{len(value)}"
                case _:
                    raise NotImplementedError(pipe)
        return value

    def _call(self, words, scope, dot):
        name, *given = words
        given = [self._name(word, scope, dot) for word in given]
        match name:
            case "toYaml":
                return yaml.safe_dump(given[0]).rstrip("\n")
            case "toToml":
                # Helm reads numbers of YAML as floats, and writes them so.
                lines = {k: float(v) if type(v) is int else v for k, v in given[0].items()}
                return "\n".join(f"{k} = {json.dumps(v)}" for k, v in sorted(lines.items()))
            case "default":
                return given[1] or given[0]
            case "include":
                inner = Template("", self.defined)
                inner.parts = self.defined[given[0]]
                return inner.render(given[1]).strip()
            case _ if not given and name.startswith("."):
                return self._name(name, scope, dot)
        raise NotImplementedError(name)

    @staticmethod
    def _name(word, scope, dot):
        if word.startswith('"'):
            return word.strip('"')
        if word == ".":
            return dot
        value = scope
        for part in word[1:].split("."):
            value = value[part]
        return value


def pod_of(found):
    return of_kind(found, "Deployment")["spec"]["template"]["spec"]


def ends_in_time(grace_seconds, text):
    settings = tomllib.loads(text)
    return grace_seconds > settings["drain_delay_seconds"] + settings["drain_seconds"]


def test_the_settings_for_systemd_are_good(secrets):
    text = (DEPLOY / "server.toml").read_text()
    done = check(text, secrets)
    assert done.returncode == 0, done.stderr
    unit = (DEPLOY / "systemd" / "cvm-server.service").read_text()
    (grace,) = re.findall(r"^TimeoutStopSec=(\d+)$", unit, re.MULTILINE)
    assert ends_in_time(int(grace), text)
    assert unit.count("--config /etc/cvm/server.toml") == 2
    # The last word on a call counts: what gives threads their priority is among @resources.
    filters = re.findall(r"^SystemCallFilter=(.*)$", unit, re.MULTILINE)
    assert "@resources" in filters[-2]
    assert {"sched_setscheduler", "setpriority"} == set(filters[-1].split())


def test_the_check_sees_a_setting_that_is_none(secrets):
    done = check((DEPLOY / "server.toml").read_text() + "drain_second = 1\n", secrets)
    assert done.returncode == 2
    assert "did you mean `drain_seconds`?" in done.stderr


def test_systemd_understands_the_unit(tmp_path):
    judge = shutil.which("systemd-analyze")
    if judge is None:
        pytest.skip("systemd-analyze is not here")
    unit = (DEPLOY / "systemd" / "cvm-server.service").read_text()
    path = tmp_path / "cvm-server.service"
    path.write_text(unit.replace("/usr/local/bin/cvm-server", str(server_binary())))
    done = subprocess.run([judge, "verify", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("version", VERSIONS)
def test_the_manifests_are_kubernetes_own(version, chart):
    found = manifests() + chart[0]
    assert len(found) >= 10
    for document in found:
        kubernetes_validate.validate(document, version, strict=True)


def test_a_manifest_that_is_not_is_seen():
    wrong = of_kind(manifests(), "Deployment")
    wrong["spec"]["replica"] = 2
    with pytest.raises(kubernetes_validate.ValidationError, match="replica"):
        kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)


@pytest.mark.parametrize("source", ["kubernetes", "helm"])
def test_pods_run_with_settings_that_exist(source, chart, secrets):
    found = manifests() if source == "kubernetes" else chart[0]
    text = of_kind(found, "ConfigMap")["data"]["server.toml"]
    done = check(text, secrets)
    assert done.returncode == 0, done.stderr
    pod = pod_of(found)
    (container,) = pod["containers"]
    assert container["args"] == ["--config", "/etc/cvm/server.toml"]
    assert ends_in_time(pod["terminationGracePeriodSeconds"], text)
    # Ports, paths and mounts are those of the settings.
    settings = tomllib.loads(text)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    assert settings["listen"] == f"0.0.0.0:{ports['grpc']}"
    assert settings["probe_listen"] == f"0.0.0.0:{ports['probes']}"
    # What can score in clear is not reachable, and nothing has to be allowed.
    assert settings["http_listen"].startswith("127.0.0.1:")
    assert "allow_insecure_network" not in settings
    mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
    for name in ("models", "tls_cert", "tls_key", "tokens"):
        assert any(Path(settings[name]).is_relative_to(mount) for mount in mounts), name
    volumes = {volume["name"] for volume in pod["volumes"]}
    assert volumes == {mount["name"] for mount in container["volumeMounts"]}
    security = container["securityContext"]
    assert security["readOnlyRootFilesystem"]
    assert pod["securityContext"]["runAsNonRoot"]


def test_the_charts_values_fit_their_schema(chart):
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.validate(chart[1], schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(chart[1] | {"replica": 3}, schema)


def test_the_image_runs_the_server_as_nobody_special():
    lines = (DEPLOY / "Dockerfile").read_text().splitlines()
    said = [line.split(" ", 1) for line in lines if re.match(r"[A-Z]+ ", line)]
    assert [word for word, _ in said].count("FROM") == 2
    last = dict(said)
    assert last["USER"] == "65532:65532"
    assert json.loads(last["ENTRYPOINT"]) == ["/usr/local/bin/cvm-server"]
    told = dict(pair.split("=") for pair in last["ENV"].split())
    helped = subprocess.run(
        [server_binary(), "--help"], capture_output=True, text=True, check=True
    ).stdout
    for name in told:
        assert f"[env: {name}=" in helped, name
    packages = re.findall(r"-p ([\w-]+)", "\n".join(lines))
    for package in packages:
        assert any(
            f'name = "{package}"' in path.read_text() for path in ROOT.glob("**/Cargo.toml")
        ), package
