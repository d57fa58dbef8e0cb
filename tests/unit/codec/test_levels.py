"""Whole planes and how fine they are: what a prefix tells, and which fineness a bound in bytes gets."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.codec.codeword import Codeword
from heliograph.codec.klt import FINENESSES, KltCodec
from heliograph.codec.levels import LevelCurve, expected_agreement
from heliograph.codec.planes import PlaneState
from heliograph.codec.quantize import quantize, scaled
from heliograph.errors import ShapeError
from heliograph.types import Grid, VisualTokens
from integer_codec import PLANES, integer_codec, integer_tokens


@pytest.fixture(scope="module")
def exact() -> KltCodec:
    return integer_codec()


def header_of(fineness: int) -> bytes:
    """On the fitted grid: version 2 and the fineness."""
    return bytes((0x80 | fineness << 3,))


def whole(codec: KltCodec, tokens: VisualTokens, fineness: int) -> Codeword:
    return codec.encode_coefficients(codec.analyse(tokens), tokens.grid, fineness=fineness)


def lowest(codec: KltCodec, word: Codeword, fineness: int, length: int) -> int:
    """The level of the last plane that ends within so many bytes; at first that above all planes."""
    ends = [(plane, word.bytes_to(plane)) for plane in word.plane_ends]
    whole = (8 * plane - fineness for plane, end in ends if end is not None and end <= length)
    return min(whole, default=8 * codec.tables.planes)


@pytest.mark.parametrize("fineness", range(FINENESSES))
@pytest.mark.parametrize("factor", [7, 10])
def test_the_level_falls_at_every_end_of_a_plane(exact: KltCodec, factor: int, fineness: int) -> None:
    tokens = integer_tokens(factor)
    word, header = whole(exact, tokens, fineness), header_of(fineness)
    found = [exact.level(header, [word.data[:length]]) for length in range(len(word.data) + 1)]
    assert found == [lowest(exact, word, fineness, length) for length in range(len(word.data) + 1)]
    assert found[0] == 8 * PLANES
    assert found[-1] == -fineness
    assert len(set(found)) >= PLANES  # none, and most of the planes at a byte of their own


def test_a_photo_starts_with_its_fineness_in_the_header(exact: KltCodec) -> None:
    for fineness in range(FINENESSES):
        encoded = exact.encode(integer_tokens(7), fineness=fineness)
        assert encoded.header == header_of(fineness)
        assert b"".join(encoded.segments) == whole(exact, integer_tokens(7), fineness).data
    assert exact.encode(integer_tokens(7)).header == header_of(0)
    assert exact.encode(integer_tokens(7), max_bytes=1).segments == ()
    assert exact.encode(integer_tokens(7), max_bytes=0).payload_bytes == 1


@pytest.mark.parametrize("fineness", [-1, 8, 64])
def test_there_are_eight_finenesses(exact: KltCodec, fineness: int) -> None:
    for bound in (None, 10):
        with pytest.raises(ShapeError):
            exact.encode(integer_tokens(7), max_bytes=bound, fineness=fineness)


def test_networks_are_made_once_for_all_finenesses(exact: KltCodec) -> None:
    first, second = (exact.model_for(Grid(2, 3), fineness).plan(0).contexts for fineness in (1, 6))
    assert first[0] is not None
    assert first[0] is second[0]
    assert first[1] is second[1]


@pytest.mark.parametrize("fineness", [0, 3, 7])
def test_segments_end_where_planes_do(exact: KltCodec, fineness: int) -> None:
    for tokens in (integer_tokens(7), integer_tokens(5, tiles=3)):
        word = whole(exact, tokens, fineness)
        encoded = exact.encode(tokens, fineness=fineness)
        ends = {0, *np.cumsum([len(one) for one in encoded.segments]).tolist()}
        planes = {word.bytes_to(plane) for plane in range(PLANES)}
        assert all(plane in ends or any(0 < plane - end < 4 for end in ends) for plane in planes)
        assert len(planes & ends) > 1


def chosen(codec: KltCodec, tokens: VisualTokens, budgets: range) -> list[int]:
    """Levels that are lost against all eight finenesses, at bounds that hold a whole plane but not all of them.

    The stream is cut at its bound; and of the lowest plane that fineness 0 ends within it, the next finer step does
    not end within it.
    """
    words = [whole(codec, tokens, fineness) for fineness in range(FINENESSES)]
    lost = []
    for budget in budgets:
        encoded = codec.encode(tokens, max_bytes=1 + budget)
        fineness = encoded.header[0] >> 3 & 7
        levels = [lowest(codec, word, k, budget) for k, word in enumerate(words)]
        assert b"".join(encoded.segments) == words[fineness].data[:budget]
        assert codec.level(encoded.header, encoded.segments) == levels[fineness]
        if levels[0] in (8 * codec.tables.planes, 0):
            assert fineness == 0
            continue
        plane = levels[0] // 8
        ends = [word.bytes_to(plane) for word in words]
        assert ends[fineness] is not None
        assert ends[fineness] <= budget
        assert fineness == 7 or ends[fineness + 1] > budget
        lost.append(levels[fineness] - min(levels))
    return lost


@pytest.mark.parametrize("factor", [7, 10])
def test_a_bound_gets_a_fineness_whose_next_does_not_fit(exact: KltCodec, factor: int) -> None:
    """Of streams of a few bytes a finer one may well be shorter, so there may be a better one still."""
    assert chosen(exact, integer_tokens(factor), range(20))


def test_a_bound_gets_the_finest_whole_plane(codec: KltCodec, photos: list[VisualTokens]) -> None:
    """Nearly always; where a byte more or less decides, the next one."""
    lost = [one for tokens in photos[:6] for one in chosen(codec, tokens, range(6, 90, 7))]
    assert len(lost) > 40
    assert lost.count(0) >= 0.9 * len(lost)
    assert max(lost) <= 2


@pytest.mark.parametrize("fineness", range(FINENESSES))
def test_both_ends_expect_the_same_energy(exact: KltCodec, fineness: int) -> None:
    for tokens in (integer_tokens(7), integer_tokens(5, tiles=2)):
        encoded = exact.encode(tokens, fineness=fineness)
        received = [
            exact.retained_energy(encoded.header, encoded.segments[:count])
            for count in range(len(encoded.segments) + 1)
        ]
        assert received[0] == 0
        assert tuple(received[1:]) == encoded.predicted_quality
        assert received == sorted(received)
        word = whole(exact, tokens, fineness)
        counts = range(len(word.data) + 1)
        every = [exact.retained_energy(encoded.header, [word.data[:length]]) for length in counts]
        assert every == word.retained_at(np.array(counts)).tolist()


def replayed(codec: KltCodec, tokens: VisualTokens, fineness: int, decisions: int) -> np.ndarray:
    """Signed integers after so many of the encoder's decisions, by asking them in order."""
    magnitude, negative = quantize(scaled(codec.analyse(tokens), fineness), codec.magnitude_limits)
    state = PlaneState(codec.model_for(tokens.grid, fineness), tokens.grid.tiles)
    for plane, part in state.passes():
        items = state.items(plane, part)
        done = min(decisions, len(items))
        ones = ((magnitude[items.index[:done]] >> plane) & 1).nonzero()[0]
        state.apply(items, ones, negative[items.index[ones]], done)
        decisions -= done
        if decisions == 0:
            break
    return np.where(state.restored < 0, -state.known, state.known).reshape(state.shape)


@pytest.mark.parametrize("fineness", [0, 3, 7])
@pytest.mark.parametrize(("factor", "grid"), [(7, Grid(2, 3)), (10, Grid(2, 3)), (5, Grid(2, 3, 2)), (7, Grid(3, 2))])
def test_every_byte_prefix_tells_the_encoders_decisions(
    exact: KltCodec, factor: int, grid: Grid, fineness: int
) -> None:
    tokens = VisualTokens(integer_tokens(factor, grid.tiles).values, grid)
    word, encoded = whole(exact, tokens, fineness), exact.encode(tokens, fineness=fineness)
    for length in range(len(word.data) + 1):
        known = int(word.known_at(np.array([length]))[0])
        found = exact.decode_integers(encoded.header, [word.data[:length]])
        assert np.array_equal(found, replayed(exact, tokens, fineness, known))
    truth = np.trunc(tokens.values.astype(np.float64) * 2 ** (fineness / 8)).reshape(found.shape)
    assert np.array_equal(found, np.clip(truth, -exact.magnitude_limits, exact.magnitude_limits))


@pytest.mark.parametrize("fineness", range(FINENESSES))
def test_values_are_restored_in_the_same_units_whatever_the_fineness(exact: KltCodec, fineness: int) -> None:
    """Of the whole stream, within one step of the stream, which is 2^(-k/8) of the finest one."""
    tokens = integer_tokens(7)
    bound = exact.magnitude_limits * 2 ** (-fineness / 8)
    encoded = exact.encode(tokens, fineness=fineness)
    restored = exact.decode(encoded.header, encoded.segments).values
    carried = np.clip(tokens.values, -bound, bound)
    assert np.abs(restored - carried).max() <= 1.01 * 2 ** (-fineness / 8)
    assert not restored[np.abs(tokens.values) < 0.5].any()


# ---- streams that end at a level ---------------------------------------------------------------------------
def test_a_stream_ends_at_its_level(exact: KltCodec) -> None:
    """With the bytes of the whole one but the last two, which say nothing of what is not sent, and no more of them."""
    blank, sparse = integer_tokens(0), integer_tokens(0)
    sparse.values[0, 1] = -17
    for tokens in (integer_tokens(7), integer_tokens(10), integer_tokens(5, tiles=3), blank, sparse):
        for level in range(-7, 8 * (PLANES - 1) + 1):
            fineness = -level % 8
            encoded = exact.encode(tokens, level=level)
            assert encoded.header[0] >> 3 & 7 == fineness
            assert exact.level(encoded.header, encoded.segments) == level
            word = whole(exact, tokens, fineness)
            end = word.bytes_to((level + fineness) // 8)
            data = b"".join(encoded.segments)
            assert end is not None
            assert len(data) <= end
            assert data[:-2] == word.data[: len(data) - 2]
            known = replayed(exact, tokens, fineness, word.plane_ends[(level + fineness) // 8])
            assert np.array_equal(exact.decode_integers(encoded.header, encoded.segments), known)
            if encoded.segments:
                shorter = [*encoded.segments[:-1], encoded.segments[-1][:-1]]
                assert exact.level(encoded.header, shorter) > level


def test_levels_above_the_first_planes_send_nothing_and_below_them_are_refused(exact: KltCodec) -> None:
    for level in (8 * PLANES - 7, 8 * PLANES, 4096):
        assert exact.encode(integer_tokens(7), level=level).segments == ()
    for level in (-8, -100):
        with pytest.raises(ShapeError):
            exact.encode(integer_tokens(7), level=level)


def test_a_level_that_does_not_fit_leaves_the_choice_to_the_bound(exact: KltCodec) -> None:
    tokens = integer_tokens(7)
    fitting = exact.encode(tokens, level=9)
    assert exact.encode(tokens, level=9, max_bytes=fitting.payload_bytes) == fitting
    bound = fitting.payload_bytes - 1
    assert exact.encode(tokens, level=9, max_bytes=bound) == exact.encode(tokens, max_bytes=bound)


def test_the_encoder_stops_at_the_end_of_the_plane(codec: KltCodec, photos: list[VisualTokens]) -> None:
    coefficients, plane = codec.analyse(photos[0]), codec.tables.planes - 3
    word = codec.encode_coefficients(coefficients, photos[0].grid, last_plane=plane)
    assert word.bytes_to(plane) == len(word.data)
    assert min(word.plane_ends) == plane
    assert len(word.data) < 0.5 * len(codec.encode_coefficients(coefficients, photos[0].grid).data)


# ---- expected agreement ------------------------------------------------------------------------------------
@pytest.mark.parametrize("fineness", [0, 5])
def test_both_ends_expect_the_same_agreement(exact: KltCodec, fineness: int) -> None:
    assert exact.encode(integer_tokens(7), fineness=fineness).predicted_agreement == ()
    exact.levels = LevelCurve((8 * PLANES, 17, 3, -7), (0.0, 0.4, 0.9, 1.0), 20, 60)
    try:
        encoded = exact.encode(integer_tokens(7), fineness=fineness)
        counts = range(1, len(encoded.segments) + 1)
        received = [expected_agreement(exact, encoded.header, encoded.segments[:count]) for count in counts]
        assert tuple(received) == encoded.predicted_agreement
        assert received == sorted(received)  # type: ignore[type-var]
        assert len(set(received)) > 3
        assert expected_agreement(exact, encoded.header, ()) == 0.0
        assert encoded.prefix(2).predicted_agreement == encoded.predicted_agreement[:2]
    finally:
        exact.levels = None
    assert expected_agreement(exact, encoded.header, encoded.segments) is None
