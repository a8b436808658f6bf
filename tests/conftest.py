"""What the tests share: a cache of their own, a small data set, and a model of it."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from plates import save_set
from running import Cli, Run, run_of

from blemish.cli import main

# On a busy machine an example may take any time; that says nothing of what is tested.
settings.register_profile("any-speed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any-speed")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test reads or fills the cache and the backbones of the person who runs it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BLEMISH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("BLEMISH_BACKBONES", str(tmp_path_factory.mktemp("backbones")))
        patch.setenv("BLEMISH_THREADS", "2")
        yield


@pytest.fixture(scope="session", autouse=True)
def _own_mistakes() -> Iterator[None]:
    """No mistake of ours is taken for damage to a picture."""
    with pytest.MonkeyPatch.context() as patch:
        mistakes = AttributeError, NameError, TypeError, AssertionError
        patch.setattr("blemish.images.reading.MISTAKES", mistakes)
        yield


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> Cli:
    """`cli("train", ...)` runs a command in this process."""

    def run(*argv: object) -> Run:
        capsys.readouterr()
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            try:
                code = main([str(argument) for argument in argv])
            except SystemExit as stop:
                code = stop.code if isinstance(stop.code, int) else 2
        captured = capsys.readouterr()
        logged = [f"{record.levelname}: {record.getMessage()}" for record in caplog.records]
        return run_of(code, captured.out, logged + captured.err.splitlines())

    return run


@pytest.fixture(scope="session")
def plates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound data set of plates in the layout of MVTec AD; nobody changes it."""
    return save_set(tmp_path_factory.mktemp("data") / "plates")


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory, plates: Path) -> Path:
    """A model of the plates; nobody changes it."""
    path = tmp_path_factory.mktemp("model") / "plates.blemish"
    assert main(["train", str(plates), "-o", str(path), "--size", "64", "--quiet"]) == 0
    return path
