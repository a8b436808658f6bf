"""UniAD: what attention may see, what training alone does, and one model for two categories."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from plates import save, save_set
from running import Cli

torch = pytest.importorskip("torch")

from blemish.dataset import open_dataset  # noqa: E402
from blemish.detectors import open_detector, quick_settings  # noqa: E402
from blemish.detectors._planted_defects import good_pictures  # noqa: E402
from blemish.detectors.conformance import Case  # noqa: E402
from blemish.detectors.network import seeded  # noqa: E402
from blemish.detectors.uniad import (  # noqa: E402
    Network,
    TransformerLayer,
    Uniad,
    jittered,
    neighbour_mask,
)
from blemish.inspector import Inspector  # noqa: E402
from blemish.model.artifact import open_artifact  # noqa: E402
from blemish.training import Plan, train  # noqa: E402

SMALL = replace(Uniad(), token_channels=16, depth=1, heads=2, feedforward=16)


@pytest.mark.parametrize("grid", [(2, 2), (3, 4), (4, 4), (7, 8), (8, 8), (14, 14), (2, 20)])
def test_a_token_sees_others_but_neither_itself_nor_its_neighbours(grid: tuple[int, int]) -> None:
    seen = (neighbour_mask(grid, 7) == 0).reshape(*grid, *grid)
    assert seen.flatten(2).any(2).all()
    for row, column in np.ndindex(*grid):
        assert not seen[row, column, row, column]
    if grid == (14, 14):
        blind = ~seen[6, 6]
        assert blind[3:10, 3:10].all()
        assert blind.sum() == 49


def test_a_grid_of_one_token_has_no_mask() -> None:
    assert neighbour_mask((1, 1), 7).tolist() == [[0.0]]


def test_what_a_token_may_not_see_does_not_change_what_it_takes() -> None:
    grid, here = (9, 9), 4 * 9 + 4
    with seeded(0):
        layer, x = TransformerLayer(SMALL, sources=1).eval(), torch.randn(1, 81, 16)
        queries, position = torch.randn(1, 81, 16), torch.randn(81, 16)
    near, far = x.clone(), x.clone()
    near.view(1, 9, 9, 16)[:, 1:8, 1:8] += 5
    far[:, 0] += 5
    mask = neighbour_mask(grid, 7)
    taken, of_near, of_far = (
        layer(queries, [memory], position, mask)[0, here] for memory in (x, near, far)
    )
    assert torch.equal(taken, of_near)
    assert not torch.allclose(taken, of_far)


def test_jitter_is_as_strong_as_the_token_is_long() -> None:
    tokens = torch.ones(1, 4000, 25) * torch.tensor([1.0, 3.0]).repeat(2000)[:, None]
    with seeded(0):
        noise = (jittered(tokens, 20.0) - tokens).unflatten(1, (2000, 2))
    # |token| is 5 and 15: times 20 over 25 channels.
    assert noise.std((0, 1, 3)).tolist() == pytest.approx([4, 12], rel=0.02)


def test_the_papers_network_builds_at_its_size() -> None:
    detector = open_detector("uniad", preset="paper")
    assert isinstance(detector, Uniad)
    with seeded(0):
        network = Network(detector, 24 + 32 + 56 + 160, (14, 14)).eval()
    with torch.no_grad():
        map_ = network(torch.zeros(1, 272, 14, 14))
    assert map_.shape == (1, 14, 14)
    assert len(network.encoder) == len(network.decoder) == 4
    assert network.queries.shape == (4, 196, 256)  # every layer of the decoder has its own


def test_settings_that_do_not_fit_together_are_refused(
    cli: Cli, plates: Path, tmp_path: Path
) -> None:
    def refused(setting: str, *words: str) -> None:
        out = tmp_path / setting
        argv = ("train", plates, "-o", out, "--detector", "uniad", "--size", 64, "--set", setting)
        cli(*argv).refusal(*words)

    refused("token_channels=30", "token_channels=30", "multiple of heads (4)")
    refused("dropout=1", "dropout=1.0 of detector uniad must be at least 0 and below 1")


def test_a_channel_that_never_varies_is_not_divided_by_nothing() -> None:
    with seeded(0):
        network = Network(SMALL, 3, (4, 4)).eval()
    network.learn_scale(np.float32([1, 2, 3]), np.float32([0, 1, 2]))
    tokens = network.tokens(torch.full((1, 3, 4, 4), 5.0))
    assert tokens[0, 0].tolist() == [4, 3, 1]


def test_constant_pictures_are_learnt_and_a_change_stands_out(tmp_path: Path) -> None:
    flat = np.full((64, 64), 120, np.uint8)
    for number in range(6):
        other = flat.copy()
        other[-1, -1] += number  # copies would count once
        save(tmp_path / f"good/{number}.png", other)
    plan = Plan("uniad", settings=quick_settings("uniad"), size=64)
    trained = train(open_dataset(tmp_path / "good"), tmp_path / "m.blemish", plan)
    inspector = Inspector.open(trained.path)
    spot = cv2.circle(np.repeat(flat[..., None], 3, 2), (32, 32), 6, (250, 250, 250), -1)
    assert np.isfinite(trained.calibration.threshold)
    assert inspector.look(spot).score > trained.calibration.threshold


def test_one_model_of_two_categories(cli: Cli, tmp_path: Path) -> None:
    """Plates, and plates in negative, from the command line to the figures of each."""
    for name in ("negative", "plates"):
        save_set(tmp_path / "shop" / name, train=12, good=4, dents=4)
    for file in (tmp_path / "shop/negative").rglob("*.png"):
        if "ground_truth" not in file.parts:
            pixels = cv2.imdecode(np.fromfile(file, np.uint8), cv2.IMREAD_COLOR)
            assert pixels is not None
            save(file, (255 - pixels)[..., ::-1])
    model, figures = tmp_path / "m.blemish", tmp_path / "figures.json"
    settings = [f"--set={key}={value}" for key, value in quick_settings("uniad").items()]
    argv = ("--detector", "uniad", "--size", 64, *settings)
    assert cli("train", tmp_path / "shop", "-o", model, *argv).code == 0
    assert set(open_artifact(model).card.calibration.categories) == {"negative", "plates"}
    assert cli("evaluate", model, tmp_path / "shop", "--json", figures).code == 0
    found = json.loads(figures.read_text(encoding="utf-8"))
    for own in found["categories"].values():
        assert own["image"]["auroc"] > 0.8
        assert own["decision"]["promise"]["good_parts"] == 2


def test_a_score_of_more_cells_than_there_are_takes_all_of_them(tmp_path: Path) -> None:
    """Four tokens, and the mean of the ten largest."""
    settings = {**quick_settings("uniad"), "steps": "2", "grid_stride": "16", "top": "10"}
    case = Case("uniad", tmp_path, settings, size=(32, 32), count=3)
    scores = case.fit().score(good_pictures(2, 32, seed=1))
    assert scores.map.shape == (2, 2, 2)
    assert np.isfinite(scores.score).all()
