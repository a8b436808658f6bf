"""Images as generators take them: of whole numbers."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from blemish.errors import ImageError
from blemish.images import read_image
from blemish.synthesis.base import Pixels


def read_pixels(path: Path) -> Pixels:
    """uint8 or uint16, [H, W] or [H, W, 3]; ImageError as `read_image`, and for float pixels."""
    pixels = read_image(path)
    if pixels.dtype == np.float32:
        raise ImageError(f"{path} holds float32 pixels; save it in 8 or 16 bits for a defect")
    return pixels
