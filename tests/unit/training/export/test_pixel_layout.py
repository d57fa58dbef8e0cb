"""Regular copies are told from irregular ones, and both fill a tensor as the index says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from heliograph.training.export.pixel_layout import PixelLayout, regular_axes


def filled(layout: PixelLayout, pictures: list[np.ndarray]) -> np.ndarray:
    return layout([torch.from_numpy(one) for one in pictures]).numpy()


@given(
    counts=st.lists(st.integers(1, 4), min_size=1, max_size=5),
    order=st.randoms(use_true_random=False),
    repeats=st.integers(1, 3),
)
def test_any_order_of_axes_is_regular(counts: list[int], order: object, repeats: int) -> None:
    axes = list(range(len(counts)))
    order.shuffle(axes)  # type: ignore[attr-defined]
    size = int(np.prod(counts))
    index = np.arange(size).reshape(counts).transpose(axes)
    index = np.repeat(index[:, None], repeats, axis=1).reshape(-1)
    assert regular_axes(index, size) is not None
    layout = PixelLayout((len(index),), (0,), (size,), index, np.zeros(0, np.float32))
    picture = np.random.default_rng(0).normal(size=(1, 1, 1, size)).astype(np.float32)
    np.testing.assert_array_equal(filled(layout, [picture]), picture.reshape(-1)[index])


@pytest.mark.parametrize("index", [[1, 0], [0, 1, 3, 2], [0, 2], [0, 1, 2], [0, 0, 0, 1], [0, 1, 2, 4]])
def test_what_skips_or_wanders_is_not(index: list[int]) -> None:
    assert regular_axes(np.array(index), 4) is None


@given(data=st.data())
def test_any_index_of_several_pictures_and_constants(data: st.DataObject) -> None:
    sizes = (6, 4)
    index = np.array(data.draw(st.lists(st.integers(0, 11), min_size=1, max_size=30)))
    constants = np.array([7.5, -1.0], np.float32)
    layout = PixelLayout((len(index), 1), (1, 0), sizes, index, constants)
    pictures = [np.arange(size, dtype=np.float32).reshape(1, 1, 1, size) + 100 * size for size in (4, 6)]
    pool = np.concatenate([pictures[1].reshape(-1), pictures[0].reshape(-1), constants])
    np.testing.assert_array_equal(filled(layout, pictures), pool[index][:, None])


def test_tiles_beside_the_whole_need_no_index() -> None:
    index = np.concatenate([np.arange(12).reshape(3, 4).T.reshape(-1), np.arange(12, 16)])
    layout = PixelLayout((16,), (0, 1), (12, 4), index, np.zeros(0, np.float32))
    assert layout._regular() is not None
    pictures = [np.arange(12, dtype=np.float32)[None], np.arange(20, 24, dtype=np.float32)[None]]
    np.testing.assert_array_equal(filled(layout, pictures), np.concatenate(pictures, axis=1)[0][index])
