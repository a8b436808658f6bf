"""No layout takes the folder of another for its own."""

from __future__ import annotations

from pathlib import Path

import pytest
from layout_trees import TREES, tree

from blemish.dataset import open_dataset
from blemish.dataset.layouts import find_layout, layouts
from blemish.errors import DatasetError


@pytest.mark.parametrize("name", TREES)
def test_each_data_set_is_recognised_as_what_it_is(tmp_path: Path, name: str) -> None:
    root = TREES[name](tmp_path / "a set")
    assert find_layout(root) is layouts()[name]
    assert open_dataset(root).layout == name


@pytest.mark.parametrize("name", TREES)
def test_a_folder_of_another_layout_is_told_what_was_expected(tmp_path: Path, name: str) -> None:
    root = tree(tmp_path / "products", "train/good/1.png", "test/good/2.png")
    assert find_layout(root) is layouts()["mvtec"]
    with pytest.raises(DatasetError) as caught:
        open_dataset(root, layout=name)
    expected = f"{root} has not the layout {name}, which is {layouts()[name].EXPECTS}."
    assert str(caught.value) == expected
