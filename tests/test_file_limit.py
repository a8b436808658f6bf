"""One limit for what a file's content may take; only regular files are opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from blemish.errors import BlemishError
from blemish.util import file_limit
from blemish.util.file_limit import DEFAULT, NAME, refusal
from blemish.util.files import open_regular, read_regular


@pytest.mark.parametrize(
    ("text", "size"),
    [("8GB", 8 * 10**9), ("1.5 gb", 1_500_000_000), ("300 MB", 3 * 10**8), ("70000", 70000)],
)
def test_the_limit_is_the_one_that_was_set(
    text: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, text)
    assert file_limit.file_limit() == size
    assert refusal(size) is None
    refused = refusal(size + 1)
    assert refused is not None
    assert NAME in refused


@pytest.mark.parametrize("text", ["", "much", "-1", "0", "1e9", "8 PB", "9" * 400])
def test_a_limit_that_is_no_size_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, text)
    with pytest.raises(BlemishError, match=NAME):
        file_limit.file_limit()


def test_the_refusal_names_a_limit_that_lets_it_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(NAME, "1GB")
    refused = refusal(9_500_000_000)
    assert refused is not None
    assert "9.5 GB" in refused
    monkeypatch.setenv(NAME, refused.split(f"{NAME}=")[1].split()[0])
    assert refusal(9_500_000_000) is None


def test_by_default_a_file_may_take_half_of_the_memory_at_hand(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(NAME, raising=False)
    memory = tmp_path / "meminfo"
    monkeypatch.setattr(file_limit, "_MEMORY", memory)
    monkeypatch.setattr(file_limit, "_GROUP", tmp_path)
    assert file_limit.file_limit() == DEFAULT  # of 8 GiB, where nothing tells the memory
    memory.write_text("MemTotal: 9 kB\nMemAvailable:    2000 kB\n", "ascii")
    assert file_limit.file_limit() == 1000 * 1024
    (tmp_path / "memory.max").write_text("max\n", "ascii")
    (tmp_path / "memory.current").write_text("24000\n", "ascii")
    assert file_limit.file_limit() == 1000 * 1024
    (tmp_path / "memory.max").write_text("1024000\n", "ascii")
    assert file_limit.file_limit() == 500_000


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    file = tmp_path / "a"
    file.write_bytes(b"abc")
    (tmp_path / "link").symlink_to(file)
    assert read_regular(file) == read_regular(tmp_path / "link") == b"abc"
    os.mkfifo(tmp_path / "pipe")  # with nobody at the other end, opening it would wait for ever
    for path in (
        tmp_path / "pipe",
        Path("/dev/zero"),
        tmp_path,
        tmp_path / "none",
        "a\0b",
        "\ud800",
    ):
        with pytest.raises(OSError) as caught:  # noqa: PT011 - the text is compared below
            open_regular(path)
        assert caught.value.strerror


def test_a_file_beyond_the_limit_is_not_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(NAME, "1MB")
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(10**12)
    with pytest.raises(OSError, match=NAME):
        read_regular(tmp_path / "sparse")
