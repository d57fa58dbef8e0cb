"""What holds for every strategy: numbers, settings, named errors for damaged streams."""

from __future__ import annotations

from dataclasses import replace

import pytest

from heliograph.errors import StreamDamagedError, UsageError
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import Restored, label, parse_setting
from heliograph.types import EncodedImage
from strategy_tools import Tools, encoded_by, photo, restored_by


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_has_its_pinned_number_and_settings_that_encode(name: str) -> None:
    strategy = STRATEGIES.load(name)()
    assert strategy.name == name
    assert type(strategy).wire_id is None
    sweep = strategy.settings()
    assert len({label(setting) for setting in sweep}) == len(sweep)
    for setting in (sweep[0], sweep[-1], strategy.default_setting):
        encoded = strategy.encode(photo(), Tools(), setting)
        assert encoded.strategy == name
        assert len(encoded.header) <= 16
        assert parse_setting(label(setting), strategy.default_setting) == setting


@pytest.mark.parametrize("name", STRATEGIES.names())
def test_refuses_unknown_knobs_and_wrong_types(name: str) -> None:
    strategy = STRATEGIES.load(name)()
    with pytest.raises(UsageError):
        strategy.encode(photo(), Tools(), {"colour": 1})
    for knob in strategy.default_setting:
        for value in ("many", -1, 2**40):
            with pytest.raises(UsageError):
                strategy.encode(photo(), Tools(), {knob: value})


@pytest.mark.parametrize("name", [name for name in STRATEGIES.names() if name not in ("local", "rgb", "int8", "int4")])
def test_settings_grow_from_cheap_to_dear(name: str) -> None:
    sweep = STRATEGIES.load(name)().settings()
    cheapest, dearest = (encoded_by(name, **setting).payload_bytes for setting in (sweep[0], sweep[-1]))
    assert cheapest < dearest


@pytest.mark.parametrize(
    "encoded",
    [
        EncodedImage("rgb", b"", ()),
        EncodedImage("rgb", b"\x00\x00", ()),
        EncodedImage("rgb", b"\xff\xff", ()),
        EncodedImage("rgb", b"\x00\x02", (b"!" * 16,)),
        EncodedImage("rgb", b"\x00\x02", (b"A" * 17,)),
        EncodedImage("rgb", b"\x00\x02", (b"AAAAAAAAAAAAAA==",)),
        EncodedImage("jpeg", b"x", ()),
        EncodedImage("webp", b"", (b"RIFF\x04\x00\x00\x00WEBP",)),
        EncodedImage("int8", b"x", ()),
        EncodedImage("int8", b"", (b"abc",)),
        EncodedImage("int8", b"", (b"\x00" * 18 * 65,)),
        EncodedImage("int8", b"", (b"\xff\xff" + b"\x00" * 16,)),
        EncodedImage("int4", b"", (b"\x00" * 18,)),
        EncodedImage("int4", b"", (b"\x00" * 10 * 65,)),
        EncodedImage("downsample", b"", ()),
        EncodedImage("downsample", b"\x00", ()),
        EncodedImage("downsample", b"\x02", (b"\x00" * 18 * 5,)),
        EncodedImage("random-drop", b"\x01", ()),
        EncodedImage("random-drop", b"\x01\x02", (b"\x00" * 18 * 65,)),
    ],
)
def test_damage_has_a_name(encoded: EncodedImage) -> None:
    with pytest.raises(StreamDamagedError):
        restored_by(encoded)


def test_local_sends_nothing_and_cannot_be_restored() -> None:
    encoded = encoded_by("local")
    assert encoded.payload_bytes == 0
    with pytest.raises(UsageError):
        restored_by(encoded)


def test_restored_holds_exactly_one_thing() -> None:
    for wrong in ({}, {"tokens": Tools().encode_tokens(photo()), "image": photo()}):
        with pytest.raises(ValueError, match="exactly one"):
            Restored(**wrong)


def test_prefix_of_a_stream_keeps_its_header() -> None:
    encoded = replace(encoded_by("downsample"), bundle_hash=b"12345678")
    assert encoded.prefix(3).header == encoded.header
