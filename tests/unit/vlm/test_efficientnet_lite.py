"""The convolutional tower: padding, blocks, pooling, and its place among transformers' own classes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModel

from heliograph.vlm.efficientnet_lite import LITE2, Block, SameConv, Tower, TowerConfig, pooled, register_tower
from tiny_field import GRID, SIDE, tiny_tower_config


@pytest.mark.parametrize(
    ("side", "kernel", "stride", "before", "after"),
    # TensorFlow: all = max((ceil(side / stride) - 1) * stride + kernel - side, 0), the smaller half before
    [(260, 3, 2, 0, 1), (65, 5, 2, 2, 2), (33, 3, 2, 1, 1), (9, 5, 1, 2, 2), (8, 1, 1, 0, 0), (5, 1, 2, 0, 0)],
)
def test_a_convolution_pads_as_tensorflow_does(side: int, kernel: int, stride: int, before: int, after: int) -> None:
    torch.manual_seed(0)
    conv = SameConv(2, 3, kernel=kernel, stride=stride)
    given = torch.randn(1, 2, side, side)
    padded = torch.nn.functional.pad(given, (before, after, before, after))
    expected = torch.nn.functional.conv2d(padded, conv.weight, conv.bias, stride=stride)
    assert conv(given).shape[-1] == -(-side // stride)
    torch.testing.assert_close(conv(given), expected)


def test_a_block_adds_what_came_in_only_where_it_fits() -> None:
    torch.manual_seed(0)
    given = torch.randn(1, 8, 6, 6)
    same = Block(8, 2, 8, 3, 1)
    with torch.no_grad():
        same.project.weight.zero_()
        same.project.bias.zero_()
    torch.testing.assert_close(same(given), given)
    assert Block(8, 2, 8, 3, 2)(given).shape == (1, 8, 3, 3)
    assert not Block(8, 2, 12, 3, 1).adds


def test_pooled_cells_are_means_of_what_is_there() -> None:
    cells = torch.arange(2 * 9 * 9, dtype=torch.float32).reshape(1, 2, 9, 9)
    found = pooled(cells, 5)
    assert found.shape == (1, 25, 2)
    values = cells[0].numpy()
    corner, middle, edge = values[:, 0:2, 0:2], values[:, 3:6, 3:6], values[:, 7:9, 3:6]
    for place, part in ((0, corner), (12, middle), (22, edge)):
        np.testing.assert_allclose(found[0, place].numpy(), part.mean((1, 2)), rtol=1e-6)


def test_as_many_tokens_as_cells_are_the_cells_and_others_are_refused() -> None:
    cells = torch.randn(1, 4, 3, 3)
    torch.testing.assert_close(pooled(cells, 3), cells.flatten(2).transpose(1, 2))
    with pytest.raises(ValueError, match="3 x 3 cells"):
        pooled(cells, 4)


def test_lite2_has_its_blocks_and_its_parameters() -> None:
    with torch.device("meta"):
        tower = Tower(TowerConfig())
    assert len(tower.blocks) == sum(stage.repeats for stage in LITE2) == 21
    folded = sum(value.numel() for name, value in tower.named_parameters() if not name.startswith(("norm", "posi")))
    # The published network has 6,092,072, of which 1,281,000 are the classifier's. Of the two numbers that a batch norm
    # has for each of 29,048 channels one becomes the bias, and the other goes into the weights.
    assert folded == 6_092_072 - 1_281_000 - 29_048


def test_the_tower_is_one_of_the_loaders_classes(tmp_path) -> None:
    register_tower()
    register_tower()
    torch.manual_seed(0)
    tower = Tower(tiny_tower_config()).eval()
    tower.save_pretrained(tmp_path)
    assert isinstance(AutoConfig.from_pretrained(tmp_path), TowerConfig)
    again = AutoModel.from_pretrained(tmp_path).eval()
    pixels = torch.randn(2, 3, SIDE, SIDE)
    found = again(pixels)
    torch.testing.assert_close(found.last_hidden_state, tower(pixels).last_hidden_state)
    assert found.last_hidden_state.shape == (2, GRID**2, 16)
    assert found.hidden_states[-1] is found.last_hidden_state
