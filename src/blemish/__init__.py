"""Blemish finds defects on manufactured parts and proves its false-reject rate."""

from __future__ import annotations

__version__ = "0.1.0"
