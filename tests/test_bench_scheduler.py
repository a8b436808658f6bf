"""Where a Dask scheduler should listen: what answers is one, or the sentence says what it is."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
import struct
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from bench_jobs import execute, job

from blemish.benchmark import cluster as module
from blemish.benchmark.cluster import Cluster
from blemish.benchmark.runner import run_bench
from blemish.benchmark.store import read_results
from blemish.errors import BlemishError

pytest.importorskip("distributed", reason="the extra blemish[bench] is not installed")

from test_bench_cluster import Processes, wait_for

Answer = Callable[[socket.socket], None]


@contextlib.contextmanager
def listening(answer: Answer) -> Iterator[str]:
    """A server on this machine that answers every connection so; its address."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        accepted: list[socket.socket] = []

        def serve() -> None:
            with contextlib.suppress(OSError):  # until the server is closed
                while True:
                    connection, _ = server.accept()
                    accepted.append(connection)
                    with contextlib.suppress(OSError):
                        answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield f"tcp://127.0.0.1:{server.getsockname()[1]}"
        for connection in accepted:
            connection.close()
        with contextlib.suppress(OSError):
            server.shutdown(socket.SHUT_RDWR)  # wakes who accepts


def bench(folder: Path, address: str) -> int:
    """One run at that address; how many were made."""
    cluster = Cluster(address)
    return run_bench([job(place=folder)], folder / "out", execute=execute, cluster=cluster).runs


def sends(data: bytes) -> Answer:
    return lambda connection: connection.sendall(data)


def of_dask(message: object) -> bytes:
    """A message as Dask sends it."""
    from distributed.protocol import dumps
    from distributed.protocol.utils import pack_frames_prelude

    frames = dumps(message)
    content = pack_frames_prelude(frames) + b"".join(map(bytes, frames))
    return struct.pack("<Q", len(content)) + content


def http(connection: socket.socket) -> None:
    connection.recv(64)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
    connection.close()


FOREIGN: dict[str, tuple[Answer, str]] = {
    "a web server": (http, "speaks otherwise"),
    "a server of SSH": (sends(b"SSH-2.0-OpenSSH_9.6\r\n"), "speaks otherwise"),
    "one that sends zeros": (sends(b"\0" * 65536), "speaks otherwise"),
    "one that closes at once": (
        lambda connection: connection.close(),
        "reset by peer|answers nothing",
    ),
    "one that never answers": (lambda connection: None, "nothing was said"),
    "one that promises more": (sends(struct.pack("<Q", 1000) + b"half"), "nothing was said"),
    "Dask of another protocol": (sends(of_dask({"protocol": 99})), "another version"),
}


@pytest.mark.parametrize("kind", FOREIGN)
def test_what_listens_there_is_no_scheduler(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 2)
    answer, reason = FOREIGN[kind]
    with (
        listening(answer) as address,
        pytest.raises(BlemishError, match=rf"answers at {address} \(.*({reason})"),
    ):
        bench(tmp_path, address)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("", "it is no address"),
        ("tcp://", "it is no address"),
        ("tcp://host", "missing port"),
        ("tcp://host:name", "it is no address"),
        ("http://127.0.0.1:80", "unknown address scheme"),
        ("tcp://127.0.0.1:9", "Connection refused|it answers nothing"),
    ],
)
def test_what_is_no_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str, reason: str
) -> None:
    monkeypatch.setattr(module, "_PATIENCE", 1)
    with pytest.raises(
        BlemishError, match=rf"answers at {address} \(.*({reason}).*tcp://HOST:8786"
    ):
        bench(tmp_path, address)


def test_a_worker_is_no_scheduler(tmp_path: Path) -> None:
    (tmp_path / "dask").mkdir()
    processes = Processes(tmp_path / "dask")
    try:
        processes.worker("--no-nanny")
        from distributed import Client

        with Client(processes.address) as client:
            wait_for(lambda: client.scheduler_info()["workers"])
            worker = next(iter(client.scheduler_info()["workers"]))
        with pytest.raises(BlemishError, match=r"answers at tcp://\S+ \(it is a Worker of Dask\)"):
            bench(tmp_path, worker)
    finally:
        processes.end()


# TLS.


def made_certificates(folder: Path) -> dict[str, str]:
    """Files of an authority and of a certificate that it signed, by Dask's names of them."""
    openssl = shutil.which("openssl")
    if openssl is None:
        pytest.skip("openssl, which makes the certificates, is not installed")
    folder.mkdir()
    signs = ("x509", "-req", "-in", "own.csr", "-CA", "ca.pem")
    new_key = ("-newkey", "rsa:2048", "-nodes", "-keyout")
    for argv in (
        ("req", "-x509", *new_key, "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=ca"),
        ("req", *new_key, "own.key", "-out", "own.csr", "-subj", "/CN=own"),
        (*signs, "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-out", "own.pem"),
    ):
        subprocess.run([openssl, *argv], cwd=folder, check=True, capture_output=True)
    paths = {"ca-file": "ca.pem", "cert": "own.pem", "key": "own.key"}
    return {name: str(folder / file) for name, file in paths.items()}


def known_to_dask(files: dict[str, str]) -> Any:
    """Dask configured with these files, as DASK_DISTRIBUTED__COMM__TLS__... would do."""
    import dask.config

    places = {"ca-file": "ca-file", "cert": "client.cert", "key": "client.key"}
    return dask.config.set(
        {f"distributed.comm.tls.{place}": files[name] for name, place in places.items()}
    )


def test_a_cluster_with_tls_makes_runs_for_who_has_its_certificates(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    files, others = (made_certificates(tmp_path / name) for name in ("tls", "others"))
    (tmp_path / "dask").mkdir()
    options = [word for name, path in files.items() for word in (f"--tls-{name}", path)]
    processes = Processes(tmp_path / "dask", "--protocol", "tls", more=options)
    try:
        assert processes.address.startswith("tls://")
        processes.worker("--no-nanny")
        monkeypatch.setattr(module, "_PATIENCE", 5)
        with pytest.raises(BlemishError, match="takes certificates, and Dask knows none here"):
            bench(tmp_path, processes.address)
        with pytest.raises(BlemishError, match="no Dask scheduler answers at tcp"):
            bench(tmp_path, processes.address.replace("tls", "tcp"))
        with known_to_dask(others), pytest.raises(BlemishError, match="its TLS and that of this"):
            bench(tmp_path, processes.address)
        with (
            known_to_dask(files | {"key": str(tmp_path / "none")}),
            pytest.raises(BlemishError, match="certificates that Dask is configured with"),
        ):
            bench(tmp_path, processes.address)
        assert read_results(tmp_path / "out") == []
        with known_to_dask(files):
            assert bench(tmp_path, processes.address) == 1
    finally:
        processes.end()


# The folder of results.


def test_the_folder_of_results_is_tried_before_the_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(job: object) -> Any:
        raise AssertionError("a run was made")

    (tmp_path / "file").touch()
    for folder in (tmp_path / "file", tmp_path / "file/inside"):
        with pytest.raises(BlemishError, match=rf"{folder} cannot (be read|hold results)"):
            run_bench([job(place=tmp_path)], folder, execute=never)

    class Disk:
        free = 1000

    monkeypatch.setattr(shutil, "disk_usage", lambda place: Disk)
    with pytest.raises(BlemishError, match=r"the results of 1 runs will take about .* are free"):
        run_bench([job(place=tmp_path)], tmp_path / "out", execute=never)


def test_a_folder_that_may_not_be_written_is_told_before_the_first_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forbidden(**options: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(tempfile, "TemporaryFile", forbidden)
    with pytest.raises(BlemishError, match=r"out cannot hold results \(Permission denied\)"):
        run_bench([job(place=tmp_path)], tmp_path / "out", execute=execute)
