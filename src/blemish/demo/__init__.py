"""The demonstration, on images that anyone can get: real solar cells, or plates drawn here."""

from __future__ import annotations

from blemish.demo.job import Demo, Product, run_demo
from blemish.demo.products import drawn_plates, solar_cells

__all__ = ["Demo", "Product", "drawn_plates", "run_demo", "solar_cells"]
