"""A docstring of a public function names the errors that the function itself raises, and no error that there is not."""

from __future__ import annotations

import ast
import builtins
import importlib
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

import django.db
import pytest

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("analytics", "api", "fanout", "ingest", "marketdata", "terminals")
FILES = sorted(
    path.relative_to(ROOT)
    for room in ROOMS
    for path in (ROOT / room).rglob("*.py")
    if "migrations" not in path.parts and path.name != "__main__.py"
)
NAMED = re.compile(r"\b[A-Z]\w*(?:Error|Exception)\b", re.ASCII)
Function = ast.FunctionDef | ast.AsyncFunctionDef


def module_of(path: Path) -> ModuleType:
    """Its module; skips what wants a library that only servers have."""
    if "engine" in path.parts:
        pytest.importorskip("MySQLdb", reason="only servers have mysqlclient")
    parts = path.with_suffix("").parts
    return importlib.import_module(".".join(parts[:-1] if parts[-1] == "__init__" else parts))


def public(node: ast.AST) -> Iterator[Function]:
    """The functions and methods whose names, and those of their classes, do not begin with _."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, Function | ast.ClassDef) and not child.name.startswith("_"):
            if isinstance(child, Function):
                yield child
            else:
                yield from public(child)


def resolved(module: ModuleType, expression: ast.expr) -> object:
    """What a name, dotted or not, is in a module; None if it is known within a function only."""
    found: object = module
    for number, name in enumerate(ast.unparse(expression).split(".")):
        found = getattr(found, name, None if number else getattr(builtins, name, None))
    return found


def raised(module: ModuleType, node: ast.AST, caught: tuple[type, ...] = ()) -> Iterator[type]:
    """The classes of the errors that leave this code by a `raise` of its own."""
    if isinstance(node, Function | ast.Lambda | ast.ClassDef):  # another function's
        return
    if isinstance(node, ast.Try):
        types = [handler.type for handler in node.handlers if handler.type is not None]
        flat = [one for type_ in types for one in (type_.elts if isinstance(type_, ast.Tuple) else [type_])]
        inner = tuple(one for one in (resolved(module, name) for name in flat) if isinstance(one, type))
        for tried in node.body:
            yield from raised(module, tried, (*caught, *inner))
        for rest in (*node.handlers, *node.orelse, *node.finalbody):
            yield from raised(module, rest, caught)
        return
    if isinstance(node, ast.Raise) and node.exc is not None:
        name = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
        what = resolved(module, name)
        if isinstance(what, type) and issubclass(what, BaseException) and not issubclass(what, caught):
            yield what
    for child in ast.iter_child_nodes(node):
        yield from raised(module, child, caught)


def is_known(name: str, module: ModuleType) -> bool:
    """Whether there is such an error: of the module, of Python, of Django's databases, or of any code of ours."""
    return any(hasattr(place, name) for place in (module, builtins, django.db)) or name in known()


@cache
def known() -> set[str]:
    """The names of all errors that our code defines, imports or reaches by a dot."""
    found: set[str] = set()
    for path in FILES:
        code = (ROOT / path).read_text(encoding="utf-8")
        if NAMED.search(code) is None:
            continue
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.ImportFrom):
                found.update(alias.name for alias in node.names)
            elif isinstance(node, ast.Attribute):
                found.add(node.attr)
    return found


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_docstring_names_the_errors_that_are_raised_and_no_others(path):
    module, unsaid, unknown = module_of(path), [], []
    for function in public(ast.parse((ROOT / path).read_text(encoding="utf-8"))):
        text = ast.get_docstring(function)
        if text is None:  # what it overrides says it, or it has nothing to say
            continue
        own = {what for part in function.body for what in raised(module, part)} - {AssertionError, NotImplementedError}
        unsaid += [f"{function.name}: {what.__name__}" for what in own if what.__name__ not in text]
        unknown += [f"{function.name}: {name}" for name in NAMED.findall(text) if not is_known(name, module)]

    assert (unsaid, unknown) == ([], [])
