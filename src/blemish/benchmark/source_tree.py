"""Python source as a tree of what can change a result, written the same by every Python.

Words are left out: docstrings, comments, places in the file, annotations of functions and
variables, the texts of errors and of the log, and what only a type checker reads.
"""

from __future__ import annotations

import ast
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

_LOGS = {"log", "logger", "logging", "warnings"}
_LOGGED = {"debug", "info", "warning", "warn", "error", "exception", "critical"}
_LEFT_OUT = {"ctx", "kind", "type_comment", "type_ignores"}


@dataclass(frozen=True)
class Reference:
    """A name that stands for what is defined elsewhere: "numpy", "blemish.errors.BlemishError"."""

    target: str


Piece = str | Reference
Target = Callable[[ast.expr], Reference | None]


def executed(body: list[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module, without what only a type checker reads."""
    for statement in body:
        if isinstance(statement, ast.If) and _is_name(statement.test, "TYPE_CHECKING"):
            yield from executed(statement.orelse)
        else:
            yield statement


def without_words(statement: ast.stmt) -> list[ast.stmt]:
    """A statement of a module without its words, itself and its imports gone where that is all.

    The tree that was given is changed.
    """
    found = _Wordless().visit(statement)
    if found is None:
        return []
    return found if isinstance(found, list) else [found]


def pieces(node: object, target: Target) -> Iterator[Piece]:
    """A tree as text, with a reference for each name that `target` knows."""
    if isinstance(node, list):
        yield "["
        for one in node:
            yield from pieces(one, target)
            yield ","
        yield "]"
    elif isinstance(node, ast.Constant):
        yield f"{type(node.value).__name__} {node.value!a}"
    elif isinstance(node, ast.expr) and (reference := target(node)) is not None:
        yield reference
    elif isinstance(node, ast.AST):
        yield f"{type(node).__name__}("
        # A newer Python has more fields, which source that an older one reads leaves empty.
        for name in sorted(set(node._fields) - _LEFT_OUT):
            value = getattr(node, name, None)
            if value is not None and value != []:
                yield f"{name}="
                yield from pieces(value, target)
                yield ";"
        yield ")"
    else:
        yield ascii(node)


class _Wordless(ast.NodeTransformer):
    """Leaves out words."""

    in_class = False

    def generic_visit(self, node: ast.AST) -> ast.AST:
        for field in ("body", "orelse", "finalbody"):
            if isinstance(statements := getattr(node, field, None), list):
                setattr(node, field, list(executed(statements)))
        return super().generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        return self._inside(node, True)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns = None
        return self._inside(node, False)

    def visit_AsyncFunctionDef(self, node: ast.AsyncFunctionDef) -> ast.AST:
        node.returns = None
        return self._inside(node, False)

    def _inside(self, node: ast.AST, in_class: bool) -> ast.AST:
        before, self.in_class = self.in_class, in_class
        node = self.generic_visit(node)
        self.in_class = before
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        if self.in_class:  # a field, whose type decides what a setting is read as
            return self.generic_visit(node)
        if node.value is None:
            return None
        return self.generic_visit(ast.Assign([node.target], node.value))

    def visit_Pass(self, node: ast.Pass) -> None:
        return None

    def visit_Import(self, node: ast.Import) -> None:
        return None  # the names that it binds are resolved where they are used

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        return None

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        if isinstance(node.value, ast.Constant):  # a docstring
            return None
        if isinstance(node.value, ast.Call) and _logs(node.value.func):
            _drop_texts(node.value)
        return self.generic_visit(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            _drop_texts(node.exc)
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        node.msg = None
        return self.generic_visit(node)

    def visit_JoinedStr(self, node: ast.JoinedStr) -> ast.AST:
        """Pythons differ in how they cut the plain text of an f-string."""
        self.generic_visit(node)
        values: list[ast.expr] = []
        for value in node.values:
            inner = value.values if isinstance(value, ast.JoinedStr) else [value]
            for one in inner:
                if not isinstance(one, ast.Constant):
                    values.append(one)
                elif values and isinstance(last := values[-1], ast.Constant):
                    values[-1] = ast.Constant(str(last.value) + str(one.value))
                elif one.value:
                    values.append(one)
        if all(isinstance(value, ast.Constant) for value in values):
            return values[0] if values else ast.Constant("")
        return ast.JoinedStr(values)

    def visit_FormattedValue(self, node: ast.FormattedValue) -> ast.AST:
        self.generic_visit(node)
        empty = isinstance(node.format_spec, ast.Constant) and not node.format_spec.value
        return ast.FormattedValue(
            node.value, node.conversion, None if empty else cast(ast.expr, node.format_spec)
        )


def _logs(function: ast.expr) -> bool:
    return (
        isinstance(function, ast.Attribute)
        and function.attr in _LOGGED
        and any(_is_name(function.value, name) for name in _LOGS)
    )


def _drop_texts(call: ast.Call) -> None:
    call.args = [_without_text(argument) for argument in call.args]
    for keyword in call.keywords:
        keyword.value = _without_text(keyword.value)


def _without_text(node: ast.expr) -> ast.expr:
    """Nothing in the place of a text; what else is there may be data, and stays."""
    if isinstance(node, ast.JoinedStr) or (
        isinstance(node, ast.Constant) and isinstance(node.value, str)
    ):
        return ast.Constant("")
    if isinstance(node, ast.BinOp):
        left, right = _without_text(node.left), _without_text(node.right)
        words = [_is_text(side) for side in (left, right)]
        return ast.Constant("") if all(words) else ast.BinOp(left, node.op, right)
    return node


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name
