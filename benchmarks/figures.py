"""The figures that must be reached: which benchmark measures each, and its limit."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Line = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """One row of the table.

    `place` is the way through a benchmark's line of JSON to the number, with slashes; where several
    numbers lie there, the largest counts. Without a `limit` the row is for information.
    """

    what: str
    benchmark: str
    place: str
    limit: float | None = None
    unit: str = ""
    at_least: bool = False
    digits: int = 2

    def verdict(self, line: Line) -> tuple[str, str]:
        """What was measured, and "held", "missed", "failed: ..." or "skipped: ..."."""
        value: Any = line
        for key in ("", *self.place.split("/")):
            if key:
                value = value.get(key, {"skipped": "not in this run"})
            for stop in ("failed", "skipped"):
                if isinstance(value, Mapping) and stop in value:
                    return "-", f"{stop}: {value[stop]}"
        number = max(value.values()) if isinstance(value, Mapping) else float(value)
        measured = f"{number:.{self.digits}f} {self.unit}".strip()
        if self.limit is None:
            return measured, ""
        held = number >= self.limit if self.at_least else number <= self.limit
        return measured, "held" if held else "missed"

    def limit_in_words(self) -> str:
        """The limit with its unit; nothing where there is none."""
        if self.limit is None:
            return ""
        side = "at least" if self.at_least else "at most"
        return f"{side} {self.limit:.4g} {self.unit}".strip()


# 2,000 draws of a promise kept at 95 % confidence: 5 % and two standard errors.
_BROKEN = 0.05 + 2 * math.sqrt(0.05 * 0.95 / 2000)

FIGURES = (
    Figure("cold process to first verdict, PaDiM", "first_verdict", "padim/seconds", 2, "s"),
    Figure("cold process to first verdict, default", "first_verdict", "duet/seconds", 2, "s"),
    Figure("torch, polars imported by it", "first_verdict", "heavy_imports", 0, digits=0),
    Figure(
        "a file that lies about its size, until it is refused", "hostile_files", "seconds", 0.5, "s"
    ),
    Figure("the same, memory above the process's own", "hostile_files", "mb", 200, "MB", digits=0),
    Figure("those that were not refused", "hostile_files", "wrong", 0, digits=0),
    Figure("damaged files that gave a traceback", "fuzz", "tracebacks", 0, digits=0),
    Figure("those that took over 2 s", "fuzz", "slow", 0, digits=0),
    Figure(
        "damaged pictures read as sound, of formats with a checksum", "fuzz", "missed", 0, digits=0
    ),
    *(
        Figure(
            f"inspect {source}, {detector}, picture {end}: times the bare backbone",
            "inspect_latency",
            f"{detector}/to_backbone/{end}_{source.split()[-1]}",
            limit if source == "a file" else None,
        )
        for detector, limit in (("padim", 3), ("patchcore", 3), ("duet", None))
        for source in ("a file", "an array")
        for end in ("passed", "rejected")
    ),
    Figure(
        "one image of 256 px, slowest graph but UniAD's",
        "detectors",
        "graph_ms",
        40,
        "ms",
        digits=1,
    ),
    Figure("the same, UniAD's", "detectors", "graphs/uniad/graph", 80, "ms", digits=1),
    *(
        Figure(f"{name}'s graph, times the bare backbone", "detectors", f"graphs/{name}/ratio", 3)
        for name in ("simplenet", "cflow")
    ),
    Figure("a second training's first step, slowest", "detectors", "second_training_s", 2, "s"),
    Figure(
        "the first step of mixed, which reads no cache",
        "detectors",
        "drawn_training_s/mixed",
        unit="s",
    ),
    Figure(
        "mixed supervision, 128 x 128, preset cpu",
        "mixed",
        "cpu/per_second",
        150,
        "patches/s",
        True,
        0,
    ),
    *(
        Figure(
            f"the same, all of {name} trained: times bare steps",
            "mixed",
            f"everything/{name}/ratio",
            0.85,
            at_least=True,
        )
        for name in ("efficientnet_lite0", "resnet18")
    ),
    Figure("line scan of 4,096 x 256, mixed, file to map", "mixed", "line_scan/seconds", 0.5, "s"),
    *(
        Figure(
            f"promise broken, {kind} scores, worst of five sizes",
            "promise",
            f"broken/{kind}",
            _BROKEN,
            digits=4,
        )
        for kind in ("continuous", "tied")
    ),
    Figure("open 150,000 images (Real-IAD)", "data_opening", "real_iad/seconds", 10, "s", digits=1),
    Figure("the same, peak memory", "data_opening", "real_iad/peak_rss_mb", 500, "MB", digits=0),
    *(
        Figure(
            f"open 559,049 images (ISP-AD), {truth} in HDF5",
            "data_opening_isp",
            f"{truth}/seconds",
            20,
            "s",
            digits=1,
        )
        for truth in ("masks", "labels")
    ),
    Figure("the same, peak memory", "data_opening_isp", "masks/peak_rss_mb", unit="MB", digits=0),
    Figure("train magnetic_tile, default", "train_default", "seconds", 60, "s", digits=1),
    Figure("the same, peak memory", "train_default", "peak_rss_mb", 1500, "MB", digits=0),
    Figure("train magnetic_tile, PatchCore 1 %", "patchcore_coreset", "0.01/seconds", 90, "s"),
    Figure("the same, peak memory", "patchcore_coreset", "0.01/peak_rss_mb", 2000, "MB", digits=0),
    Figure("train magnetic_tile, PatchCore 10 %", "patchcore_coreset", "0.1/seconds", 480, "s"),
    Figure("the same, peak memory", "patchcore_coreset", "0.1/peak_rss_mb", 2000, "MB", digits=0),
    Figure("peak memory at ten times the images", "memory_scaling", "ratio", 1.3, "times"),
    Figure("covering radius, bank of 1 %: times exact greedy", "covering_radius", "0.01/ratio"),
    Figure("covering radius, bank of 10 %: times exact greedy", "covering_radius", "0.1/ratio"),
    Figure("AUPRO and pixel AUROC of 100 maps of 512 x 512", "pixel_metrics", "seconds", 1.5, "s"),
    Figure("the same, peak memory", "pixel_metrics", "peak_rss_mb", 1000, "MB", digits=0),
    *(
        Figure(
            f"survey of {name}, two threads: times bare decoding",
            "data_check",
            f"{name}/to_decoding/2",
        )
        for name in ("magnetic_tile", "elpv")
    ),
    *(
        Figure(
            f"20,000 patches of {what}",
            "prepare_stream",
            f"{place}/per_second",
            limit,
            "a second",
            at_least=True,
            digits=0,
        )
        for what, place, limit in (
            ("plates in memory", "memory", 400),
            ("plates in files, written to HDF5", "to_hdf5", 250),
        )
    ),
    Figure("the same, peak memory", "prepare_stream", "to_hdf5/peak_rss_mb", 1000, "MB", digits=0),
    Figure(
        "random-walk defect, 256 x 256 patch, one thread", "synthesis", "ms/random_walk", 2, "ms"
    ),
    *(
        Figure(f"{name} defect, likewise", "synthesis", f"ms/{name}", unit="ms")
        for name in ("cutpaste", "cutpaste_scar", "nsa", "perlin")
    ),
    Figure("`blemish demo`", "demo", "seconds", 120, "s", digits=1),
    Figure(
        "simulated plates of 8,000 x 6,000, one core, slowest modality",
        "simulator",
        "slowest",
        10,
        "Mpx/s",
        True,
        1,
    ),
    Figure(
        "the same written to files, peak memory", "simulator", "peak_rss_mb", 1500, "MB", digits=0
    ),
    *(
        Figure(f"image AUROC, {name}", "quality", f"{name}/image/auroc", limit, "", True, 4)
        for name, limit in (("magnetic_tile", 0.85), ("tire", 0.77), ("elpv mono", 0.96))
    ),
    Figure("AUPRO, tire", "quality", "tire/pixel/aupro", 0.85, "", True, 4),
    Figure("bench, 200 short runs: overhead", "bench_runner", "overhead/overhead_percent", 3, "%"),
    Figure("the same, nothing to do", "bench_runner", "overhead/again_seconds", 5, "s"),
    Figure("two Dask workers: times one", "bench_runner", "dask/gain", 1.6, "times", True),
    Figure(
        "bench killed ten times: the same table", "bench_kills", "same_table", 1, "", True, digits=0
    ),
)
