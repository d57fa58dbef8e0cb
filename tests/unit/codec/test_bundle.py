"""The bundle: verified file by file, and never a way out of its folder."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from heliograph.codec.bundle import Bundle, write_bundle
from heliograph.codec.klt import KltCodec
from heliograph.errors import BundleDamagedError, CodecMissingError
from heliograph.types import VisualTokens


@pytest.fixture
def folder(codec: KltCodec, tmp_path: Path) -> Path:
    sources = tmp_path / "sources"
    sources.mkdir()
    for name in ("vision.onnx", "language_model.onnx", "tokenizer.json"):
        (sources / name).write_bytes(name.encode() * 10)
    write_bundle(
        tmp_path / "bundle",
        codecs=[codec],
        grid=codec.grid,
        hidden_size=codec.hidden_size,
        preprocessing={"size": 128},
        encoder=sources / "vision.onnx",
        extra_files=(sources / "language_model.onnx", sources / "tokenizer.json"),
    )
    return tmp_path / "bundle"


def test_bundle_gives_back_what_was_written(folder: Path, codec: KltCodec, photos: list[VisualTokens]) -> None:
    bundle = Bundle.load(folder)
    assert bundle.encoder_path.read_bytes().startswith(b"vision.onnx")
    assert bundle.local_model_path == folder / "language_model.onnx"
    assert bundle.preprocessing == {"size": 128}
    assert (bundle.grid, bundle.hidden_size) == (codec.grid, 12)
    assert bundle.codec("klt").encode(photos[0]) == codec.encode(photos[0])
    assert bundle.hash == hashlib.sha256((folder / "manifest.json").read_bytes()).digest()[:8]


def test_equal_contents_give_equal_hashes_and_others_do_not(codec: KltCodec, tmp_path: Path) -> None:
    facts: dict[str, Any] = {"codecs": [codec], "grid": codec.grid, "hidden_size": 12}
    hashes = [
        write_bundle(tmp_path / n, preprocessing={"size": s}, **facts).hash for n, s in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert hashes[0] == hashes[1] != hashes[2]


def test_bundle_with_a_codec_alone(codec: KltCodec, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, codecs=[codec], grid=codec.grid, hidden_size=12)
    assert bundle.local_model_path is None
    assert bundle.preferred_codec == "klt"
    manifest = {"files": {}, "codecs": ["klt", "meta"], "grid": [1, 1, 1, 0, 0], "hidden_size": 1}
    assert Bundle(tmp_path, manifest, b"").preferred_codec == "meta"
    with pytest.raises(BundleDamagedError):
        _ = bundle.encoder_path
    with pytest.raises(BundleDamagedError):
        _ = bundle.preprocessing


@pytest.mark.parametrize("name", ["codec.bin", "codec.json", "encoder.onnx", "tokenizer.json", "preprocessing.json"])
def test_a_changed_or_missing_file_is_refused(folder: Path, name: str) -> None:
    data = (folder / name).read_bytes()
    (folder / name).write_bytes(bytes((data[0] ^ 1,)) + data[1:])
    with pytest.raises(BundleDamagedError):
        Bundle.load(folder)
    (folder / name).unlink()
    with pytest.raises(BundleDamagedError):
        Bundle.load(folder)


def test_a_codec_of_another_kind_is_missing(folder: Path) -> None:
    with pytest.raises(CodecMissingError):
        Bundle.load(folder).codec("meta")


def rewritten(folder: Path, **changes: Any) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **changes}))


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 1},
        {"format": None},
        {"codecs": 7},
        {"codecs": []},
        {"codecs": [7]},
        {"codecs": ["klt"] * 9},
        {"grid": [8, 8]},
        {"grid": [10**9, 10**9, 1, 0, 0]},
        {"grid": ["8", 8, 1, 0, 0]},
        {"hidden_size": 10**12},
        {"hidden_size": True},
        {"files": []},
        {"files": {f"f{i}": "0" * 64 for i in range(65)}},
    ],
)
def test_strange_manifests_are_refused(folder: Path, changes: dict[str, Any]) -> None:
    rewritten(folder, **changes)
    with pytest.raises(BundleDamagedError):
        Bundle.load(folder)


@pytest.mark.parametrize(
    "name", ["../secret", "/etc/hostname", "a/b", "..", ".hidden", "manifest.json", "", "a\\b", "a\n"]
)
def test_names_cannot_leave_the_folder(folder: Path, name: str) -> None:
    (folder.parent / "secret").write_bytes(b"x")
    rewritten(folder, files={name: hashlib.sha256(b"x").hexdigest()})
    with pytest.raises(BundleDamagedError):
        Bundle.load(folder)


def test_links_are_not_followed(folder: Path) -> None:
    data = (folder / "tokenizer.json").read_bytes()
    (folder.parent / "outside").write_bytes(data)
    (folder / "tokenizer.json").unlink()
    (folder / "tokenizer.json").symlink_to(folder.parent / "outside")
    with pytest.raises(BundleDamagedError):
        Bundle.load(folder)


def test_unknown_codec_kind_is_refused_when_asked_for(folder: Path) -> None:
    rewritten(folder, codecs=["wavelet"])
    with pytest.raises(BundleDamagedError):
        Bundle.load(folder).codec("wavelet")


@pytest.mark.parametrize("text", ["", "[]", "null", "{", "[" * 100_000, '{"files": {}}'])
def test_manifests_that_are_none_are_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(BundleDamagedError):
        Bundle.load(folder)


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleDamagedError):
        Bundle.load(tmp_path / "nothing")
