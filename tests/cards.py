"""A card that is sound, for tests that need one and no model."""

from __future__ import annotations

from typing import Any

from blemish.model.card import Card


def sound_values() -> dict[str, Any]:
    """The JSON values of a small card that has everything a card must have."""
    return {
        "schema": 1,
        "detector": {"name": "padim", "settings": {"pool": 3, "layers": ["block4"]}},
        "backbone": {"name": "efficientnet_lite0", "sha256": "9b1c" * 16},
        "recipe": {"height": 64, "width": 64, "resize": "pad", "window": None, "tile": None},
        "machine": "Linux x86_64, 2 threads",
        "versions": {"blemish": "0.1.0"},
        "data": {
            "name": "plates",
            "layout": "mvtec",
            "fingerprint": "c0ffee",
            "terms": "für Übungen",
            "trained_on": {"images": 2, "parts": 1},
            "held_out": {"images": 1, "parts": 1},
            "held_out_by": "seeded hold-out",
            "trained_parts": ["a"],
            "trained_images": ["0123456789abcdef"],
            "seed": 0,
        },
        "calibration": {
            "max_fpr": 0.01,
            "confidence": 0.95,
            "threshold": 1.0,
            "good_parts": 1,
            "rank": None,
            "upper_bound": 0.95,
            "provisional": True,
            "parts_needed": 299,
            "method": "held-out",
            "unit": "part",
            "map_threshold": 1.5,
            "required_views": [],
            "parts_left_out": 0,
            "scores": [{"part": "b", "views": [[None, 1.0, 1.5]]}],
        },
        "fit": {"patches": 128},
        "latency_ms": {"p50": 2.0, "max": 3.0},
        "golden_score": 1.5,
    }


def sound_card(**changes: Any) -> Card:
    """The card of those values, with other ones at the top."""
    return Card.from_json(sound_values() | changes)
