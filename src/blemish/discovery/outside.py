"""Run a file from outside, from the very text whose hash is told."""

from __future__ import annotations

import importlib
import os
import sys
from types import ModuleType

from blemish.discovery.source import Source, fault


def is_path(name: str) -> bool:
    """Whether a name is the path of a file: it ends in .py, or has a separator in it."""
    return name.endswith(".py") or "/" in name or os.sep in name


def imported(source: Source) -> ModuleType:
    """The module of a source from outside, run unless it was.

    Raises BlemishError, with the file and the line, for whatever running it raises.
    """
    if source.module in sys.modules:
        return sys.modules[source.module]
    try:
        if source.distribution is not None:
            return importlib.import_module(source.module)
        return _run(source)
    except (Exception, SystemExit) as error:  # all that a stranger's file can raise is its fault
        raise fault(source.path, error) from error


def _run(source: Source) -> ModuleType:
    """No byte code is left beside the file, and nothing else is found by it."""
    code = compile(source.text, str(source.path), "exec", dont_inherit=True)
    module = ModuleType(source.module)
    module.__file__ = str(source.path)
    sys.modules[source.module] = module  # where dataclasses look for the names of types
    try:
        exec(code, vars(module))
    except BaseException:
        del sys.modules[source.module]
        raise
    return module
