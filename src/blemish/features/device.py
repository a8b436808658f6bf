"""Which processor computes features and trains."""

from __future__ import annotations

from blemish.errors import BlemishError

DEVICES = ("cpu", "cuda")


def find_device() -> str:
    """`cuda` where torch is installed and sees a GPU, else `cpu`; imports torch."""
    try:
        import torch
    except ImportError:
        return "cpu"
    return "cuda" if torch.cuda.is_available() else "cpu"


def check_device(device: str) -> None:
    """Raise BlemishError for a device that does not exist, or not on this machine."""
    if device not in DEVICES:
        raise BlemishError(f"there is no device {device!r}; use {' or '.join(DEVICES)}")
    if device != "cpu" and find_device() != device:
        raise BlemishError(
            f"the device {device} cannot be used: PyTorch is not installed or sees no GPU; use cpu"
        )
