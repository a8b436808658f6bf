"""The definitions of a package that a run reaches, and hashes that do not depend on file names.

A function, a class or a constant is hashed without the names of its file and of its package: what
it names is hashed with it, so that an import of another definition of the same name tells, and one
from another place does not. What `import_module` or a `Kind` finds in a package by the name of a
file is all of that package. A module's other statements are executed by whoever imports it, and
count in their order.
"""

from __future__ import annotations

import ast
import functools
import hashlib
import sys
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from blemish.benchmark.source_tree import Piece, Reference, executed, pieces, without_words

_DEPTH = 4  # how far a name is followed to tell apart what is called alike
_LEFT_OUT = {"__all__", "__version__"}


@dataclass(frozen=True, eq=False)
class Definition:
    """Statements of a module that bind a name, or those of its import that do more than that."""

    module: str
    pieces: tuple[Piece, ...]

    @property
    def references(self) -> list[str]:
        """What it names, as dotted names."""
        return [piece.target for piece in self.pieces if isinstance(piece, Reference)]

    @property
    def opens_by_name(self) -> bool:
        """Whether it imports a module of its own package whose name it is told."""
        by_kind = any(target.endswith(".discovery.Kind") for target in self.references)
        return "'__name__'" in self.pieces and (by_kind or "'import_module'" in self.pieces)


@dataclass(eq=False)
class Module:
    """A source file: its definitions by the names they bind, and the names that it imports."""

    name: str
    definitions: dict[str, Definition] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    executed: Definition | None = None


Found = Definition | Module | None


@dataclass(frozen=True, eq=False)
class Package:
    """The source below a folder, read when it is needed, and once.

    Nothing is followed into modules whose names begin as in `ends`, but for those in `entrances`.
    The modules of the packages `chosen` are reached by their own names alone.
    """

    root: Path
    entrances: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()

    @functools.cached_property
    def _modules(self) -> dict[str, Module | None]:
        return {}

    @functools.cached_property
    def _digests(self) -> dict[tuple[Definition | Module, int], str]:
        return {}

    def module(self, name: str) -> Module | None:
        """The module of that dotted name, None where there is no file of it."""
        if name not in self._modules:
            path = self.root.joinpath(*name.split(".")[1:])
            files = (path / "__init__.py", path.with_suffix(".py"))
            file = next((file for file in files if file.is_file()), None)
            inside = name.partition(".")[0] == self.root.name and file is not None
            self._modules[name] = _read(name, file, self) if inside and file else None
        return self._modules[name]

    def find(self, target: str) -> Found:
        """What a dotted name stands for; None for what is not in the package, or not followed."""
        for _ in range(10):  # a circle of imports defines nothing
            parent, _, name = target.rpartition(".")
            home = self.module(parent) if parent else None
            if home is not None and name in home.definitions:
                return None if self._ends(parent) else home.definitions[name]
            if (module := self.module(target)) is not None:
                return None if self._ends(target) else module
            if home is None or name not in home.aliases:
                return None
            target = home.aliases[name]
        return None

    def reached(self, roots: Iterable[str]) -> frozenset[Definition]:
        """The definitions reachable from those of some modules."""
        seen: set[Definition] = set()
        imported: set[str] = set()
        waiting: list[Definition] = []

        def enter(name: str) -> None:
            """What importing a module does: that of its packages, its own, that of its imports."""
            if name in imported or self._ends(name):
                return
            imported.add(name)
            if (module := self.module(name)) is not None:
                waiting.extend([] if module.executed is None else [module.executed])
                for other in (name, *module.aliases.values()):
                    enter(other.rpartition(".")[0])
                    enter(other)

        def take(found: Found) -> None:
            if isinstance(found, Definition):
                waiting.append(found)
            elif found is not None:
                enter(found.name)
                waiting.extend(_contents(found))

        for root in roots:
            if (module := self.module(root)) is not None:
                take(module)
                for target in module.aliases.values():
                    take(self.find(target))
        while waiting:
            if (definition := waiting.pop()) in seen:
                continue
            seen.add(definition)
            enter(definition.module)
            if definition.opens_by_name and definition.module not in self.chosen:
                for module in self._inside(definition.module):
                    take(module)
            for target in definition.references:
                take(self.find(target))
        return frozenset(seen)

    def libraries(self, definitions: Iterable[Definition]) -> set[str]:
        """The other packages that some definitions name."""
        every = {target.partition(".")[0] for one in definitions for target in one.references}
        return every - {self.root.name} - sys.stdlib_module_names

    def _ends(self, name: str) -> bool:
        return name.startswith(self.ends) and name not in self.entrances

    def _inside(self, name: str) -> Iterator[Module]:
        folder = self.root.joinpath(*name.split(".")[1:])
        for path in sorted(folder.iterdir()) if folder.is_dir() else ():
            if (module := self.module(f"{name}.{path.stem}")) is not None:
                yield module

    def digest(self, one: Definition | Module, depth: int = _DEPTH) -> str:
        """A hash of a definition and, so deep, of those that it names; of all those of a module."""
        if (one, depth) not in self._digests:
            if isinstance(one, Module):
                inner = sorted(self.digest(definition, depth) for definition in _contents(one))
            else:
                inner = [self._text(piece, depth) for piece in one.pieces]
            digest = hashlib.sha256("".join(inner).encode()).hexdigest()
            self._digests[one, depth] = digest
        return self._digests[one, depth]

    def _text(self, piece: Piece, depth: int) -> str:
        if isinstance(piece, str):
            return piece
        found = self.find(piece.target)
        inside = piece.target.partition(".")[0] == self.root.name
        # The name of a module is that of its file, and says nothing.
        name = piece.target.rpartition(".")[2] if inside else piece.target
        shown = "" if isinstance(found, Module) else name
        followed = "" if found is None or not depth else self.digest(found, depth - 1)
        return f"<{shown} {followed}>"


def _contents(module: Module) -> list[Definition]:
    return list(dict.fromkeys(module.definitions.values()))


def _read(name: str, file: Path, package: Package) -> Module:
    module = Module(name)
    folder = name if file.name == "__init__.py" else name.rpartition(".")[0]
    by_name: dict[str, list[ast.stmt]] = {}
    steps: list[ast.stmt] = []
    acts = False
    inner: dict[ast.stmt, list[tuple[str, str]]] = {}
    for statement in executed(ast.parse(file.read_bytes()).body):
        aliases = list(_imports(statement, folder))
        names, plain = _bound(statement)
        if names & _LEFT_OUT:
            continue
        if isinstance(statement, ast.Import | ast.ImportFrom):
            module.aliases |= dict(aliases)
            continue
        wordless = without_words(statement)
        if not isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            module.aliases |= dict(aliases)  # of a condition
            steps += wordless
            acts = acts or (bool(wordless) and not plain)
        for one in wordless:
            inner[one] = aliases
            for bound in names:
                by_name.setdefault(bound, []).append(one)

    def defined(statements: Collection[ast.stmt]) -> Definition:
        found: list[Piece] = []
        for one in statements:
            known = {**module.aliases, **{n: f"{name}.{n}" for n in by_name}, **dict(inner[one])}
            found += pieces(one, functools.partial(_target, known, package))
            found += [Reference(target) for n, target in inner[one] if known[n] != target]
        return Definition(name, tuple(found))

    made: dict[tuple[int, ...], Definition] = {}
    for bound, statements in by_name.items():
        same = tuple(map(id, statements))
        if same not in made:
            made[same] = defined(statements)
        module.definitions[bound] = made[same]
    module.executed = defined(steps) if acts else None
    return module


def _target(known: dict[str, str], package: Package, node: ast.expr) -> Reference | None:
    """What a name, or a name in a module, stands for."""
    if isinstance(node, ast.Name) and node.id in known:
        return Reference(known[node.id])
    if isinstance(node, ast.Attribute):
        base = _target(known, package, node.value)
        if base is not None and _is_module(base.target, package.root):
            return Reference(f"{base.target}.{node.attr}")
    return None


def _is_module(target: str, root: Path) -> bool:
    """Whether it has a file; a look inside may come too early, in the middle of a circle."""
    first, *rest = target.split(".")
    path = root.joinpath(*rest)
    return first == root.name and (path.with_suffix(".py").is_file() or path.is_dir())


def _bound(statement: ast.stmt) -> tuple[set[str], bool]:
    """The names that a statement of a module binds, and whether that is all it does."""
    if isinstance(statement, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return {statement.name}, True
    if isinstance(statement, ast.Assign | ast.AnnAssign | ast.AugAssign):
        targets = statement.targets if isinstance(statement, ast.Assign) else [statement.target]
        plain = all(isinstance(target, ast.Name | ast.Tuple) for target in targets)
        return {name for target in targets for name in _stored(target)}, plain
    return set(_stored(statement)), isinstance(statement, ast.Import | ast.ImportFrom)


def _stored(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node.id
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.name


def _imports(statement: ast.stmt, folder: str) -> Iterator[tuple[str, str]]:
    """The names that a statement imports, wherever in it, and what they stand for."""
    for node in ast.walk(statement):
        if isinstance(node, ast.Import):
            for alias in node.names:
                first = alias.name.partition(".")[0]
                yield (alias.asname or first), (alias.name if alias.asname else first)
        elif isinstance(node, ast.ImportFrom):
            above = folder.split(".")[: len(folder.split(".")) - node.level + 1]
            start = ".".join(filter(None, [*(above if node.level else []), node.module]))
            for alias in node.names:
                yield alias.asname or alias.name, f"{start}.{alias.name}"
