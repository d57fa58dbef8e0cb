"""Bottlenecks and necks: a device without a tower, and what the cloud refuses of it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

from bottleneck_part import CHANNELS, IDENTITY, RATES, bottleneck_part
from heliograph.errors import (
    AnsweringFailedError,
    BundleDamagedError,
    PartMismatchError,
    ShapeError,
    StreamDamagedError,
    StreamTruncatedError,
    UsageError,
)
from heliograph.registry import STRATEGIES
from heliograph.strategies.part_latents import BottleneckPart
from heliograph.types import EncodedImage, Grid
from strategy_tools import GRID, WIDTH, Tools, encoded_by, photo, restored_by

NAMES = ("frankensplit", "entropic-student", "latent-neck", "feature-adapt")


class Towerless(Tools):
    """A device that has no tower."""

    def encode_tokens(self, photo: Image.Image) -> Any:
        raise AssertionError("the tower was asked for")

    encode_attended = encode_tokens


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rate", range(RATES))
def test_the_cloud_gets_the_integers_that_the_device_made(name: str, rate: int) -> None:
    encoded = STRATEGIES.load(name)().encode(photo(), Towerless(), {"rate": rate})
    assert encoded.header == IDENTITY + bytes([rate])
    values = restored_by(encoded).tokens.values
    levels = np.asarray(photo().convert("RGB").resize((128, 128), Image.Resampling.LANCZOS), np.float32)[::16, ::16]
    gains = np.linspace(0.1, 2, RATES, dtype=np.float32)
    assert np.array_equal(values[:, :CHANNELS], np.rint((levels / 16 - 8) * gains[rate]).reshape(-1, 3))
    assert (values[:, CHANNELS] == rate).all()


@pytest.mark.parametrize("name", NAMES)
def test_finer_rates_take_more_bytes(name: str) -> None:
    sizes = [encoded_by(name, rate=rate).payload_bytes for rate in range(RATES)]
    assert sizes == sorted(set(sizes))
    with pytest.raises(UsageError):
        encoded_by(name, rate=RATES)


@pytest.mark.parametrize("name", NAMES)
def test_every_cut_is_named(name: str) -> None:
    encoded = encoded_by(name, rate=2)
    data = b"".join(encoded.segments)
    for length in range(len(data)):
        with pytest.raises(StreamTruncatedError):
            restored_by(EncodedImage(name, encoded.header, (data[:length],)))
    for length in range(3):
        with pytest.raises(StreamTruncatedError):
            restored_by(EncodedImage(name, encoded.header[:length], (data,)))


@pytest.mark.parametrize("name", NAMES)
def test_changed_bytes_are_other_tokens_within_bounds_or_a_named_error(name: str) -> None:
    encoded = encoded_by(name, rate=2)
    data = b"".join(encoded.segments)
    whole = restored_by(encoded).tokens.values
    other = 0
    for place in range(0, len(data), 3):
        damaged = data[:place] + bytes([data[place] ^ 0x5A]) + data[place + 1 :]
        try:
            found = restored_by(EncodedImage(name, encoded.header, (damaged,))).tokens.values
        except StreamTruncatedError:
            continue
        assert found.shape == whole.shape
        other += not np.array_equal(found, whole)
    assert other > 3


@pytest.mark.parametrize("name", NAMES)
def test_what_no_device_writes_is_refused(name: str) -> None:
    data = b"".join(encoded_by(name).segments)
    for header in (IDENTITY + bytes([RATES]), IDENTITY + b"\1\1"):
        with pytest.raises(StreamDamagedError):
            restored_by(EncodedImage(name, header, (data,)))
    with pytest.raises(StreamDamagedError):
        restored_by(EncodedImage(name, IDENTITY + b"\1", (bytes(3 * CHANNELS * 64 + 1),)))
    with pytest.raises(PartMismatchError):
        restored_by(EncodedImage(name, b"\xb0\x78\1", (data,)))


def test_a_grid_of_another_model_is_refused() -> None:
    with pytest.raises(ShapeError):
        STRATEGIES.load("frankensplit")().restore(encoded_by("frankensplit"), Tools(grid=Grid(4, 4)))


def test_a_model_that_reads_other_pictures_is_refused() -> None:
    with pytest.raises(ShapeError):
        STRATEGIES.load("frankensplit")().encode(photo(), Tools(input_size=64), {})


@pytest.mark.parametrize(
    "other",
    [
        {"borders": np.zeros((RATES, CHANNELS, 82), np.int32)},
        {"borders": np.zeros((RATES, CHANNELS, 81), np.int32)},
        {"gains": np.ones((RATES, CHANNELS + 1), np.float32)},
        {"gains": np.full((RATES, CHANNELS), np.nan, np.float32)},
        {"gains": np.zeros((RATES, CHANNELS), np.float32)},
        {"rows": 1 << 20},
        {"side": 0},
        {"columns": "8"},
    ],
)
def test_tables_that_no_training_writes_are_refused(other: dict[str, Any]) -> None:
    with pytest.raises(BundleDamagedError):
        BottleneckPart.of(bottleneck_part("frankensplit", GRID, WIDTH, **other))


def test_a_network_of_another_border_or_without_finite_numbers_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    part = bottleneck_part("frankensplit", GRID, WIDTH)
    halves, integers = BottleneckPart.of(part), np.zeros((CHANNELS, 64), np.int64)
    for made, error in (
        (np.full((1, 64, WIDTH), np.inf, np.float32), AnsweringFailedError),
        (np.zeros((1, 63, WIDTH), np.float32), BundleDamagedError),
        (np.full((1, 64, WIDTH), 1e30, np.float32), AnsweringFailedError),
    ):
        session = type("Session", (), {"run": lambda self, names, given, made=made: [made]})()
        monkeypatch.setattr(type(part), "network", lambda self, stem, threads=1, session=session: session)
        with pytest.raises(error):
            halves.cloud_half("decoder", integers, 0, 64)
