"""The files of one's own that docs/extending.md shows, and distributions that were never built."""

from __future__ import annotations

import re
from pathlib import Path

EXTENDING = Path(__file__).resolve().parents[1] / "docs" / "extending.md"


def documented() -> dict[str, str]:
    """Every whole file of the section "From outside", by its name."""
    text = EXTENDING.read_text(encoding="utf-8")
    section = text.partition("\n## From outside\n")[2].partition("\n## ")[0]
    files = re.findall(r"^`(\w+\.py)`.*?^```python\n(.*?)^```$", section, re.DOTALL | re.MULTILINE)
    return dict(files)


def save_documented(folder: Path, name: str, *, changed: str = "") -> Path:
    """One of them in a folder, perhaps with more at its end."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / name
    file.write_text(documented()[name] + changed, encoding="utf-8")
    return file


def save_distribution(
    site: Path, group: str, entry: str, *, name: str = "mine", version: str = "1.0"
) -> Path:
    """What an installer leaves of a distribution with one entry point, such as `a = mine.a`."""
    info = site / f"{name}-{version}.dist-info"
    info.mkdir(parents=True, exist_ok=True)
    (info / "METADATA").write_text(f"Name: {name}\nVersion: {version}\n", encoding="utf-8")
    (info / "entry_points.txt").write_text(f"[{group}]\n{entry}\n", encoding="utf-8")
    return site
