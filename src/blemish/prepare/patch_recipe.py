"""A recipe: which plates, where on them, and how patches are made; one TOML file.

Every table and key may be left out but `plates.train`. Paths are relative to the recipe.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from blemish.errors import DatasetError
from blemish.prepare.toml_tables import parse_table
from blemish.published import published
from blemish.util.text_files import read_toml

METHODS = ("plate", "whole", "box", "mask")
BACKGROUNDS = ("auto", "dark", "bright", "none")
FOLDERS_BY = ("group", "kind")

Range = tuple[float, float]


@dataclass(frozen=True)
class PlateSettings:
    """Files, folders or patterns such as `scans/*.png`; with `grey` colours become one channel."""

    train: tuple[str, ...]
    test: tuple[str, ...] = ()
    grey: bool = False


@dataclass(frozen=True)
class RegionSettings:
    """How the region of interest is found.

    `plate`: by segmentation against the `background`, which "auto" tells from the frame; gaps of up
    to the share `closing` of the shorter side are closed. `whole`: everything. `box`: left, top,
    width, height. `mask`: a mask file for all plates, or a folder with one of each plate's name.
    `margin` pixels of its edge are left out.
    """

    method: str = "plate"
    background: str = "auto"
    closing: float = 0.04
    margin: int = 16
    box: tuple[int, int, int, int] | None = None
    mask: str | None = None

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        _choice("method", self.method, METHODS)
        _choice("background", self.background, BACKGROUNDS)
        _between("closing", self.closing, 0, 0.5)
        _between("margin", self.margin, 0, 10_000)
        for name in ("box", "mask"):
            if self.method == name and getattr(self, name) is None:
                raise ValueError(f"method = \"{name}\" needs the key '{name}'")


@dataclass(frozen=True)
class PatchSettings:
    """The side of a patch and the step of the sliding window, in pixels."""

    size: int = 256
    stride: int = 160

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        _between("size", self.size, 8, 4096)
        _between("stride", self.stride, 1, 1_000_000)


@dataclass(frozen=True)
class Augmentation:
    """Augmentation of each patch, drawn uniformly from -`rotation_deg` to `rotation_deg` and so on.

    The share `share` of the patches gets flips, rotation, shear and scale (above 1 magnifies).
    Brightness is a gain, contrast one about the patch's mean; every patch gets both, if any.
    """

    share: float = 0.9
    rotation_deg: float = 0.0
    shear_deg: float = 0.0
    scale: Range = (1.0, 1.0)
    vertical_flip: bool = True
    horizontal_flip: bool = True
    brightness: Range | None = None
    contrast: Range | None = None

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        _between("share", self.share, 0, 1)
        _between("rotation_deg", self.rotation_deg, 0, 180)
        _between("shear_deg", self.shear_deg, 0, 60)
        for name in ("scale", "brightness", "contrast"):
            low, high = getattr(self, name) or (1.0, 1.0)
            if not 0.1 <= low <= high <= 10:
                raise ValueError(f"{name} must be [low, high] between 0.1 and 10")

    @classmethod
    def published(cls, modality: str) -> Augmentation:
        """That of ISP-AD's Table 8; ValueError for a modality it does not have."""
        rows = {row["modality"]: row for row in published("isp_ad_augmentation")}
        if modality not in rows:
            raise ValueError(f"the modality '{modality}' is none of {', '.join(rows)}")
        row = rows[modality]

        def limits(name: str) -> Range | None:
            low, high = row[f"{name}_min"], row[f"{name}_max"]
            return (float(low), float(high)) if low else None

        return cls(
            rotation_deg=float(row["rotation_deg"]),
            shear_deg=float(row["shear_deg"]),
            scale=limits("scale") or (1.0, 1.0),
            vertical_flip=row["vertical_flip"] == "1",
            horizontal_flip=row["horizontal_flip"] == "1",
            brightness=limits("brightness"),
            contrast=limits("contrast"),
        )


@dataclass(frozen=True)
class GeneratorSettings:
    """The generator of synthetic defects, and the share of patches that get one.

    Its `name` may be the path of a file from outside.
    `sources` are images, or folders of them, that it takes material from, where it does.
    """

    name: str = "random_walk"
    preset: str | None = None
    settings: dict[str, str] = field(default_factory=dict)
    sources: tuple[str, ...] = ()
    share: float = 0.5

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        _between("share", self.share, 0, 1)


@dataclass(frozen=True)
class DefectSettings:
    """Real defects on the plates: a CSV `table` of them, and a folder of `masks` by plate's name.

    Good patches keep `margin` pixels away from them. `blemish prepare defects` cuts a square of
    `crop` pixels around each, and `each` patches out of it, of which the first is not augmented.
    """

    table: str | None = None
    masks: str | None = None
    margin: int = 16
    crop: int = 512
    each: int = 20

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        _between("margin", self.margin, 0, 10_000)
        _between("crop", self.crop, 8, 16_384)
        _between("each", self.each, 1, 100_000)


@dataclass(frozen=True)
class GridSettings:
    """When a patch of the test shows a defect, and which folder it then goes into.

    It does where it holds at least the share `least_share` of the defect, or `least_pixels` of it.
    One that holds less, but something, is left out.
    """

    by: str = "group"
    least_share: float = 0.5
    least_pixels: int = 200

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        _choice("by", self.by, FOLDERS_BY)
        _between("least_share", self.least_share, 0.01, 1)
        _between("least_pixels", self.least_pixels, 1, 1_000_000)


@dataclass(frozen=True)
class StreamSettings:
    """How many patches a stream has."""

    count: int = 20_000

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        _between("count", self.count, 1, 50_000_000)


@dataclass(frozen=True)
class PatchRecipe:
    """Everything that a recipe says; `file` is where it lies.

    The `modality`, one of ISP-AD's, gives the augmentation that its own table does not.
    """

    plates: PlateSettings
    modality: str | None = None
    seed: int = 0
    region: RegionSettings = field(default_factory=RegionSettings)
    patches: PatchSettings = field(default_factory=PatchSettings)
    augmentation: Augmentation = field(default_factory=Augmentation)
    generator: GeneratorSettings = field(default_factory=GeneratorSettings)
    defects: DefectSettings = field(default_factory=DefectSettings)
    stream: StreamSettings = field(default_factory=StreamSettings)
    grid: GridSettings = field(default_factory=GridSettings)
    file: Path = Path("recipe.toml")

    def __post_init__(self) -> None:
        """Refuse values that make no sense."""
        _between("seed", self.seed, 0, 2**63 - 1)
        if self.defects.crop < self.patches.size:
            raise ValueError(
                f"crop is {self.defects.crop}; it cannot be smaller than a patch, "
                f"{self.patches.size}"
            )

    def path(self, name: str) -> Path:
        """A path that the recipe names."""
        return self.file.parent / name

    def words(self) -> dict[str, Any]:
        """The recipe without its place, as JSON values."""
        return {k: v for k, v in dataclasses.asdict(self).items() if k != "file"}


def open_recipe(file: Path) -> PatchRecipe:
    """The recipe in a TOML file.

    Raises DatasetError for a file that cannot be read or is none, for an unknown key, and for a
    value that makes no sense.
    """
    content = read_toml(file, "recipe in TOML", "name a recipe.")
    # The place is ours to say: a key of that name is as unknown as any other.
    if "file" in content:
        raise DatasetError(f"{file} has the unknown key 'file'; plates are named under [plates].")
    modality = content.get("modality")
    if isinstance(modality, str) and isinstance(content.get("augmentation", {}), dict):
        try:
            preset = dataclasses.asdict(Augmentation.published(modality))
        except ValueError as error:
            raise DatasetError(f"{file}: {error}.") from error
        own = content.get("augmentation", {})
        lists = {k: list(v) if isinstance(v, tuple) else v for k, v in preset.items()}
        kept = {k: v for k, v in lists.items() if v is not None}
        content = {**content, "augmentation": {**kept, **own}}
    return dataclasses.replace(parse_table(PatchRecipe, content, str(file)), file=file)


def _choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} is '{value}'; choose one of {', '.join(choices)}")


def _between(name: str, value: float, least: float, most: float) -> None:
    if not least <= value <= most:
        raise ValueError(f"{name} is {value:g}; it must lie between {least:g} and {most:g}")
