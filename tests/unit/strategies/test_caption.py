"""Captions by templates: they come back to the letter, in few bytes; versions and damage are named."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph.errors import StreamDamagedError, StreamTruncatedError, StreamVersionError, UsageError
from heliograph.reference.questions import describe
from heliograph.reference.scenes import plan_scene
from heliograph.registry import STRATEGIES
from heliograph.strategies.semantic import templates
from heliograph.strategies.semantic.read import MAX_WORD_BYTES
from heliograph.strategies.semantic.templates import MAX_PARTS, VERSIONS, KnowledgeBase, knowledge_base
from heliograph.strategies.semantic.text_model import text_model
from heliograph.types import EncodedImage
from strategy_tools import DESCRIBED, Tools, encoded_by, photo, restored_by

NAME = "caption"


class Saying(Tools):
    """A device whose model says this."""

    def __init__(self, text: str) -> None:
        super().__init__()
        object.__setattr__(self, "text", text)

    def describe(self, picture: object) -> str:
        said: str = self.text  # type: ignore[attr-defined]
        return said


def said(text: str, **setting: int) -> EncodedImage:
    encoded: EncodedImage = STRATEGIES.load(NAME)().encode(photo(), Saying(text), setting)
    return encoded


def test_every_description_of_the_reference_fits_the_templates() -> None:
    base, sizes = knowledge_base(1), []
    for seed in range(300):
        text = describe(plan_scene(seed))
        parts = base.parts(text)
        assert parts is not None
        assert all(part.template != base.free for part in parts), text
        codeword, _ = base.encode(parts, text_model())
        assert base.decode(codeword, text_model()) == (parts, True)
        assert base.text(parts) == text
        sizes.append(len(codeword))
    assert sum(sizes) / len(sizes) < 8


@pytest.mark.parametrize(
    "text",
    [
        DESCRIBED,
        "a purple dog top left, a red star top left.",  # one thing of words that are no slot's
        "an red star top left.",  # not as the template would say it
        "a blue ring bottom right, a red star top left.",  # in another order
        "Two dogs play in the snow.",
        "no full stop",
        "",
        "a red star top left",
        "Ein Hund, ein Café.",
    ],
)
def test_whatever_is_said_comes_back_to_the_letter(text: str) -> None:
    encoded = said(text)
    assert restored_by(encoded).text == (text or "There is nothing to be said of it.")
    assert encoded.header == (b"\x01" if text.endswith(".") else b"\x00")
    assert restored_by(said(text, base=0)).text == restored_by(encoded).text


@settings(deadline=None, max_examples=40)
@given(st.text(alphabet=st.characters(codec="utf-8"), max_size=60))
def test_any_text_comes_back(text: str) -> None:
    kept = "".join(one for one in text.replace("\n", " ") if one.isprintable()).strip()
    assert restored_by(said(text)).text == (kept or "There is nothing to be said of it.")


def test_the_knowledge_base_is_what_makes_captions_small() -> None:
    known, plain = said(DESCRIBED).payload_bytes, said(DESCRIBED, base=0).payload_bytes
    assert known <= 10
    assert plain > 4 * known


def test_every_prefix_shows_whole_things() -> None:
    encoded = encoded_by(NAME)
    data, whole = b"".join(encoded.segments), DESCRIBED.removesuffix(".").split(", ")
    counts = set()
    for length in range(len(data) + 1):
        try:
            shown = restored_by(EncodedImage(NAME, encoded.header, (data[:length],))).text
        except StreamTruncatedError:
            assert not counts
            continue
        found = shown.removesuffix(".").split(", ")
        assert found == whole[: len(found)]
        counts.add(len(found))
    assert counts == {1, 2, 3, 4}
    with pytest.raises(StreamTruncatedError):  # without a knowledge base there are no things
        restored_by(said(DESCRIBED, base=0).prefix(0))


def test_things_may_be_fewer() -> None:
    assert restored_by(encoded_by(NAME, things=2)).text == "a red star top left, a sign K52 top center."


def test_things_that_nobody_could_tell_apart_are_text() -> None:
    many = ", ".join(["a red star top left"] * (MAX_PARTS + 1)) + "."
    assert said(many).header == b"\x00"
    most = ", ".join(["a red star top left"] * MAX_PARTS) + "."
    assert said(most).header == b"\x01"
    assert restored_by(said(most)).text == most


# ---- versions, and what strangers send -------------------------------------------------------------------
def test_a_knowledge_base_that_is_not_here_is_named() -> None:
    encoded = encoded_by(NAME)
    with pytest.raises(StreamVersionError) as caught:
        restored_by(EncodedImage(NAME, bytes([VERSIONS[-1] + 1]), encoded.segments))
    assert "knowledge base 2" in caught.value.__notes__[0]
    with pytest.raises(UsageError):
        encoded_by(NAME, base=VERSIONS[-1] + 1)


def test_a_damaged_file_of_templates_is_no_knowledge_base() -> None:
    path = Path(templates.__file__).parent / "templates-1.json"
    data = json.loads(path.read_text())
    KnowledgeBase(data)
    for name in data:
        if name not in ("version", "about"):
            with pytest.raises((KeyError, ValueError, TypeError, IndexError)):
                KnowledgeBase({key: value for key, value in data.items() if key != name})
    with pytest.raises(ValueError, match="places"):
        KnowledgeBase(data | {"places": data["places"] | {"next": data["places"]["next"][:3]}})


@pytest.mark.parametrize(
    ("header", "body"),
    [(b"", b"x"), (b"\x01\x01", b"x"), (b"\x01", b"\x00" * (MAX_WORD_BYTES + 1)), (b"\x01", b"\x00" * 99)],
)
def test_damage_has_a_name(header: bytes, body: bytes) -> None:
    with pytest.raises(StreamDamagedError):
        restored_by(EncodedImage(NAME, header, (body,)))


@settings(deadline=None, max_examples=80)
@given(st.sampled_from([b"\x00", b"\x01"]), st.binary(max_size=40))
def test_any_bytes_give_words_or_a_named_error(header: bytes, body: bytes) -> None:
    with contextlib.suppress(StreamDamagedError, StreamTruncatedError):
        assert restored_by(EncodedImage(NAME, header, (body,))).text
