"""Read a network's weights from a file: safetensors by hand, .pth with torch."""

from __future__ import annotations

import itertools
import math
import os
import warnings
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt

from blemish.errors import BlemishError
from blemish.util.array_files import archive_refusal
from blemish.util.file_limit import refusal
from blemish.util.files import open_regular
from blemish.util.library_errors import shortened, translated
from blemish.util.typed_json import skim

StateDict = Mapping[str, npt.NDArray[Any]]
"""A tensor of each name."""

_ZIP = b"PK\x03\x04"  # torch.save since 1.6
_PICKLE = b"\x80"  # torch.save before
_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4"}
_MOST_HEADER = 4_000_000  # bytes: of tens of thousands of tensors
_WRAPPERS = ("state_dict", "model")  # under which a training script keeps the weights


def read_state_dict(path: Path) -> StateDict:
    """The tensors of a file, whatever its ending says.

    Raises BlemishError for a file that is no state dict, is damaged, or needs torch to be read.
    """
    try:
        with open_regular(path) as file:
            head = file.read(9)
    except OSError as error:
        raise BlemishError(f"{path} cannot be read: {error.strerror}") from error
    if head.startswith(_ZIP):
        return _read_torch(path)
    if head[8:] == b"{":
        return _read_safetensors(path)
    if head.startswith(_PICKLE):
        return _read_torch(path)
    raise BlemishError(
        f"{path} holds no weights; name a state dict, saved as .safetensors or with torch.save"
    )


def _read_safetensors(path: Path) -> StateDict:
    """A length of 8 bytes, that many bytes of JSON, then the tensors."""
    damaged = "{} is a damaged safetensors file ({}); copy or download it again"
    with translated(lambda reason: BlemishError(damaged.format(path, reason))):
        data: npt.NDArray[np.uint8] = np.memmap(path, np.uint8, "r")
        start = 8 + int.from_bytes(data[:8].tobytes(), "little")
        if not 8 <= start <= min(len(data), _MOST_HEADER):
            raise ValueError("the header is cut short, or too long")
        texts = skim(dict[str, msgspec.Raw], data[8:start].tobytes())
        texts.pop("__metadata__", None)
        entries = {name: skim(_Entry, bytes(text)) for name, text in texts.items()}
        spans = sorted(entry.data_offsets for entry in entries.values())
        if any(after[0] < before[1] for before, after in itertools.pairwise(spans)):
            raise ValueError("tensors overlap")
        refused = refusal(2 * sum(end - begin for begin, end in spans))  # some become float32
        if refused is not None:
            raise BlemishError(f"{path} declares tensors that {refused}")
        return {name: _tensor(data[start:], entry) for name, entry in entries.items()}


@dataclass(frozen=True)
class _Entry:
    """A tensor in the header, by the names of the format; its bytes lie behind the header."""

    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


def _tensor(data: npt.NDArray[np.uint8], entry: _Entry) -> npt.NDArray[Any]:
    begin, end = entry.data_offsets
    if entry.dtype not in _DTYPES:
        raise ValueError(f"numbers of the type {shortened(entry.dtype)} are not known")
    kind = np.dtype(_DTYPES[entry.dtype])
    if not 0 <= begin <= end <= len(data) or end - begin != math.prod(entry.shape) * kind.itemsize:
        raise ValueError("a tensor is cut short")
    values = np.frombuffer(data[begin:end].tobytes(), kind).reshape(entry.shape)
    if entry.dtype == "BF16":  # the upper half of a float32
        values = (values.astype(np.uint32) << 16).view(np.float32)
    return values


def _read_torch(path: Path) -> StateDict:
    try:
        import torch
    except ImportError:
        raise BlemishError(
            f"{path} needs PyTorch to be read; install it with pip install 'blemish[train]', "
            "or save the weights as .safetensors"
        ) from None
    damaged = (
        f"{path} cannot be read as a state dict: it is damaged, or holds more than tensors "
        "(which could run a program, and is refused); save model.state_dict() and import that"
    )
    with translated(lambda _: BlemishError(damaged)):  # a dozen kinds, for all that a file can be
        refused = _refusal(path)
        if refused is not None:
            raise BlemishError(f"{path} holds weights that {refused}")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of archives of TorchScript, which are refused
            state: Any = torch.load(path, map_location="cpu", weights_only=True)
    for key in _WRAPPERS:
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        raise BlemishError(f"{path} is no state dict; save model.state_dict() and import that")
    # A tensor may be larger than what it is a view of.
    refused = refusal(sum(8 * tensor.numel() for tensor in state.values()))
    if refused is not None:
        raise BlemishError(f"{path} declares tensors that {refused}")
    with translated(lambda _: BlemishError(damaged)):
        return _without_prefix(state)


def _without_prefix(state: Mapping[Any, Any]) -> StateDict:
    # DataParallel puts a prefix before every name.
    return {str(name).removeprefix("module."): as_array(x) for name, x in state.items()}


def _refusal(path: Path) -> str | None:
    """Why a file of torch.save is not unpacked."""
    with open_regular(path) as file:
        if zipfile.is_zipfile(file):
            return archive_refusal(file)
        return refusal(os.fstat(file.fileno()).st_size)


def as_array(tensor: Any) -> npt.NDArray[Any]:
    """A torch tensor as an array; floating-point ones as float32."""
    tensor = tensor.detach().cpu()
    return np.asarray((tensor.float() if tensor.is_floating_point() else tensor).numpy())
