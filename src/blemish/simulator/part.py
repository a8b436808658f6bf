"""A small part in five views: from above, and from four sides at 45 degrees.

The part is a printed foil on a dark carrier of some thickness, on a grey table. The four sides are
seen by a homography of its face; light from the side and the mirror-like varnish make relief show
in some views and not in others, as it is with real parts (Real-IAD, CVPR 2024).
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from blemish.errors import BlemishError
from blemish.simulator import defects
from blemish.simulator.defect_placement import SMALLEST, marked
from blemish.simulator.design import draw_design
from blemish.simulator.printing import MARGIN, Print, print_plate
from blemish.simulator.random_fields import Floats, Mask, Pixels, PlateWindow, blurred
from blemish.simulator.surface import Damage, Surface, slopes, surface

VIEWS = 5
SIDE = 512  # pixels: a view is a square
_FACE = 400  # pixels: the part's face seen from above
_THICK = 22.0  # pixels: the part's thickness
_DISTANCE = 1300.0  # pixels: from the camera to the part's middle
_TRIES = 100

Points = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Part:
    """Five views uint8 [5, 512, 512], and masks bool of that shape.

    The mask of a view in which the defect cannot be seen is empty.
    """

    views: Pixels
    masks: Mask


@dataclass(frozen=True, eq=False)
class _Light:
    """The light of one view.

    It shows slopes (down, across) as far as `towards` says, the varnish mirrors `mirrored` of it,
    and the lamp's own mirror image hides `glare` of the face, 0 to 1 [face, face].
    """

    towards: tuple[float, float]
    mirrored: float
    glare: Floats

    @classmethod
    def drawn(cls, rng: np.random.Generator, view: int) -> _Light:
        row, column = rng.uniform(0, _FACE, 2)
        rows, columns = np.mgrid[:_FACE, :_FACE].astype(np.float32)
        distance = np.hypot((rows - row) / rng.uniform(50, 130), (columns - column) / 90)
        glare = np.asarray(rng.uniform(0.3, 0.95) / (1 + distance**4), np.float32)
        if view == 0:  # from above little of a slope is seen
            slant = float(rng.uniform(0.1, 0.6))
            return cls((slant, slant), 16.0, glare)
        # From the side the varnish mirrors the lamp opposite: relief shows along the view only.
        azimuth, slant = np.pi / 2 * (view - 1), rng.uniform(1.4, 2.2)
        return cls((slant * np.cos(azimuth), slant * np.sin(azimuth)), 34.0, glare)


def simulate_part(design_seed: int, part_seed: int, kind: str | None = None) -> Part:
    """A part of a batch's design, with a defect of that kind or without, in five views.

    The same seeds and kind give the same bytes. Raises BlemishError for an unknown kind, and for
    one that finds no place where it can be seen.
    """
    rngs = [np.random.default_rng([part_seed, which]) for which in range(3)]
    printed = print_plate(draw_design(design_seed, _FACE, _FACE), rngs[0])
    pose = rngs[1].normal(0, [1.5, 3, 3]).clip([-3, -7, -7], [3, 7, 7])
    lights = [_Light.drawn(rngs[1], view) for view in range(VIEWS)]
    face = surface(printed, _whole(), [])
    clean = [_lit(face, light) for light in lights]
    hit = None if kind is None else _placed(printed, clean, lights, kind, rngs[2])
    views = np.empty((VIEWS, SIDE, SIDE), np.uint8)
    masks = np.zeros((VIEWS, SIDE, SIDE), np.bool_)
    for view in range(VIEWS):
        seen = clean[view] if hit is None else hit.faces[view]
        noise = np.random.default_rng([part_seed, 9, view])
        views[view] = _photographed(seen, view, pose, noise)
        if hit is not None:
            marks = hit.masks[view].astype(np.float32)
            shown = cv2.warpPerspective(marks, _onto(view, pose), (SIDE, SIDE)) > 0.5
            masks[view] = shown if shown.sum() >= SMALLEST else False
    return Part(views, masks)


@dataclass(frozen=True, eq=False)
class _Hit:
    """A part's face with a defect as the views see it, and where they do."""

    faces: list[Floats]
    masks: list[Mask]


def _placed(
    printed: Print, clean: list[Floats], lights: list[_Light], kind: str, rng: np.random.Generator
) -> _Hit:
    """A defect that shows in at least one view."""
    module = defects.defect(kind)
    for _ in range(_TRIES):
        place = int(rng.integers(30, _FACE - 30)), int(rng.integers(30, _FACE - 30))
        damage = module.draw(printed, place, 200, rng)
        if damage is None or printed.whole.shared(damage.window) != damage.window:
            continue
        face = surface(printed, _whole(), [damage])
        faces = [_lit(face, light) for light in lights]
        pairs = zip(clean, faces, strict=True)
        masks = [_marked(before, after, damage, kind) for before, after in pairs]
        if max(mask.sum() for mask in masks) >= 3 * SMALLEST:
            return _Hit(faces, masks)
    raise BlemishError(f"a part has no place where a {kind} could be seen; give another seed")


def _marked(clean: Floats, face: Floats, damage: Damage, kind: str) -> Mask:
    """Where a defect shows on the face from one side, bool [face, face]."""
    mask = np.zeros(clean.shape, np.bool_)
    place = damage.window.inside(_whole().grown(-MARGIN))
    before, after = clean[place], face[place]
    found = marked(after - before, damage.extent, defects.group(kind), 4.0)
    if found is not None:
        mask[place] = found
    return mask


def _whole() -> PlateWindow:
    return PlateWindow(0, 0, _FACE, _FACE).grown(MARGIN)


def _lit(face: Surface, light: _Light) -> Floats:
    """Grey values of the face as light and camera of a view make them, [face, face]."""
    down, across = slopes(face.relief)
    tilt = np.float32(light.towards[0]) * down + np.float32(light.towards[1]) * across
    varnish = face.gloss * (np.float32(light.mirrored) + 6 * np.clip(tilt, -5, 5))
    grey = 22 + 190 * face.reflectance + varnish + 3 * face.sparkle
    inner = slice(MARGIN, -MARGIN)
    seen = blurred(grey.astype(np.float32), 0.7)[inner, inner]
    return np.asarray(seen + light.glare * (205 - seen), np.float32)


def _corners(view: int, pose: Points, depth: float) -> Points:
    """The face's corners, `depth` pixels below the face, as a view's camera sees them, [4, 2]."""
    half = _FACE / 2
    flat = np.array([[-half, -half], [half, -half], [half, half], [-half, half]])
    turn = np.deg2rad(pose[0]) + (np.pi / 2 * (view - 1) if view else 0)
    turned = flat @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    x, y, z = turned[:, 0] + pose[1], turned[:, 1] + pose[2], -depth
    tilt = np.pi / 4 if view else 0.0
    up = y * np.cos(tilt) - z * np.sin(tilt)
    away = _DISTANCE - y * np.sin(tilt) - z * np.cos(tilt)
    return np.asarray(SIDE / 2 + np.stack([x, up], axis=1) * (_DISTANCE / away)[:, None])


def _onto(view: int, pose: Points) -> Points:
    """The homography from the face to a view."""
    last = _FACE - 1
    face = np.array([[0, 0], [last, 0], [last, last], [0, last]], np.float32)
    seen = _corners(view, pose, 0).astype(np.float32)
    return np.asarray(cv2.getPerspectiveTransform(face, seen), np.float64)


def _photographed(face: Floats, view: int, pose: Points, rng: np.random.Generator) -> Pixels:
    """The part on its table, with shadow, sides, and the camera's noise."""
    cloth = blurred(rng.standard_normal((SIDE, SIDE), dtype=np.float32), 1.2)
    picture = 118 + 14 * cloth
    foot = _filled(_corners(view, pose, _THICK))
    picture *= 1 - np.float32(0.5) * blurred(np.roll(foot, (5, 7), (0, 1)), 9)
    body = np.maximum(foot, _filled(_hull(view, pose)))
    picture += body * (np.float32(46) + 4 * cloth - picture)
    onto = _onto(view, pose)
    top = cv2.warpPerspective(face, onto, (SIDE, SIDE), flags=cv2.INTER_AREA)
    share = _filled(_corners(view, pose, 0))
    picture += share * (top - picture)
    noise = rng.standard_normal(picture.shape, dtype=np.float32)
    picture = blurred(picture, 0.6) + np.sqrt(2 + np.float32(0.02) * picture) * noise
    return np.asarray(np.rint(np.clip(picture, 0, 255)), np.uint8)


def _hull(view: int, pose: Points) -> Points:
    both = np.concatenate([_corners(view, pose, 0), _corners(view, pose, _THICK)])
    return np.asarray(cv2.convexHull(both.astype(np.float32))[:, 0], np.float64)


def _filled(corners: Points) -> Floats:
    """1 inside a polygon, 0 outside, with smooth edges, [SIDE, SIDE]."""
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillPoly(canvas, [np.rint(corners * 16).astype(np.int32)], 255, cv2.LINE_AA, 4)
    return np.asarray(canvas, np.float32) / np.float32(255)
