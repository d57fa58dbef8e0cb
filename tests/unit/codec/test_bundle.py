"""The bundle: verified file by file, and never a way out of its folder."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.codec.bundle import Bundle, write_bundle
from heliograph.codec.calibration import CALIBRATION, Calibration, Curve
from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.klt import KltCodec
from heliograph.codec.manifest import CONFIG, ENCODER, MANIFEST
from heliograph.errors import BundleDamagedError, CodecMissingError, UsageError
from heliograph.types import VisualTokens

MakeTokens = Callable[..., VisualTokens]


@pytest.fixture
def folder(codec: KltCodec, tmp_path: Path) -> Path:
    sources = tmp_path / "sources"
    sources.mkdir()
    for name in ("vision.onnx", "language_model.onnx", "tokenizer.json"):
        (sources / name).write_bytes(bytes((0x12, len(name))) + name.encode())  # a model with a producer's name alone
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
    assert bundle.file(ENCODER).read_bytes().endswith(b"vision.onnx")
    assert bundle.local_model_path == folder / "language_model.onnx"
    assert bundle.preprocessing == {"size": 128}
    assert (bundle.grid, bundle.hidden_size) == (codec.grid, 12)
    assert bundle.codec("klt").encode(photos[0]) == codec.encode(photos[0])
    assert len(bundle.hash) == 8


def test_the_hash_is_that_of_codecs_and_model_alone(codec: KltCodec, tmp_path: Path, make_tokens: MakeTokens) -> None:
    facts: dict[str, Any] = {"codecs": [codec], "grid": codec.grid, "hidden_size": 12, "model": "ab" * 32}
    other = fit_klt([make_tokens(seed) for seed in range(900, 916)])
    first = write_bundle(tmp_path / "a", **facts)
    same = write_bundle(tmp_path / "b", **facts, preprocessing={"size": 1}, index=CONFIG)
    others = [
        write_bundle(tmp_path / "c", **{**facts, "model": "cd" * 32}),
        write_bundle(tmp_path / "d", **{**facts, "codecs": [other]}),
    ]
    assert first.hash == same.hash
    assert len({first.hash, *(one.hash for one in others)}) == 3


def test_a_codec_folder_follows_the_hub(folder: Path, codec: KltCodec, tmp_path: Path) -> None:
    (folder / "README.md").write_text("the card")
    bundle = write_bundle(
        folder,
        codecs=[codec],
        grid=codec.grid,
        hidden_size=12,
        model="ab" * 32,
        model_name="owner/model",
        encoder=folder / "encoder.onnx",
        extra_files=[folder / "README.md"],
    )
    bundle.save_pretrained(tmp_path / "saved")
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == [
        "README.md",
        "config.json",
        "klt.safetensors",
    ]
    again = Bundle.from_pretrained(tmp_path / "saved")
    assert (again.hash, again.model, again.model_name) == (bundle.hash, "ab" * 32, "owner/model")
    assert Bundle.from_pretrained(str(folder)).hash == bundle.hash


def test_a_hub_gives_codecs_too(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: list[tuple[str, str | None]] = []

    def commit(name: str, revision: str | None) -> str:
        asked.append((name, revision))
        if name == "owner/nothing":
            raise OSError("no network")
        return "0" * 40

    def download(name: str, revision: str | None = None, local_files_only: bool = False) -> str:
        assert (name, revision, local_files_only) == ("owner/codec", "0" * 40, False)
        snapshot = tmp_path / "snapshot"
        snapshot.mkdir(exist_ok=True)
        for path in folder.iterdir():  # a hub's cache is made of links
            (snapshot / path.name).symlink_to(path)
        return str(snapshot)

    monkeypatch.setattr(huggingface_hub, "is_offline_mode", lambda: False)
    monkeypatch.setattr("heliograph.hub._commit", commit)
    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    assert Bundle.from_pretrained("owner/codec", revision="v1").hash == Bundle.load(folder).hash
    with pytest.raises(BundleDamagedError):
        Bundle.from_pretrained("owner/nothing")
    assert asked == [("owner/codec", "v1"), ("owner/nothing", None)]
    for name in ("nothing", "a/b/c", "../up", "owner/na me"):
        with pytest.raises(BundleDamagedError):
            Bundle.from_pretrained(name)
    assert len(asked) == 2


def test_bundle_with_a_codec_alone(codec: KltCodec, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path, codecs=[codec], grid=codec.grid, hidden_size=12)
    assert bundle.local_model_path is None
    assert bundle.preferred_codec == "klt"
    manifest = {"files": {}, "codecs": ["klt", "meta"], "grid": [1, 1, 1, 0, 0], "hidden_size": 1}
    assert Bundle(tmp_path, {**manifest, "model": "", "model_name": ""}).preferred_codec == "meta"
    with pytest.raises(BundleDamagedError):
        bundle.file(ENCODER)
    with pytest.raises(BundleDamagedError):
        _ = bundle.preprocessing


@pytest.mark.parametrize("name", ["klt.safetensors", "encoder.onnx", "tokenizer.json", "preprocessing.json"])
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
        {"model": "ab"},
        {"model": 7},
        {"model_name": None},
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


@pytest.mark.parametrize("name", ["manifest.json", "tokenizer.json", "klt.safetensors", "encoder.onnx"])
def test_a_pipe_in_a_files_place_is_refused_at_once(folder: Path, name: str) -> None:
    (folder / name).unlink()
    os.mkfifo(folder / name)
    with pytest.raises(BundleDamagedError):
        Bundle.load(folder)


def test_a_manifest_behind_a_link_is_refused(folder: Path) -> None:
    (folder / "manifest.json").rename(folder.parent / "manifest.json")
    (folder / "manifest.json").symlink_to(folder.parent / "manifest.json")
    with pytest.raises(BundleDamagedError):
        Bundle.load(folder)


@pytest.mark.parametrize(
    "text", ["", "[]", "null", "{", "[" * 100_000, '{"files": {}}', '{"format": 3, "format": 3}', '{"grid": [1e999]}']
)
def test_manifests_that_are_none_are_refused(folder: Path, text: str) -> None:
    (folder / "manifest.json").write_text(text)
    with pytest.raises(BundleDamagedError):
        Bundle.load(folder)


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BundleDamagedError):
        Bundle.load(tmp_path / "nothing")


def calibration(bias: float) -> Calibration:
    curve = Curve(("min-entropy",), (0.0,), (1.0,), (1.0,), bias)
    return Calibration({"min-entropy": curve}, {"min-entropy": curve})


def test_a_calibration_joins_a_bundle_and_leaves_its_hash(folder: Path) -> None:
    bundle = Bundle.load(folder)
    assert bundle.calibration is None
    assert bundle.with_measured(CALIBRATION, calibration(0.1).to_json()).calibration == calibration(0.1)
    again = Bundle.load(folder).with_measured(CALIBRATION, calibration(0.2).to_json())
    assert again.calibration == calibration(0.2)
    assert again.hash == bundle.hash
    assert again.file(ENCODER).is_file()
    with pytest.raises(UsageError):
        again.with_measured("klt.safetensors", {})


@pytest.mark.parametrize("index", [MANIFEST, CONFIG])
def test_a_calibration_goes_along_with_the_codec_and_is_verified(codec: KltCodec, tmp_path: Path, index: str) -> None:
    facts: dict[str, Any] = {"codecs": [codec], "grid": codec.grid, "hidden_size": 12, "index": index}
    made = write_bundle(tmp_path / "made", **facts).with_measured(CALIBRATION, calibration(0.3).to_json())
    made.save_pretrained(tmp_path / "saved")
    assert Bundle.load(tmp_path / "saved").calibration == calibration(0.3)
    calibration(0.4).save(tmp_path / "saved" / CALIBRATION)
    with pytest.raises(BundleDamagedError):
        Bundle.load(tmp_path / "saved")
