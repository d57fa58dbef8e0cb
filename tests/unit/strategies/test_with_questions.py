"""``side-info`` and ``question-coded``: ``meta``'s stream, the question at one end, nothing of it on the wire."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest

from heliograph.codec.bundle import Bundle
from heliograph.codec.fallback import written_by
from heliograph.codec.parts import Part, no_parts
from heliograph.codec.question_words import BUCKETS, MAX_WORDS, question_words
from heliograph.edge.device import AskedDevice, Device
from heliograph.edge.photos.file import load_photo
from heliograph.errors import BundleDamagedError, PartMissingError, StreamDamagedError
from heliograph.reference.assets import demo_photo_path, shipped_bundle_folder
from heliograph.registry import STRATEGIES
from heliograph.strategies.restoring import AskedCloud
from heliograph.types import EncodedImage, FloatArray, VisualTokens

STAR, SIGN = "what color is the star?", "what does the sign say?"


class Words:
    """A network that adds what it is told: the question's first bucket, and the share that is known."""

    def __init__(self, shape: tuple[int, ...] | None = None) -> None:
        self.shape = shape

    def run(self, names: None, given: dict[str, Any]) -> list[FloatArray]:
        told = given["tokens"] + given["words"][:, :1, None].astype(np.float32) / BUCKETS
        if "share" in given:
            told = told + given["share"][:, None, None]
        return [told if self.shape is None else np.zeros(self.shape, np.float32)]


class Small(Part):
    """A part whose networks are those."""

    shape: tuple[int, ...] | None = None

    def network(self, stem: str, threads: int = 1) -> Any:
        assert stem in ("side", "adapter")
        return Words(self.card["shape"])


def part(shape: tuple[int, ...] | None = None) -> Part:
    return Small("any", None, {"shape": shape}, b"ab", frozenset())  # type: ignore[arg-type]


@cache
def bundle() -> Bundle:
    return Bundle.load(shipped_bundle_folder())


@cache
def tokens() -> VisualTokens:
    return Device(bundle()).encode_tokens(load_photo(demo_photo_path()))


class Ends:
    """Both ends with the shipped codecs and tokens at hand."""

    question, sight, input_size = "", None, 128

    def __init__(self, found: Part | None = None) -> None:
        self._found = part() if found is None else found
        self.grid, self.hidden_size = bundle().grid, bundle().hidden_size

    def codec(self, kind: str) -> Any:
        return bundle().codec(kind)

    def part(self, name: str) -> Part:
        return self._found

    def encode_tokens(self, photo: Any) -> VisualTokens:
        return tokens()

    def check_grid(self, grid: Any) -> None:
        """Nothing to refuse."""


class Without(Ends):
    """The same without parts."""

    def part(self, name: str) -> Part:
        return no_parts(name)


def encoded(name: str, question: str = "", ends: Any = None, **setting: Any) -> EncodedImage:
    tools: Any = ends or Ends()
    stream: EncodedImage = STRATEGIES.load(name)().encode(None, AskedDevice(tools, question), setting)
    return stream


def restored(stream: EncodedImage, question: str = "", ends: Any = None) -> FloatArray:
    tools: Any = AskedCloud(ends or Ends(), question)
    found = STRATEGIES.load(stream.strategy)().restore(stream, tools).tokens
    values: FloatArray = found.values
    return values


def test_words_are_hashed_in_their_order() -> None:
    one, other = question_words("What color?"), question_words("color what")
    assert one.shape == (1, MAX_WORDS)
    assert one[0, :2].tolist() == other[0, 1::-1].tolist()
    assert not one[0, 2:].any()
    assert question_words("x " * 99).min() > 0
    assert 0 <= question_words("ein Straßenschild, 京都?").max() <= BUCKETS
    assert not question_words("").any()


def test_side_info_sends_what_meta_sends_and_needs_no_part_to_send_it() -> None:
    plain, side = encoded("meta", latents=12), encoded("side-info", STAR, Without(), latents=12)
    assert (side.header, side.segments) == (plain.header, plain.segments)
    assert side.strategy == "side-info"
    assert written_by(side) == written_by(plain)


def test_side_info_restores_for_the_question() -> None:
    stream = encoded("side-info", latents=12)
    plain = restored(replace(stream, strategy="meta"))
    assert np.array_equal(restored(stream, "", Without()), plain)  # nobody asked
    star, sign = restored(stream, STAR), restored(stream, SIGN)
    share = 12 / bundle().codec("meta").tables.latents.latents  # type: ignore[attr-defined]
    told = question_words(STAR)[0, 0] / BUCKETS + share
    assert np.allclose(star - plain, told, atol=1e-4)
    assert np.array_equal(star, sign)  # both begin with the same word
    assert not np.array_equal(star, restored(stream, "is there a star?"))
    for cut in range(len(stream.segments)):
        assert restored(stream.prefix(cut), STAR).shape == plain.shape


def test_side_info_leaves_photos_alone_that_were_left_to_the_closed_form() -> None:
    from heliograph.codec.fallback import closed_form_stream

    closed = replace(closed_form_stream(tokens(), bundle().codec, 100), strategy="side-info")
    assert np.array_equal(restored(closed, STAR, Without()), restored(replace(closed, strategy="meta")))


def test_side_info_without_a_part_or_with_a_strange_one_is_named() -> None:
    stream = encoded("side-info", latents=4)
    with pytest.raises(PartMissingError):
        restored(stream, STAR, Without())
    with pytest.raises(BundleDamagedError):
        restored(stream, STAR, Ends(part((1, 3, 3))))
    with pytest.raises(StreamDamagedError):
        restored(replace(stream, header=bytes.fromhex("8108080100")), STAR)


def test_question_coded_prepares_tokens_and_the_cloud_needs_nothing() -> None:
    strategy = STRATEGIES.load("question-coded")()
    assert strategy.asks({})
    star, other = encoded("question-coded", STAR), encoded("question-coded", "is there a star?")
    assert b"".join(star.segments) != b"".join(other.segments)
    moved = question_words(STAR)[0, 0] / BUCKETS
    codec: Any = bundle().codec("meta")
    wanted = codec.encode(VisualTokens(tokens().values + np.float32(moved), tokens().grid))
    assert (star.header, star.segments) == (wanted.header, wanted.segments)
    assert np.array_equal(restored(star, STAR, Without()), restored(replace(star, strategy="meta")))


def test_question_coded_without_a_question_is_meta_and_without_a_part_is_named() -> None:
    plain, same = encoded("meta", latents=8), encoded("question-coded", "", Without(), latents=8)
    assert (same.header, same.segments) == (plain.header, plain.segments)

    class NoTower(Without):
        def encode_tokens(self, photo: Any) -> VisualTokens:
            raise AssertionError("the tower ran for nothing")

    with pytest.raises(PartMissingError):
        encoded("question-coded", STAR, NoTower())


def test_latents_and_bytes_bound_both() -> None:
    for name in ("side-info", "question-coded"):
        few, more = encoded(name, STAR, latents=4), encoded(name, STAR, latents=16)
        assert few.payload_bytes < more.payload_bytes
        assert encoded(name, STAR, max_bytes=30).payload_bytes == 30
        assert len(STRATEGIES.load(name)().settings()) >= 5
