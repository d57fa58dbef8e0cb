"""Misfits of prefixes and streams of other kinds, with a codec that tells what it was asked; numbers by hand."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.codec.fallback import (
    closed_form_stream,
    nearer_stream,
    photo_misfit,
    stated_likelihood,
    written_by,
)
from heliograph.codec.familiarity import (
    FittedRange,
    FittedRanges,
    measured_stream,
    misfit,
    misfit_code,
    misfit_of,
    prefix_misfit,
)
from heliograph.codec.header import marked_as_fallback, pack_header, parse_header, unmarked, with_extra
from heliograph.errors import BundleDamagedError
from heliograph.reasons import BundleFault, FileFault
from heliograph.types import EncodedImage, Grid, VisualTokens

GRID = Grid(2, 1)
TOKENS = VisualTokens(np.array([[0, 0], [2, 4]], np.float32), GRID)  # they vary by 10
HEADER = b"\xa0"  # version 2, fineness 4, on the fitted grid
RANGE = FittedRange(4, (0.1, 0.1, 0.1, 0.2, 0.2, 0.3, 0.4), 100)


class Telling:
    """Restores the tokens but for an error of 1 in so many values as bytes are missing from ten."""

    def __init__(self, fitted: FittedRange | None = None) -> None:
        self.fitted = fitted
        self.encoded: list[int | None] = []
        self.decoded: list[bytes] = []

    def encode(
        self, tokens: VisualTokens, *, max_bytes: int | None = None, fineness: int | None = None
    ) -> EncodedImage:
        self.encoded.append(max_bytes)
        data = b"0123456789" if max_bytes is None else b"0123456789"[: max(max_bytes - len(HEADER), 0)]
        return EncodedImage("klt", HEADER, (data[:4], data[4:]))

    def decode(self, header: bytes, segments: Sequence[bytes]) -> VisualTokens:
        parse_header(header, GRID)
        self.decoded.append(b"".join(segments))
        error = math.sqrt(10 - len(self.decoded[-1]))
        return VisualTokens(TOKENS.values + np.array([[0, error], [0, 0]], np.float32), GRID)


# bytes that are looked at, the bound of the stream at hand, bytes decoded, bounds of the streams that had to be made
PREFIXES: list[tuple[int, int | None, bool, bytes, list[int | None]]] = [
    (6, None, False, b"01234", [6]),  # one byte of header, five of ten
    (6, None, True, b"01234", []),  # of the stream at hand
    (6, 6, True, b"01234", []),
    (6, 7, True, b"01234", []),
    (6, 5, True, b"01234", [6]),  # too short: made anew
    (0, None, True, b"0123456789", []),
    (0, None, False, b"0123456789", [None]),
    (0, 12, True, b"0123456789", [None]),  # a cut one is not the whole
    (1, None, True, b"", []),
]


@pytest.mark.parametrize(("payload", "bound", "at_hand", "looked_at", "made"), PREFIXES)
def test_a_prefix_of_the_stream_is_restored(
    payload: int, bound: int | None, at_hand: bool, looked_at: bytes, made: list[int | None]
) -> None:
    stream = Telling().encode(TOKENS, max_bytes=bound) if at_hand else None
    codec = Telling()
    found = prefix_misfit(codec, TOKENS, payload, stream, bound)
    assert (codec.decoded, codec.encoded) == ([looked_at], made)
    assert found == pytest.approx(max((10 - len(looked_at)) / 10, 2**-30))


def test_misfits_are_bounded_both_ways() -> None:
    tokens = np.array([[0, 0], [2, 4]], np.float32)
    assert misfit(tokens, tokens) == 2.0**-30
    assert misfit(tokens, tokens + np.float32(1e-6)) == 2.0**-30
    assert misfit(tokens, tokens * np.float32(1e9)) == 2.0**30
    assert misfit(np.ones((2, 2), np.float32), np.zeros((2, 2), np.float32)) == 2.0**30
    assert [misfit_code(2.0**power) for power in (-3.96875, -4, 3.96875, 4)] == [1, 1, 255, 255]
    assert (misfit_of(1), misfit_of(255)) == (2.0 ** (-127 / 32), 2.0 ** (127 / 32))


def with_error(value: float) -> FittedRange:
    """A range whose highest misfit is that."""
    return replace(RANGE, quantiles=(*RANGE.quantiles[:-1], value))


def test_only_a_higher_misfit_than_the_fitted_ones_is_told() -> None:
    """Four bytes of payload are three of ten: the misfit is 0.7."""
    assert measured_stream(Telling(), TOKENS, None).header == HEADER
    assert measured_stream(Telling(with_error(0.71)), TOKENS, None).header == HEADER
    told = measured_stream(Telling(with_error(0.69)), TOKENS, None)
    assert told == EncodedImage("klt", bytes((0xE0, misfit_code(0.7))), (b"0123", b"456789"))
    error = misfit(TOKENS.values, TOKENS.values + np.array([[0, math.sqrt(7)], [0, 0]], np.float32))
    assert measured_stream(Telling(with_error(error)), TOKENS, None).header == HEADER


def test_a_stream_that_ends_at_a_level_is_no_whole_one() -> None:
    """Of two bytes, where four are looked at: these are made anew, and what is sent stays as short."""
    codec = Telling(with_error(0.69))
    sent = measured_stream(codec, TOKENS, None, lambda max_bytes: EncodedImage("klt", HEADER, (b"0",)), whole=False)
    assert sent == EncodedImage("klt", bytes((0xE0, misfit_code(0.7))), (b"0",))
    assert codec.encoded == [4]
    assert codec.decoded == [b"012"]


def test_telling_it_costs_one_byte_of_the_bound() -> None:
    for bound, data in ((7, b"01234"), (3, b"0"), (2, b"")):
        codec = Telling(with_error(0.1))
        told = measured_stream(codec, TOKENS, bound)
        assert (told.payload_bytes, b"".join(told.segments)) == (bound, data)
        assert codec.encoded[-1] == bound - 1
    codec = Telling(with_error(0.1))
    assert measured_stream(codec, TOKENS, 1).header == HEADER  # the header alone has no room for it


# ---- which codec ---------------------------------------------------------------------------------------------
def shifted(error: float) -> Any:
    """A codec that restores all but that squared error."""

    class Shifted(Telling):
        def decode(self, header: bytes, segments: Sequence[bytes]) -> VisualTokens:
            parse_header(header, GRID)
            return VisualTokens(TOKENS.values + np.array([[math.sqrt(error), 0], [0, 0]], np.float32), GRID)

    return Shifted()


@pytest.mark.parametrize(("learned", "falls"), [(1.0, False), (1.09, False), (1.11, True), (0.0, False)])
def test_the_learned_stream_may_be_a_tenth_worse(learned: float, falls: bool) -> None:
    codecs = {"meta": shifted(learned), "klt": shifted(1.0)}
    sent = EncodedImage("meta", pack_header(GRID, GRID), (b"01234",))
    found = nearer_stream(sent, TOKENS, codecs.__getitem__)
    assert (written_by(found)[0] == "klt") is falls
    assert codecs["klt"].encoded == [6]  # of as many bytes


def test_the_closed_forms_stream_in_its_place() -> None:
    codec = Telling()
    found = closed_form_stream(TOKENS, lambda kind: {"klt": codec}[kind], None)  # type: ignore[arg-type, return-value]
    assert (found.strategy, found.header) == ("meta", marked_as_fallback(HEADER))
    assert unmarked(found.header) == HEADER
    assert codec.encoded == [None]


def test_a_misfit_is_read_where_its_codec_puts_it() -> None:
    told = with_extra(HEADER, 160)
    assert told == b"\xe0\xa0"
    assert photo_misfit(EncodedImage("klt", told, ()), None) == 2.0
    assert photo_misfit(EncodedImage("klt", HEADER, ()), None) is None
    assert photo_misfit(EncodedImage("meta", b"\xc0\xa0", ()), None) == 2.0
    assert photo_misfit(EncodedImage("meta", marked_as_fallback(told), ()), None) == 2.0
    assert photo_misfit(EncodedImage("meta", marked_as_fallback(HEADER), ()), None) is None
    for strategy, header in (("meta", b"\x80"), ("meta", b"\x00\xa0\x51"), ("pq", told), ("jpeg", b"")):
        assert photo_misfit(EncodedImage(strategy, header, ()), None) is None
    ranges = FittedRanges({"meta": RANGE})
    assert photo_misfit(EncodedImage("meta", HEADER, ()), ranges) == 0.2  # the end of part 4
    assert photo_misfit(EncodedImage("meta", HEADER, ()), None) is None  # of which range nothing is known
    assert photo_misfit(EncodedImage("meta", HEADER, ()), FittedRanges({"klt": RANGE})) is None
    assert photo_misfit(EncodedImage("klt", HEADER, ()), FittedRanges({"klt": RANGE})) is None
    assert photo_misfit(EncodedImage("meta", marked_as_fallback(HEADER), ()), ranges) is None
    assert stated_likelihood(EncodedImage("meta", b"\xc0\xa0", ()), ranges) == RANGE.likelihood(2.0)
    assert stated_likelihood(EncodedImage("meta", HEADER, ()), ranges) == RANGE.likelihood(0.2)
    assert stated_likelihood(EncodedImage("klt", told, ()), ranges) is None


# ---- ranges ---------------------------------------------------------------------------------------------------
def likelihood(deviations: float) -> float:
    """Bayes' rule with one photo in a hundred of another kind, spread over sixteen deviations."""
    density = 0.99 * math.exp(-(deviations**2) / 2) / math.sqrt(2 * math.pi)
    return density / (density + 0.01 / 16)


def test_likelihoods_by_hand() -> None:
    spread = math.log(0.3 / 0.2) / 1.645
    assert RANGE.likelihood(0.2) == RANGE.likelihood(0.1) == pytest.approx(likelihood(0))
    assert RANGE.likelihood(0.5) == pytest.approx(likelihood(math.log(2.5) / spread))
    narrow = replace(RANGE, quantiles=(0.2,) * 7)  # never narrower than a twentieth
    assert narrow.likelihood(0.2 * math.exp(0.1)) == pytest.approx(likelihood(2.0))


def test_quantiles_have_five_digits() -> None:
    assert FittedRange.of(7, [0.123456789]).quantiles == (0.12346,) * 7
    assert FittedRange.of(7, [0.5, 0.25]).photos == 2


def ranges(**changes: Any) -> Any:
    return {"format": 1, "codecs": {"klt": RANGE.to_json() | changes}}


BOUNDS: list[tuple[Any, Any, Any]] = [
    (ranges(payload_bytes=0), ranges(payload_bytes=-1), BundleFault.RANGE),
    (ranges(payload_bytes=1 << 24), ranges(payload_bytes=(1 << 24) + 1), BundleFault.RANGE),
    (ranges(photos=1), ranges(photos=0), BundleFault.RANGE),
    (ranges(photos=1), ranges(photos=True), FileFault.CONTENT),
    (ranges(photos=1), ranges(photos="1"), FileFault.CONTENT),
    (ranges(quantiles=[2.0**-30] * 7), ranges(quantiles=[2.0**-31] * 7), BundleFault.RANGE),
    (ranges(quantiles=[2**30] * 7), ranges(quantiles=[2.0**30 + 1] * 7), BundleFault.RANGE),
    (ranges(quantiles=[0.5] * 7), ranges(quantiles=[0.5] * 8), BundleFault.SHAPE),
    (ranges(quantiles=[0.5] * 7), ranges(quantiles=[0.5] * 6 + [0.4]), BundleFault.ORDER),
    (ranges(quantiles=[0.5] * 7), ranges(quantiles=[0.5] * 6 + [True]), BundleFault.RANGE),
    (ranges(), {"format": 2, "codecs": {"klt": RANGE.to_json()}}, BundleFault.FORMAT),
    (ranges(), {"format": 1, "codecs": {}}, FileFault.EMPTY),
    (
        {"format": 1, "codecs": {f"k{number}": RANGE.to_json() for number in range(16)}},
        {"format": 1, "codecs": {f"k{number}": RANGE.to_json() for number in range(17)}},
        BundleFault.TOO_MANY,
    ),
]


@pytest.mark.parametrize(("within", "beyond", "fault"), BOUNDS)
def test_bounds_of_the_file(within: Any, beyond: Any, fault: Any, tmp_path: Path) -> None:
    path = tmp_path / "familiarity.json"
    path.write_text(json.dumps(within))
    assert FittedRanges.load(path).to_json() == within
    path.write_text(json.dumps(beyond))
    with pytest.raises(BundleDamagedError) as caught:
        FittedRanges.load(path)
    assert caught.value.fault is fault


def test_the_file_has_at_most_64_kibibytes(tmp_path: Path) -> None:
    path = tmp_path / "familiarity.json"
    path.write_text(json.dumps(ranges()).ljust(1 << 16))
    assert FittedRanges.load(path).ranges == {"klt": RANGE}
    path.write_text(json.dumps(ranges()).ljust((1 << 16) + 1))
    with pytest.raises(BundleDamagedError) as caught:
        FittedRanges.load(path)
    assert caught.value.fault is FileFault.TOO_LARGE
