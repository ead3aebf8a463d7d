"""`_core.pyi` says what the built module has, and the package uses all of it."""

from __future__ import annotations

import ast
import inspect
from pathlib import Path

import pytest

import cvm
from cvm import _core

PACKAGE = Path(cvm.__file__).parent
STUB = ast.parse((PACKAGE / "_core.pyi").read_text())
# What Python gives every class or module.
INHERITED = set(dir(object)) | {"__module__", "__new__"}


def stub_classes():
    return {
        node.name: node
        for node in STUB.body
        if isinstance(node, ast.ClassDef) and node.name.startswith("Raw")
    }


def stub_functions(body):
    return {node.name: node for node in body if isinstance(node, ast.FunctionDef)}


def built(kind):
    return {
        name for name, value in vars(_core).items() if kind(value) and not name.startswith("__")
    }


def test_classes_and_functions_are_the_same():
    assert built(inspect.isclass) == set(stub_classes())
    assert built(inspect.isbuiltin) == set(stub_functions(STUB.body))
    values = {node.target.id for node in STUB.body if isinstance(node, ast.AnnAssign)}
    constants = {name for name in values if hasattr(_core, name)}
    assert constants == {"CATALOG", "ROW_STATUS", "__version__"}


@pytest.mark.parametrize("name", list(stub_classes()))
def test_members_are_the_same(name):
    node, cls = stub_classes()[name], getattr(_core, name)
    stubbed = stub_functions(node.body)
    assert set(vars(cls)) - INHERITED - {"__doc__"} == set(stubbed) - INHERITED
    for member, function in stubbed.items():
        is_property = any(getattr(d, "id", "") == "property" for d in function.decorator_list)
        assert inspect.isgetsetdescriptor(vars(cls)[member]) == is_property, member


def signatures():
    for name, node in stub_functions(STUB.body).items():
        yield name, node, getattr(_core, name)
    for class_name, cls in stub_classes().items():
        for name, node in stub_functions(cls.body).items():
            value = getattr(getattr(_core, class_name), name)
            if callable(value) and not name.startswith("__"):
                yield f"{class_name}.{name}", node, value


@pytest.mark.parametrize(
    ("name", "node", "value"), list(signatures()), ids=lambda v: v if isinstance(v, str) else ""
)
def test_arguments_are_the_same(name, node, value):
    stubbed = [argument.arg for argument in node.args.args]
    built_names = list(inspect.signature(value).parameters)
    assert built_names == stubbed, name
    assert value.__doc__, f"{name} has no documentation"


def test_the_package_uses_every_member():
    source = "".join(path.read_text() for path in PACKAGE.rglob("*.py"))
    tests = "".join(path.read_text() for path in Path(__file__).parent.glob("*.py"))
    hooks = {"column_addresses"}
    for name in stub_functions(STUB.body):
        assert f"{name}(" in (tests if name in hooks else source), name
    for class_name, cls in stub_classes().items():
        for name in stub_functions(cls.body):
            text = tests if (class_name, name) == ("RawColumn", "kind") else source
            assert name.startswith("__") or f".{name}" in text, f"{class_name}.{name}"


def test_classes_are_made_by_their_own_constructors_only():
    for name in stub_classes():
        with pytest.raises(TypeError):
            getattr(_core, name)()
    column = _core.RawColumn.from_objects("x", [1.0])
    with pytest.raises(AttributeError):
        column.anything = 1


def test_version_is_the_workspace_s():
    root = PACKAGE.parents[1]
    manifest = (root / "Cargo.toml").read_text()
    assert f'version = "{cvm.__version__}"' in manifest


def test_public_names_are_documented():
    for name in cvm.__all__:
        value = getattr(cvm, name)
        assert name == "__version__" or inspect.getdoc(value), name
        if inspect.isclass(value) and not issubclass(value, BaseException | Warning):
            for member, function in vars(value).items():
                if not member.startswith("_") and callable(function):
                    assert inspect.getdoc(function), f"{name}.{member}"
    assert sorted(cvm.__all__) == list(cvm.__all__)
