"""Folders of photos are read whole or refused with the line that is at fault; shares depend on names alone."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from heliograph.errors import DataMissingError
from heliograph.training.field.photos import (
    CHOOSING,
    TEST,
    TRAINING,
    Photo,
    captioned_photos,
    plain_photos,
    share_of,
    tidied,
)


def folder_of(folder: Path, lines: list[Any], photos: tuple[str, ...] = ("a.jpg", "b.jpg")) -> Path:
    """Captioned photos; lines that are text are written as they are."""
    (folder / "photos").mkdir()
    for name in photos:
        (folder / "photos" / name).write_bytes(b"")
    texts = [line if isinstance(line, str) else json.dumps(line, ensure_ascii=False) for line in lines]
    (folder / "captions.jsonl").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8")
    return folder


def line(photo: Any = "a.jpg", captions: Any = ("A dog .",)) -> dict[str, Any]:
    return {"photo": photo, "captions": list(captions) if isinstance(captions, tuple) else captions}


def test_photos_have_their_captions_in_the_order_of_the_list(tmp_path: Path) -> None:
    found = captioned_photos(folder_of(tmp_path, [line("b.jpg", ("a dog , wet .", "  ", " . ")), line("a.jpg")]))
    assert [one.path for one in found] == [tmp_path / "photos" / "b.jpg", tmp_path / "photos" / "a.jpg"]
    assert [one.captions for one in found] == [("A dog, wet",), ("A dog",)]
    assert [one.share for one in found] == [share_of("b.jpg"), share_of("a.jpg")]


@pytest.mark.parametrize("breaking", ["\u2028", "\u0085", "\x0c"])
def test_only_line_feeds_end_a_line(tmp_path: Path, breaking: str) -> None:
    """Of JSON's strings all three may be a part, the last one escaped."""
    found = captioned_photos(folder_of(tmp_path, [line(captions=(f"a dog{breaking}runs",))]))
    assert [one.captions for one in found] == [(f"A dog{breaking}runs",)]


@pytest.mark.parametrize(
    "wrong",
    [
        "no JSON",
        "[]",
        "3",
        "null",
        {"photo": "a.jpg"},
        {"captions": ["A dog"]},
        line(captions="A dog"),
        line(captions=None),
        line(captions={"A dog": 1}),
        line(captions=("A dog", 3)),
        line(photo=3),
        line(captions=()),
        line(captions=(" ", "...")),
    ],
    ids=str,
)
def test_a_line_that_is_no_photo_with_captions_is_named_by_its_number(tmp_path: Path, wrong: Any) -> None:
    with pytest.raises(DataMissingError) as caught:
        captioned_photos(folder_of(tmp_path, [line(), "", wrong]))
    assert caught.value.subject == f"{tmp_path}/captions.jsonl, line 3"


@pytest.mark.parametrize("name", ["c.jpg", "", ".", "..", "../captions.jsonl", "photos"])
def test_a_photo_that_is_not_in_the_folder_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(DataMissingError) as caught:
        captioned_photos(folder_of(tmp_path, [line(), line(name)]))
    assert caught.value.subject == f"{tmp_path}/captions.jsonl, line 2"
    assert "photos/" in caught.value.next_step


def test_a_list_that_is_missing_or_no_text_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataMissingError) as caught:
        captioned_photos(tmp_path)
    assert caught.value.subject == str(tmp_path / "captions.jsonl")
    (tmp_path / "captions.jsonl").write_bytes(b"\xff\xfe")
    with pytest.raises(DataMissingError):
        captioned_photos(tmp_path)


def test_plain_photos_are_the_pictures_of_a_folder_by_name(tmp_path: Path) -> None:
    for name in ("c.PNG", "a.jpeg", "b.webp", "d.jpg", "readme.txt", "e.jpg.part"):
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "folder.jpg").mkdir()
    found = plain_photos(tmp_path)
    assert [one.path.name for one in found] == ["a.jpeg", "b.webp", "c.PNG", "d.jpg"]
    assert {(one.captions, one.share) for one in found} == {((), TRAINING)}


@pytest.mark.parametrize("name", ["missing", "empty"])
def test_a_folder_without_photos_is_named(tmp_path: Path, name: str) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "empty" / "notes.txt").write_text("")
    with pytest.raises(DataMissingError) as caught:
        plain_photos(tmp_path / name)
    assert caught.value.subject == str(tmp_path / name)


def test_shares_are_three_sixteenths_and_one_sixteenth_of_names() -> None:
    counts = Counter(share_of(f"{number}.jpg") for number in range(16_000))
    assert counts.keys() == {TRAINING, CHOOSING, TEST}
    # Five standard deviations of a binomial distribution.
    assert abs(counts[TEST] - 3000) < 250
    assert abs(counts[CHOOSING] - 1000) < 155


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("A black dog 's mouth .", "A black dog's mouth"),
        ("two girls ' coats", "Two girls' coats"),
        ("a sign that says 'stop'", "A sign that says 'stop'"),
        ("is it a dog ?", "Is it a dog?"),
        ("  A cat.  ", "A cat"),
        ("...", ""),
        ("", ""),
    ],
)
def test_captions_become_sentences(given: str, wanted: str) -> None:
    assert tidied(given) == wanted


def test_words_are_of_one_caption_each_and_so_are_pairs() -> None:
    words = Photo(Path("a.jpg"), ("A Dog's ball", "Traffic light")).words
    assert words == {"a", "dog", "s", "ball", "traffic", "light", "a dog", "dog s", "s ball", "traffic light"}
    assert Photo(Path("a.jpg")).words == frozenset()
