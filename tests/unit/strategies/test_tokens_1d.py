"""``tokens-1d``: as many whole codes as a prefix holds, one part at both ends, and names for whatever is wrong."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from code_part import CODES, IDENTITY, WORDS, small_part
from heliograph.codec.parts import Part, no_parts
from heliograph.errors import (
    AnsweringFailedError,
    BundleDamagedError,
    HeliographError,
    PartMismatchError,
    PartMissingError,
    ShapeError,
    StreamDamagedError,
    StreamTruncatedError,
    StreamVersionError,
    UsageError,
)
from heliograph.strategies.compressed_latent.tokens_1d import Tokens1dStrategy
from heliograph.types import EncodedImage, Grid
from strategy_tools import GRID, WIDTH, Tools, photo

STRATEGY = Tokens1dStrategy()


class With(Tools):
    """Tools with another part."""

    def __init__(self, part: Any) -> None:
        super().__init__()
        object.__setattr__(self, "found", part)

    def part(self, name: str) -> Part:
        found: Part = self.found  # type: ignore[attr-defined]
        return found


def told(stream: EncodedImage, tools: Any = None) -> list[int]:
    """What the stand-in's decoder says of the codes: 0 for an unknown one, else the code and 1."""
    tokens = STRATEGY.restore(stream, tools or Tools()).tokens
    assert tokens is not None
    assert tokens.values.shape == (GRID.tokens, WIDTH)
    return [int(value) for value in tokens.values[:CODES, 0]]


def test_a_prefix_holds_whole_codes_and_more_bytes_hold_more() -> None:
    stream = STRATEGY.encode(photo(), Tools(), {})
    data, whole = b"".join(stream.segments), told(stream)
    assert all(1 <= one <= WORDS for one in whole)
    counts = []
    for cut in range(len(data) + 1):
        found = told(replace(stream, segments=(data[:cut],)))
        known = sum(one > 0 for one in found)
        assert found == whole[:known] + [0] * (CODES - known)
        counts.append(known)
    assert counts == sorted(counts)
    assert {counts[0], counts[-1]} == {0, CODES}
    assert len(set(counts)) > 3


@pytest.mark.parametrize("count", [1, 2, 4, 6])
def test_the_knob_is_how_many_codes_travel(count: int) -> None:
    stream = STRATEGY.encode(photo(), Tools(), {"codes": count})
    assert sum(one > 0 for one in told(stream)) == count
    whole = STRATEGY.encode(photo(), Tools(), {})
    assert b"".join(whole.segments).startswith(b"".join(stream.segments)[:-1])
    with pytest.raises(UsageError):
        STRATEGY.encode(photo(), Tools(), {"codes": -1})


def test_settings_span_the_rates() -> None:
    sizes = [STRATEGY.encode(photo(), Tools(), one).payload_bytes for one in STRATEGY.settings()]
    assert len(sizes) >= 5
    assert sizes == sorted(sizes)


def test_another_part_is_refused_by_name_before_anything_is_decoded() -> None:
    stream = STRATEGY.encode(photo(), With(small_part(GRID, WIDTH, b"\x00\x01")), {})
    with pytest.raises(PartMismatchError) as caught:
        STRATEGY.restore(replace(stream, segments=(b"\xff" * 40,)), Tools())
    assert any("0001" in note and IDENTITY.hex() in note for note in caught.value.__notes__)


def test_no_part_has_a_name_that_says_what_helps() -> None:
    class None_(Tools):
        def part(self, name: str) -> Part:
            return no_parts(name)

        def encode_tokens(self, photo: Any) -> Any:
            raise AssertionError("the tower ran for nothing")

    with pytest.raises(PartMissingError) as caught:
        STRATEGY.encode(photo(), None_(), {})
    assert "heliograph train strategy tokens-1d" in str(caught.value.next_step)


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (b"", StreamTruncatedError),
        (IDENTITY[:1], StreamTruncatedError),
        (IDENTITY, StreamTruncatedError),
        (IDENTITY + b"\x00", StreamVersionError),
        (IDENTITY + b"\x81", StreamTruncatedError),
        (IDENTITY + bytes.fromhex("8108080100"), StreamDamagedError),
    ],
)
def test_a_header_that_cannot_be_is_named(header: bytes, error: type[HeliographError]) -> None:
    with pytest.raises(error):
        STRATEGY.restore(EncodedImage("tokens-1d", header, ()), Tools())


def test_a_grid_of_a_stranger_is_refused_before_memory_is_taken() -> None:
    from heliograph.codec.header import pack_header

    for grid, error in ((Grid(8, 8, 200), ShapeError), (Grid(64, 64), StreamDamagedError)):
        stream = EncodedImage("tokens-1d", IDENTITY + pack_header(grid, GRID), (b"1234",))
        with pytest.raises(error):
            STRATEGY.restore(stream, Tools())


@pytest.mark.parametrize(
    ("made", "error"),
    [
        ([np.zeros((1, 64, WIDTH - 1), np.float32)], BundleDamagedError),
        ([], BundleDamagedError),
        ([np.full((1, 64, WIDTH), np.nan, np.float32)], AnsweringFailedError),
        (None, BundleDamagedError),
    ],
)
def test_a_decoder_that_gives_something_else_is_named(
    made: Any, error: type[HeliographError], monkeypatch: pytest.MonkeyPatch
) -> None:
    stream = STRATEGY.encode(photo(), Tools(), {})

    class Broken:
        def run(self, names: None, given: Any) -> Any:
            if made is None:
                raise RuntimeError("INVALID_ARGUMENT")
            return made

    part = small_part(GRID, WIDTH)
    monkeypatch.setattr(type(part), "network", lambda self, stem: Broken())
    with pytest.raises(error):
        STRATEGY.restore(stream, With(part))


def test_tables_that_no_training_writes_are_refused() -> None:
    for fact in ({"hidden_size": 0}, {"grid": [8, 8]}, {"hidden_size": "many"}):
        part = small_part(GRID, WIDTH)
        part.card["facts"].update(fact)
        with pytest.raises(BundleDamagedError):
            STRATEGY.encode(photo(), With(part), {})
