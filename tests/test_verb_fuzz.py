"""Every verb over a data set ends in an answer or one sentence, whatever a file of it holds."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from damaged_inputs import damaged
from plates import save_set
from running import Cli

SEEDS = 4
VERBS = {
    "train": ("train", "DATA", "-o", "OUT.blemish", "--detector", "padim", "--size", "32"),
    "calibrate": ("calibrate", "MODEL", "GOOD", "-o", "OUT.blemish"),
    "evaluate": ("evaluate", "MODEL", "DATA", "--json", "OUT.json", "--report", "OUT"),
    "inspect": ("inspect", "MODEL", "DATA/test", "--json", "OUT.json", "--heatmaps", "OUT"),
    "data show": ("data", "show", "DATA"),
    "data check": ("data", "check", "DATA"),
    "data stats": ("data", "stats", "DATA", "--report", "OUT"),
    "data convert": ("data", "convert", "DATA", "-o", "OUT", "--to", "mvtec", "--copy"),
    "data split": ("data", "split", "DATA", "--protocol", "k-fold", "-o", "OUT.json"),
    "synth preview": (
        *("synth", "preview", "DATA", "--generator", "scratch", "--count", "2", "-o", "OUT"),
    ),
    "synth apply": ("synth", "apply", "DATA", "--generator", "scratch", "-o", "OUT"),
    "label masks": ("label", "masks", "DATA/test", "--scribbles", "DATA/ground_truth", "-o", "OUT"),
}


def words(verb: str, data: Path, model: Path, out: Path) -> list[str]:
    """The command, with the places for their names."""
    places = {"DATA": data, "GOOD": data / "train" / "good", "MODEL": model, "OUT": out}
    command = list(VERBS[verb])
    for name, place in places.items():
        command = [word.replace(name, str(place)) for word in command]
    return command


@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_over_a_damaged_set_answers_or_refuses(
    verb: str, cli: Cli, model: Path, tmp_path: Path
) -> None:
    sound = save_set(tmp_path / "sound")
    whole = cli(*words(verb, sound, model, tmp_path / "out"), "--quiet")
    assert "usage:" not in "".join(whole.err)
    for seed in range(SEEDS):
        data, rng = tmp_path / f"set {seed}", np.random.default_rng([seed, len(verb)])
        shutil.copytree(sound, data)
        parts = data / "parts.csv"
        parts.write_text("file,part,view\n", encoding="utf-8")
        files = sorted(path for path in data.rglob("*") if path.is_file())
        for place in rng.choice(len(files), 3, replace=False):
            files[place].write_bytes(damaged(files[place].read_bytes(), rng))
        if seed % 2:
            parts.unlink()  # else what is told is mostly of this file
        run = cli(*words(verb, data, model, tmp_path / f"out {seed}"), "--quiet")
        assert run.code in (0, 1, 2), run.err
        refusals = [line for line in run.err if line.startswith("blemish: ")]
        assert len(refusals) <= 1, run.err
        assert run.code == 0 or refusals or run.out, (run.code, run.err)
        assert "Traceback" not in "".join(run.err)
