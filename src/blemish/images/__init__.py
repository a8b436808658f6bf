"""Preprocessing between file and model: strict reading, window, resize, tiles, and back."""

from __future__ import annotations

from blemish.images.geometry import Recipe, fit, unfit
from blemish.images.listing import image_files, image_names, mask_files
from blemish.images.mask_meaning import MaskReading
from blemish.images.picture import Picture, as_stored, picture_name, picture_pairs, read_picture
from blemish.images.reading import depth, look_at_mask, read_image, read_mask
from blemish.images.tiles import (
    Box,
    Crop,
    centre_box,
    crop_boxes,
    crops,
    stitch,
    surround,
    tile_boxes,
)
from blemish.images.window import (
    Window,
    apply_window,
    find_window,
    read_eight_bit,
    read_rgb,
)

__all__ = [
    "Box",
    "Crop",
    "MaskReading",
    "Picture",
    "Recipe",
    "Window",
    "apply_window",
    "as_stored",
    "centre_box",
    "crop_boxes",
    "crops",
    "depth",
    "find_window",
    "fit",
    "image_files",
    "image_names",
    "look_at_mask",
    "mask_files",
    "picture_name",
    "picture_pairs",
    "read_eight_bit",
    "read_image",
    "read_mask",
    "read_picture",
    "read_rgb",
    "stitch",
    "surround",
    "tile_boxes",
    "unfit",
]
