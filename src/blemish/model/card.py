"""The card of a model: everything about it but its graph, as typed values.

Within a schema, entries may be added whose default says what a model without them meant; none is
renamed, removed, or given another meaning. Every version opens the models of all schemas up to its
own; one that must give up a schema says so two releases before, and names the version that still
opens it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import Annotated, Any

import msgspec

from blemish.calibration.part_calibration import PartCalibration
from blemish.calibration.views import ViewScales
from blemish.images import Recipe
from blemish.util.typed_json import Count, absent, read, schema, write

SCHEMA = 1
RETIRED = (("views", "scored_parts"),)  # what earlier versions wrote and nothing reads
MOST_CHANNELS = 1 << 20
SCHEMA_FILE = "card.schema.json"


@dataclass(frozen=True)
class DetectorEntry:
    """The detector, and all its settings."""

    name: str
    settings: dict[str, Any]


@dataclass(frozen=True)
class BackboneEntry:
    """The backbone, and the sha256 of its file."""

    name: str
    sha256: str


@dataclass(frozen=True)
class DataCounts:
    """Images and parts, of each category too where there are several."""

    images: Count
    parts: Count
    categories: dict[str, DataCounts] = absent(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class LearntDefects:
    """Real defects that were learnt: images, parts, parts of each kind, and the images' keys."""

    images: Count
    parts: Count
    categories: dict[str, DataCounts] = absent(default_factory=dict)
    defects: dict[str, Count]
    pictures: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class DataEntry:
    """The data set, which of it was learnt from, and which of it set the threshold.

    `trained_images` are the keys of the images, which name them by their content, and
    `trained_pixels` those of the good ones, by what they decode to; `terms` are the data set's
    terms of use, if it states any.
    """

    name: str
    layout: str
    fingerprint: str
    terms: str | None
    trained_on: DataCounts
    taught: LearntDefects | None = absent()
    held_out: DataCounts
    held_out_by: str
    trained_parts: tuple[str, ...]
    trained_images: tuple[str, ...] = ()
    trained_pixels: tuple[str, ...] = absent(())
    seed: Count
    recalibrated_on: str | None = absent()


@dataclass(frozen=True)
class Latency:
    """Milliseconds from file to score, on some training images: the median and the largest."""

    p50: Annotated[float, msgspec.Meta(ge=0)]
    max: Annotated[float, msgspec.Meta(ge=0)]


@dataclass(frozen=True)
class KeptDefectEntry:
    """A member that holds the image of a real defect; `image` is its key, `mask` if it has one."""

    member: str
    part: str
    kind: str | None
    image: str
    mask: bool


@dataclass(frozen=True)
class WarmStartEntry:
    """The model that the training went on from, and how many defective parts were new, by kind."""

    sha256: str
    taught: Count
    defects: dict[str, Count]


@dataclass(frozen=True)
class ErrorChange:
    """How many parts were decided wrongly before and after, which no longer are, and which are now.

    `p` is that of McNemar's exact two-sided test.
    """

    before: Count
    after: Count
    gone: tuple[str, ...]
    new: tuple[str, ...]
    p: float


@dataclass(frozen=True)
class DefectKindChange:
    """Parts with a kind of defect, and how many of them escape before and after."""

    parts: Count
    escapes: tuple[Count, Count]


@dataclass(frozen=True)
class ModelComparison:
    """Two models on the same test parts; without such parts there are but their numbers.

    Beside those that are compared, `copies` show the same pixels as another.
    """

    parts: Count
    good: Count
    defective: Count
    escapes: ErrorChange | None = absent()
    false_rejects: ErrorChange | None = absent()
    kinds: dict[str, DefectKindChange] | None = absent()
    incomplete: Count | None = absent()
    taken_out: tuple[str, ...] = ()
    copies: Count = absent(0)


@dataclass(frozen=True, kw_only=True)
class Card:
    """The card. What only some models have is None or empty in the others.

    `fit` are numbers of the fit, which differ from detector to detector.
    """

    schema: int = SCHEMA
    detector: DetectorEntry
    backbone: BackboneEntry
    device: str = "cpu"
    recipe: Recipe
    machine: str
    versions: dict[str, str]
    data: DataEntry
    calibration: PartCalibration
    views: ViewScales | None = absent()
    defects: tuple[KeptDefectEntry, ...] = absent(())
    fit: dict[str, Any]
    latency_ms: Latency
    golden_score: float
    continued_from: WarmStartEntry | None = absent()
    comparison: ModelComparison | None = absent()

    @classmethod
    def from_json(cls, value: object) -> Card:
        """A card as `parse` gives it.

        Raises ValueError, which names the entry, for one that is missing, unknown, of another type
        or not finite; and a BlemishError for values that make no sense.
        """
        card = read(cls, _without_retired(value))
        _ = card.latent_channels
        return card

    def to_json(self) -> dict[str, Any]:
        """The card as plain JSON values."""
        values: dict[str, Any] = write(self)
        return values

    def with_calibration(self, calibration: PartCalibration) -> Card:
        """The card with another calibration."""
        return replace(self, calibration=calibration)

    @property
    def latent_channels(self) -> dict[str, int]:
        """The outputs that an a-contrario rule tests, and the channels behind each of them."""
        try:
            found = read(dict[str, int], self.fit.get("latent_channels", {}))
        except ValueError as error:
            raise ValueError(f"fit.latent_channels: {error}") from None
        if not all(0 < channels < MOST_CHANNELS for channels in found.values()):
            raise ValueError("fit.latent_channels: a number of channels makes no sense")
        return found


def _without_retired(values: object) -> object:
    if not isinstance(values, dict):
        return values
    left = dict(values)
    for entry, key in RETIRED:
        if isinstance(inner := left.get(entry), dict):
            left[entry] = {name: value for name, value in inner.items() if name != key}
    return left


def card_schema() -> dict[str, Any]:
    """The JSON schema of a card, as this package ships it in `SCHEMA_FILE`."""
    values: dict[str, Any] = json.loads(json.dumps(schema(Card, "Card of a .blemish model")))
    return values
