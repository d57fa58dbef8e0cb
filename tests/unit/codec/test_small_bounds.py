"""Bounds and numbers of the smaller parts of codecs, each by hand: the last within and the first beyond."""

from __future__ import annotations

import json
import math
import zlib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from heliograph.codec import meta, onnx_session, storage
from heliograph.codec.calibration import Calibration, Curve, Signals, input_values, products_of, word_values
from heliograph.codec.checks import check_bounds, check_weights
from heliograph.codec.cuts import cut, segment_ends
from heliograph.codec.expectation import ErrorHead, feature_count, prefix_features, question_features
from heliograph.codec.familiarity import FittedRange
from heliograph.codec.latents import LatentTables, fit_latent_tables
from heliograph.codec.manifest import file_digest, index_path, read_manifest, write_manifest
from heliograph.codec.meta import MetaCodec
from heliograph.codec.tables import ladder
from heliograph.errors import AnsweringFailedError, BundleDamagedError, ShapeError
from heliograph.reasons import BundleFault, BundlePart, FileFault
from heliograph.reference.assets import shipped_bundle_folder


def fault(do: Any) -> Any:
    with pytest.raises(BundleDamagedError) as caught:
        do()
    return caught.value.fault


# ---- cuts ----------------------------------------------------------------------------------------------------
def test_segments_have_eight_bytes_and_then_a_twenty_fourth_of_what_came() -> None:
    assert segment_ends(0) == []
    assert segment_ends(1) == [1]
    assert segment_ends(17) == [8, 16, 17]
    ends = segment_ends(300)
    assert ends[:27] == [8 * count for count in range(1, 28)]  # to 216 = 9 x 24
    assert ends[27:] == [225, 234, 243, 253, 263, 273, 284, 295, 300]
    assert cut(b"abcdef", [2, 3, 6]) == (b"ab", b"c", b"def")


def test_segments_end_where_planes_do_and_begin_anew_there() -> None:
    assert segment_ends(30, [17, 5]) == [5, 13, 17, 25, 30]
    assert segment_ends(30, [8, 16]) == [8, 16, 24, 30]
    assert segment_ends(10, [0, 10, 99, 4, 4]) == [4, 10]
    assert segment_ends(300, [216, 230])[26:30] == [216, 225, 230, 239]
    assert segment_ends(0, [3]) == []
    assert segment_ends(5, iter([1, 2])) == [5]  # less than 4 bytes are no segment of their own
    assert segment_ends(20, [11]) == [11, 19, 20]  # a slice grows by 3 bytes
    assert segment_ends(20, [12]) == [8, 12, 20]


# ---- checks --------------------------------------------------------------------------------------------------
def test_bounds_belong_to_what_they_bound() -> None:
    check_bounds(BundlePart.TABLES, np.array([0, 5]), 0, 5)
    for values, low, high in (([0, 5], 1, 5), ([0, 5], 0, 4)):
        assert fault(lambda v=values, a=low, b=high: check_bounds(BundlePart.TABLES, np.array(v), a, b)) is (
            BundleFault.RANGE
        )
    below = np.array([2.0**20 - 1, -(2.0**20) + 1])
    check_weights(BundlePart.TABLES, below, below)
    for value in (2.0**20, -(2.0**20)):
        spoilt = np.array([0.0, value])
        assert fault(lambda v=spoilt: check_weights(BundlePart.TABLES, below, v)) is BundleFault.RANGE


# ---- the error head ------------------------------------------------------------------------------------------
def head(hidden: int, latents: int = 1) -> ErrorHead:
    return ErrorHead(
        np.zeros((feature_count(latents), hidden), np.float32),
        np.zeros(hidden, np.float32),
        np.zeros((hidden, 2), np.float32),
        np.zeros(2, np.float32),
    )


def test_the_head_has_1_to_4096_hidden_values() -> None:
    assert feature_count(5) == 3 + 5 + 64
    for hidden in (1, 4096):
        head(hidden).check(1)
    for hidden in (0, 4097):
        assert fault(lambda h=hidden: head(h).check(1)) is BundleFault.SHAPE
    flat = head(4)
    object.__setattr__(flat, "hidden_bias", np.zeros((4, 1), np.float32))
    assert fault(lambda: flat.check(1)) is BundleFault.SHAPE


def test_the_head_by_hand() -> None:
    """Two hidden values of the share that has come: max(2 x 0.5 + 1, 0) and max(-0.5 - 1, 0)."""
    made = head(2)
    made.hidden_weights[0] = 2, -1
    made.hidden_bias[:] = 1, -1
    made.out_weights[:] = [[0.5, -1.0], [9.0, 9.0]]
    made.out_bias[:] = 0.25, 0.5
    found = made.expect(np.zeros((2, 1, 1), np.int64), 1)
    assert found.token_error == pytest.approx(math.exp(0.5 * 2 + 0.25))
    assert found.answer_differs == pytest.approx(1 / (1 + math.exp(2 - 0.5)))
    made.out_bias[:] = 1e6, -1e6
    far = made.expect(np.zeros((2, 1, 1), np.int64), 1)
    assert (far.token_error, far.answer_differs) == (math.exp(30), 1 / (1 + math.exp(30)))
    made.out_weights[:] = np.float32(3e38)
    with pytest.raises(AnsweringFailedError):
        made.expect(np.zeros((2, 1, 1), np.int64), 1)


def test_features_of_a_prefix_by_hand() -> None:
    """Two tiles of three latents, four of six known: the third is known of no tile, the second of both."""
    latents = np.array([[[3, -4], [0, 1], [9, 9]], [[1, 0], [0, 0], [9, 9]]])
    found = prefix_features(latents, 4)
    sizes = [(math.log(8) + math.log(2)) / 2, math.log(2) / 2, 0]
    np.testing.assert_allclose(found, [4 / 6, (4 / 6) ** 2, math.sqrt(4 / 6), *sizes], rtol=1e-6)
    assert prefix_features(latents, 1)[3] == pytest.approx(math.log(8) / 2)  # of the first tile alone


def test_words_are_counted_by_their_checksum() -> None:
    buckets = {word: zlib.crc32(word.encode()) % 64 for word in ("how", "many", "stars")}
    assert len(set(buckets.values())) == 3
    found = question_features("How many MANY stars?")
    wanted = np.zeros(64)
    for word, count in (("how", 1), ("many", 2), ("stars", 1)):
        wanted[buckets[word]] = count / math.sqrt(6)
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert np.array_equal(question_features("many " * 64 + "stars"), question_features("many"))  # 64 words count
    assert question_features("many " * 63 + "stars")[buckets["stars"]] > 0


# ---- latents -------------------------------------------------------------------------------------------------
def rising(latents: int, channels: int, reach: int) -> LatentTables:
    row = np.append(np.arange(2 * reach + 1), 65536)
    borders = np.broadcast_to(row, (latents, channels, 3, 2 * reach + 2))
    return LatentTables(borders, np.zeros((latents, 2), np.int64))


def test_how_many_latents_there_may_be() -> None:
    for sides in ((4096, 1, 1), (1, 256, 1), (1, 1, 127)):
        rising(*sides).check()
    for sides in ((4097, 1, 1), (1, 257, 1), (1, 1, 128)):
        assert fault(rising(*sides).check) is BundleFault.TOO_MANY
    assert (rising(3, 2, 5).latents, rising(3, 2, 5).channels, rising(3, 2, 5).reach) == (3, 2, 5)
    for borders in (np.zeros((1, 1, 3)), np.zeros((1, 1, 2, 4)), np.zeros((1, 1, 3, 5)), np.zeros((1, 1, 3, 2))):
        made = LatentTables(borders.astype(np.int64), np.zeros((1, 2), np.int64))
        assert fault(made.check) is BundleFault.SHAPE


def test_contexts_are_sums_of_the_two_before() -> None:
    tables = LatentTables(rising(4, 2, 9).borders, np.array([[1, 4]] * 4))
    latents = np.array([[[1, -2], [0, 1], [0, 0], [5, 5]]])  # sizes 3, 1, 0, 10
    assert tables.contexts(latents).tolist() == [[0, 1, 2, 1]]  # of sums 0, 3, 4, 1
    flat = np.concatenate([np.arange(0, 65536, 16384), [65536]])
    even = LatentTables(np.broadcast_to(flat[[0, 1, 2, 4]], (4, 2, 3, 4)), tables.context_borders)
    assert even.bits(np.array([[[-1, 0], [1, 1], [0, 0], [-1, 1]]])).tolist() == [[4.0, 2.0, 4.0, 3.0]]


def test_tables_are_counts_drawn_to_those_without_context() -> None:
    """Eight photos of one latent in one channel, reach 1: six zeros, one each of the others, all in context 2."""
    latents = np.array([0, 0, 0, 0, 0, 0, 1, -1]).reshape(8, 1, 1)
    made = fit_latent_tables(latents, 1)
    assert made.context_borders.tolist() == [[0, 0]]
    pooled = np.array([1.02, 6.02, 1.02]) / 8.06
    seen = (np.array([1, 6, 1]) + 24 * pooled) / 32
    for context, chance in ((0, pooled), (1, pooled), (2, seen)):
        inner = np.rint(np.cumsum(chance) * (65536 - 3)) + np.arange(1, 4)
        assert made.borders[0, 0, context].tolist() == [0, *inner]


def test_context_borders_are_thirds_of_the_photos() -> None:
    """Latents of sizes 0 to 8 before the second one: thirds of nine end at 8/3 and 16/3, rounded up."""
    latents = np.stack([np.arange(9), np.zeros(9, np.int64)], axis=1)[..., None]
    assert fit_latent_tables(latents, 8).context_borders.tolist() == [[0, 0], [3, 6]]
    for wrong, reach in ((latents, 7), (latents, 0), (latents, 128), (latents[0], 8)):
        with pytest.raises(ShapeError):
            fit_latent_tables(wrong, reach)
    assert fit_latent_tables(latents, 127).reach == 127


# ---- ladders -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("octave", [0, 31, 32, 33, 40])
def test_whole_octaves_are_exact(octave: int) -> None:
    assert ladder(8 * octave, 3) == 3 << octave
    assert ladder(-8, 3 << octave) == (3 << octave) // 2


# ---- the learned codec ---------------------------------------------------------------------------------------
def test_a_photo_that_is_restored_worse_has_so_much_less() -> None:
    """Restored shares are held against the worst held-out photo: of a misfit of 1/2 there, 1/4 is all, 3/4 half."""
    codec = MetaCodec.load(shipped_bundle_folder())
    code = {0.25: 64, 0.5: 96, 0.75: 128 + round(32 * math.log2(0.75)), 1.0: 128, 2.0: 160}
    assert codec._lowered_by(0, code[0.5]) == 1.0  # without a range nothing is lowered
    assert codec._lowered_by(7, 0) == 1.0
    codec.fitted = FittedRange(0, (0.1, 0.1, 0.1, 0.2, 0.2, 0.3, 0.5), 9)
    assert [codec._lowered_by(part, 0) for part in range(8)] == [1.0] * 8  # within the range, or not measured
    assert [codec._lowered_by(0, code[value]) for value in (0.25, 0.5)] == [1.0, 1.0]
    assert codec._lowered_by(0, code[0.75]) == pytest.approx(0.5, abs=0.02)
    assert [codec._lowered_by(0, code[value]) for value in (1.0, 2.0)] == [0.0, 0.0]
    codec.fitted = FittedRange(0, (0.1, 0.1, 0.1, 0.2, 0.2, 0.3, 7.0), 9)  # no better than nothing: against 0.99
    assert codec._lowered_by(0, 127) == pytest.approx(min((1 - 2 ** (-1 / 32)) / 0.01, 1.0))
    assert codec._lowered_by(0, 128) == codec._lowered_by(7, 0) == 0.0


@pytest.mark.parametrize("outputs", [[], [np.zeros(1)], [np.zeros(1)] * 3])
def test_a_network_has_as_many_outputs_as_expected(outputs: list[Any]) -> None:
    session: Any = SimpleNamespace(run=lambda names, given: outputs)
    assert fault(lambda: meta._run(session, {}, 2)) is BundleFault.BORDER


def test_a_network_makes_numbers() -> None:
    given: list[Any] = []
    made = [np.zeros(2), np.array([0.0, np.nan])]
    session: Any = SimpleNamespace(run=lambda names, inputs: given.append((names, inputs)) or made)
    with pytest.raises(AnsweringFailedError):
        meta._run(session, {"x": np.ones(1)}, 2)
    made[1] = np.ones(3, np.float64)
    assert [one.dtype.name for one in meta._run(session, {}, 2)] == ["float32"] * 2
    session.run = lambda names, inputs: 1 // 0
    assert fault(lambda: meta._run(session, {}, 2)) is BundleFault.BORDER


def test_grids_of_other_sides_are_not_taken() -> None:
    codec = MetaCodec.load(shipped_bundle_folder())
    own = codec.grid
    assert codec.takes(own)
    assert codec.takes(replace(own, tiles=2, photo_width=9))
    most = (1 << 24) // (own.rows * own.columns * codec.hidden_size)
    assert codec.takes(replace(own, tiles=most))
    for wrong in ({"rows": own.rows + 1}, {"columns": own.columns - 1}, {"tiles": 0}, {"tiles": most + 1}):
        assert not codec.takes(replace(own, **wrong))


# ---- disk ----------------------------------------------------------------------------------------------------
def test_table_files_have_these_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A gibibyte with a header of four mebibytes; no table of any codec comes near."""
    asked: list[dict[str, Any]] = []

    def read_header(path: Path, **bounds: Any) -> None:
        asked.append(bounds)
        raise BundleDamagedError(BundlePart.TABLES, FileFault.MISSING)

    monkeypatch.setattr(storage, "read_header", read_header)
    with pytest.raises(BundleDamagedError):
        storage.read_arrays(tmp_path, "it")
    (bounds,) = asked
    assert (bounds["max_bytes"], bounds["max_header_bytes"]) == (1_073_741_824, 4_194_304)
    assert bounds["item_bytes"] == {"F16": 2, "F32": 4, "F64": 8, "I8": 1, "I16": 2, "I32": 4, "I64": 8, "U8": 1}


def test_the_manifest_is_found_by_either_name(tmp_path: Path) -> None:
    assert index_path(tmp_path).name == "config.json"
    (tmp_path / "manifest.json").touch()
    assert index_path(tmp_path).name == "manifest.json"
    write_manifest(tmp_path / "a.json", {"b": 1, "a": [2]})
    assert (tmp_path / "a.json").read_text() == '{\n "a": [\n  2\n ],\n "b": 1\n}\n'
    assert fault(lambda: read_manifest(tmp_path)) is FileFault.NOT_JSON


def test_a_file_of_a_bundle_has_at_most_16_gibibytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from heliograph.codec import manifest

    assert manifest._MAX_FILE_BYTES == 17_179_869_184
    monkeypatch.setattr(manifest, "_MAX_FILE_BYTES", 5)
    path = tmp_path / "it"
    path.write_bytes(b"12345")
    assert file_digest(path) == "5994471abb01112afcc18159f6cc74b4f511b99806da59b3caf5a9c173cacfc5"
    path.write_bytes(b"123456")
    assert fault(lambda: file_digest(path)) is FileFault.TOO_LARGE


def test_a_network_runs_on_as_many_threads_as_asked_and_keeps_no_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import onnxruntime

    seen: list[Any] = []
    monkeypatch.setattr(onnxruntime, "InferenceSession", lambda path, **how: seen.append((path, how)))
    monkeypatch.setattr(onnx_session, "check_values", lambda path: None)
    onnx_session.open_session(tmp_path / "it.onnx")
    onnx_session.open_session(tmp_path / "it.onnx", threads=3)
    options = [how["sess_options"] for _, how in seen]
    assert [(one.intra_op_num_threads, one.inter_op_num_threads) for one in options] == [(1, 1), (3, 1)]
    assert not any(one.enable_cpu_mem_arena for one in options)
    assert {one.log_severity_level for one in options} == {3}  # errors alone
    assert {tuple(how["providers"]) for _, how in seen} == {("CPUExecutionProvider",)}


# ---- curves --------------------------------------------------------------------------------------------------
KNOWN = Signals(1.0, 2.0, 1.0, 0.5, 4, 3, None, None, 0.75, 255, 63, "how many?")


def test_a_curve_by_hand() -> None:
    """Energy 0.75 and 8 of bytes: standardised 1 and -1, squares and product 1, -1, 1."""
    curve = Curve(("energy", "bytes"), (0.5, 10.0), (0.25, 2.0), (0.5, 2.0), 0.1)
    assert curve.chance(KNOWN) == pytest.approx(1 / (1 + math.exp(-(0.5 - 2.0 + 0.1))))
    pairs = Curve(*curve.to_json().values())
    assert pairs.chance(KNOWN) == curve.chance(KNOWN)
    made = Curve(("energy", "bytes"), (0.5, 10.0), (0.25, 2.0), (0.5, 2.0), 0.1, (), (1.0, 0.25, 4.0))
    assert made.chance(KNOWN) == pytest.approx(1 / (1 + math.exp(-(-1.4 + 1.0 - 0.25 + 4.0))))
    words = np.arange(64.0) / 64
    with_words = Curve(("energy",), (0.75,), (1.0,), (1.0,), 0.0, tuple(words.tolist()))
    asked = float(question_features("how many?") @ words)
    assert with_words.chance(KNOWN) == pytest.approx(1 / (1 + math.exp(-asked)), rel=1e-6)
    for bias, odds in ((1e5, 30), (-1e5, -30)):
        far = Curve(("energy",), (0.75,), (1.0,), (1.0,), bias)
        assert far.chance(KNOWN) == pytest.approx(1 / (1 + math.exp(-odds)), rel=1e-12)
    assert Curve(("token-error",), (0.0,), (1.0,), (1.0,), 0.0).chance(KNOWN) is None
    assert products_of(np.array([[2.0, 3.0]])).tolist() == [[4.0, 6.0, 9.0]]
    assert word_values([]).shape == (0, 64)
    assert input_values([], ("energy",)).shape == (0, 1)


def test_right_is_known_where_it_differs() -> None:
    curve = {"min-entropy": Curve(("min-entropy",), (0.0,), (1.0,), (1.0,), 0.0)}
    other = {"min-entropy": Curve(("min-entropy",), (0.0,), (1.0,), (1.0,), 1.0)}
    assert not Calibration(curve, curve).knows_right
    assert Calibration(curve, other).knows_right


def with_entry(*path: str, value: Any) -> Any:
    curve = Curve(("min-entropy", "energy"), (0.0, 0.0), (1.0, 1.0), (1.0, 1.0), 0.0)
    made = Calibration({"min-entropy": curve}, {"min-entropy": curve}, {"margin": ((0.5, 0.5),)}).to_json()
    at = made
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return json.loads(json.dumps(made))


FIRST = ("agrees", "min-entropy")
CALIBRATIONS: list[tuple[tuple[str, ...], Any, Any, Any]] = [
    ((*FIRST, "bias"), 1e6, 1.000001e6, BundleFault.RANGE),
    ((*FIRST, "bias"), -1e6, -1.000001e6, BundleFault.RANGE),
    ((*FIRST, "bias"), 1, True, FileFault.CONTENT),
    ((*FIRST, "spread"), [1e-9, 1], [0, 1], BundleFault.RANGE),
    ((*FIRST, "spread"), [1, 1], [1, -1], BundleFault.RANGE),
    ((*FIRST, "centre"), [0, 0], [0], BundleFault.SHAPE),
    ((*FIRST, "words"), [0.0] * 64, [0.0] * 65, BundleFault.SHAPE),
    ((*FIRST, "products"), [0.0] * 3, [0.0] * 4, BundleFault.SHAPE),
    ((*FIRST, "products"), [], [0.0], BundleFault.SHAPE),
    (("thresholds", "margin"), [[0, 0]] * 64, [[0, 0]] * 65, BundleFault.TOO_MANY),
    (("thresholds", "margin"), [[0, 1], [0, 1]], [[0, 1], [0, 0.9]], BundleFault.ORDER),
    (("thresholds", "margin"), [[0, 0], [1, 1]], [[0, 0], [1, 1.01]], BundleFault.RANGE),
    (("thresholds", "margin"), [[0, 0], [1, 1]], [[-0.01, 0], [1, 1]], BundleFault.RANGE),
    (("format",), 1, 2, BundleFault.FORMAT),
    (("facts",), {}, [], FileFault.CONTENT),
]


@pytest.mark.parametrize(("path", "within", "beyond", "reason"), CALIBRATIONS)
def test_bounds_of_a_calibration(path: tuple[str, ...], within: Any, beyond: Any, reason: Any, tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    file.write_text(json.dumps(with_entry(*path, value=within)))
    assert Calibration.load(file).to_json() == with_entry(*path, value=within)
    file.write_text(json.dumps(with_entry(*path, value=beyond)))
    assert fault(lambda: Calibration.load(file)) is reason


def test_a_calibration_has_at_most_256_kibibytes(tmp_path: Path) -> None:
    file = tmp_path / "calibration.json"
    text = json.dumps(with_entry("format", value=1))
    file.write_text(text.ljust(1 << 18))
    assert Calibration.load(file).facts == {}
    file.write_text(text.ljust((1 << 18) + 1))
    assert fault(lambda: Calibration.load(file)) is FileFault.TOO_LARGE
