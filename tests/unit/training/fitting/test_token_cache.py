"""Tokens on disk: made once, found again, cut where a run was killed, and never another model's."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from heliograph.errors import (
    CodecNotFittedError,
    DataMissingError,
    FileUnreadableError,
    OutputUnwritableError,
    TokensNotFiniteError,
)
from heliograph.training.fitting.photo_sources import photo_files
from heliograph.training.fitting.token_cache import TokenCache
from heliograph.types import Grid, VisualTokens


class Encoder:
    """Tokens that can be predicted: as many rows as the photo is wide in tens of pixels."""

    def __init__(self, factor: float = 1.0) -> None:
        self.calls, self.factor = 0, factor

    def encode_image(self, photo: Image.Image) -> VisualTokens:
        self.calls += 1
        rows = max(1, photo.width // 10)
        colour = np.asarray(photo, np.float32).mean(axis=(0, 1))
        values = np.outer(np.arange(1, rows + 1), np.append(colour, 1.0)).astype(np.float32)
        return VisualTokens(values * self.factor, Grid(1, rows, 1, photo.width, photo.height))


def png(width: int, level: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (width, 20), (level, level, level)).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "deeper").mkdir(parents=True)
    for number in range(5):
        (folder / ("deeper" if number % 2 else ".") / f"{number}.png").write_bytes(png(20 + 10 * number, number))
    (folder / "broken.jpg").write_bytes(b"no photo")
    (folder / "empty.png").write_bytes(b"")
    (folder / "notes.txt").write_text("no photo either")
    return folder


def zipped(folder: Path, path: Path) -> Path:
    with zipfile.ZipFile(path, "w") as made:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                made.write(file, file.relative_to(folder))
    return path


def listed(folder: Path, path: Path) -> Path:
    names = [str(file.relative_to(path.parent)) for file in sorted(folder.rglob("*.png"))]
    path.write_text("\n".join(["# photos", "", *names, "missing.png", "bad\0name.png"]) + "\n")
    return path


def test_every_kind_of_source(photos: Path, tmp_path: Path) -> None:
    of_folder = dict(photo_files(photos))
    assert list(of_folder) == sorted(
        ["0.png", "2.png", "4.png", "broken.jpg", "deeper/1.png", "deeper/3.png", "empty.png"]
    )
    assert dict(photo_files(zipped(photos, tmp_path / "photos.zip"))) == of_folder
    of_list = dict(photo_files(listed(photos, tmp_path / "list.txt")))
    assert of_list["photos/0.png"] == of_folder["0.png"]
    assert of_list["missing.png"] == of_list["bad\0name.png"] == b""


def test_sources_without_photos_are_named(tmp_path: Path) -> None:
    (tmp_path / "nothing").mkdir()
    (tmp_path / "bad.zip").write_bytes(b"PK no archive")
    (tmp_path / "bad.txt").write_bytes(b"\xff\xfe\xff")
    for source, error in (
        (tmp_path / "nothing", DataMissingError),
        (tmp_path / "absent", DataMissingError),
        (tmp_path / "bad.zip", FileUnreadableError),
        (tmp_path / "bad.txt", FileUnreadableError),
    ):
        with pytest.raises(error):
            list(photo_files(source))


def test_made_once_and_found_again(photos: Path, tmp_path: Path) -> None:
    encoder, said = Encoder(), []
    cache = TokenCache.open(tmp_path / "cache", "model a")
    first = cache.extract(encoder, photos, said.append)
    assert (first.made, first.known, first.broken_count) == (5, 0, 2)
    assert first.broken == ["broken.jpg", "empty.png"]
    assert "2 skipped as unreadable (broken.jpg, empty.png)" in said[-1]
    again = TokenCache.open(tmp_path / "cache", "model a")
    assert again.photos == cache.photos
    assert again.values().shape == (2 + 3 + 4 + 5 + 6, 4)
    for photo, tokens in zip(again.photos, again.tokens(), strict=True):
        level = int(Path(photo.name).stem)
        assert tokens.grid == Grid(1, 2 + level, 1, 20 + 10 * level, 20)
        np.testing.assert_array_equal(tokens.values[:, 0], np.arange(1, 3 + level) * level)
        assert tokens.values.dtype == np.float32
    second = again.extract(encoder, photos, said.append)
    assert (second.made, second.known, encoder.calls) == (0, 5, 5)
    renamed = photos / "other.png"
    renamed.write_bytes((photos / "0.png").read_bytes())
    assert again.extract(encoder, photos, said.append).made == 0


def test_at_most_so_many(photos: Path, tmp_path: Path) -> None:
    cache = TokenCache.open(tmp_path / "cache", "model a")
    assert cache.extract(Encoder(), photos, print, most=2).made == 2
    assert cache.extract(Encoder(), photos, print, most=4).made == 2
    assert len(cache) == 4


@pytest.mark.parametrize("damage", ["rows", "line", "header", "no index"])
def test_a_run_that_was_killed_goes_on(photos: Path, tmp_path: Path, damage: str) -> None:
    whole = TokenCache.open(tmp_path / "whole", "model a")
    whole.extract(Encoder(), photos, print)
    folder = tmp_path / "cache"
    if damage in ("header", "no index"):
        folder.mkdir()
        (folder / "tokens.f16").write_bytes(b"\x01" * 40)
        if damage == "header":
            (folder / "index.jsonl").write_bytes(b'{"format": 1, "mod')
    else:
        TokenCache.open(folder, "model a").extract(Encoder(), photos, print, most=3)
        with (folder / "tokens.f16").open("ab") as file:
            file.write(b"\x02" * 24)
        if damage == "line":
            with (folder / "index.jsonl").open("ab") as file:
                file.write(b'{"sha256": "12')
    cache = TokenCache.open(folder, "model a")
    cache.extract(Encoder(), photos, print)
    assert TokenCache.open(folder, "model a").photos == whole.photos
    for name in ("tokens.f16", "index.jsonl"):
        assert (folder / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()


def test_another_models_tokens_are_refused(photos: Path, tmp_path: Path) -> None:
    TokenCache.open(tmp_path, "model a").extract(Encoder(), photos, print, most=1)
    with pytest.raises(FileUnreadableError):
        TokenCache.open(tmp_path, "model b")


@pytest.mark.parametrize(
    "change",
    [
        lambda lines: [lines[0].replace('"format": 1', '"format": 2'), *lines[1:]],
        lambda lines: [lines[0], "nonsense"],
        lambda lines: [lines[0], lines[2]],
        lambda lines: [lines[0], json.dumps({**json.loads(lines[1]), "grid": [0, 0, 0, 0, 0]})],
        lambda lines: ["[]", *lines[1:]],
    ],
)
def test_a_damaged_index_is_refused(photos: Path, tmp_path: Path, change: object) -> None:
    cache = tmp_path / "cache"
    TokenCache.open(cache, "model a").extract(Encoder(), photos, print)
    index = cache / "index.jsonl"
    index.write_text("\n".join(change(index.read_text().splitlines())) + "\n")  # type: ignore[operator]
    with pytest.raises(FileUnreadableError):
        TokenCache.open(cache, "model a")


def test_rows_that_are_gone_are_noticed(photos: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    TokenCache.open(cache, "model a").extract(Encoder(), photos, print)
    (cache / "tokens.f16").write_bytes(b"")
    with pytest.raises(FileUnreadableError):
        TokenCache.open(cache, "model a")


@pytest.mark.parametrize("factor", [np.nan, np.inf, 1e6])
def test_values_that_half_precision_cannot_hold_are_named(photos: Path, tmp_path: Path, factor: float) -> None:
    cache = TokenCache.open(tmp_path / "cache", "model a")
    with pytest.raises(TokensNotFiniteError):
        cache.extract(Encoder(factor), photos / "deeper", print)
    assert len(TokenCache.open(tmp_path / "cache", "model a")) == 0


def test_an_empty_cache_has_no_values(tmp_path: Path) -> None:
    with pytest.raises(CodecNotFittedError):
        TokenCache.open(tmp_path, "model a").values()


def test_a_disk_that_refuses_has_a_name(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputUnwritableError):
        TokenCache.open(tmp_path / "file", "model a")
    cache = TokenCache.open(tmp_path / "cache", "model a")
    cache.extract(Encoder(), photos, print, most=1)
    (tmp_path / "cache" / "index.jsonl").unlink()
    (tmp_path / "cache" / "index.jsonl").mkdir()
    with pytest.raises(OutputUnwritableError):
        cache.extract(Encoder(), photos, print)
