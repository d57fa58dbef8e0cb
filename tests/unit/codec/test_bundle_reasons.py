"""Each file of the shipped bundle, damaged in each way: what the error says is wrong, by a table made by hand."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heliograph.codec.bundle import Bundle, write_bundle
from heliograph.codec.calibration import Calibration
from heliograph.codec.klt import KltCodec
from heliograph.codec.manifest import ENCODER, LOCAL_MODEL
from heliograph.controllers.curves import Curves
from heliograph.controllers.region.find import RegionSetting
from heliograph.edge.device import Device
from heliograph.edge.local.model import LocalModel
from heliograph.errors import BundleDamagedError
from heliograph.reading.json_values import read_json_object
from heliograph.reasons import BundleFault, BundlePart, FileFault
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.types import Grid

SHIPPED = shipped_bundle_folder()
NAMES = sorted(path.name for path in SHIPPED.iterdir() if path.name != "manifest.json")
Damage = Callable[[Path], None]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The shipped bundle; a file is replaced and never written into, so that copies are not needed."""
    made = tmp_path / "bundle"
    made.mkdir()
    for path in SHIPPED.iterdir():
        try:
            os.link(path, made / path.name)
        except OSError:  # another disk
            shutil.copyfile(path, made / path.name)
    return made


def replaced(path: Path, data: bytes) -> None:
    path.unlink()
    path.write_bytes(data)


def changed_byte(path: Path) -> None:
    data = path.read_bytes()
    replaced(path, data[:-1] + bytes((data[-1] ^ 1,)))


def cut_off(path: Path) -> None:
    replaced(path, path.read_bytes()[:-1])


def linked(path: Path) -> None:
    path.rename(path.parent.parent / "elsewhere")
    path.symlink_to(path.parent.parent / "elsewhere")


def folder_instead(path: Path) -> None:
    path.unlink()
    path.mkdir()


def pipe_instead(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


WAYS: list[tuple[Damage, FileFault | BundleFault]] = [
    (Path.unlink, FileFault.MISSING),
    (changed_byte, BundleFault.HASH),
    (cut_off, BundleFault.HASH),
    (linked, FileFault.LINK),
    (folder_instead, FileFault.NOT_REGULAR),
    (pipe_instead, FileFault.NOT_REGULAR),
]


def refusal(do: Callable[[], object]) -> BundleDamagedError:
    with pytest.raises(BundleDamagedError) as found:
        do()
    return found.value


@pytest.mark.parametrize(("damage", "fault"), WAYS, ids=lambda one: getattr(one, "__name__", None))
@pytest.mark.parametrize("name", NAMES)
def test_a_file_that_is_not_what_the_manifest_says(
    folder: Path, name: str, damage: Damage, fault: FileFault | BundleFault
) -> None:
    damage(folder / name)
    if (name, fault) == (LOCAL_MODEL, FileFault.MISSING):  # a small installation lacks it: tests/rules/test_wheels.py
        assert Bundle.load(folder).local_model_path is None
        return
    error = refusal(lambda: Bundle.load(folder))
    assert (error.part, error.fault) == (BundlePart.FILE, fault)
    assert name not in str(error)  # names come from the folder; they are notes
    assert str(folder / name) in " ".join(error.__notes__)


MANIFEST_WAYS: list[tuple[Damage, FileFault | BundleFault]] = [
    (Path.unlink, FileFault.MISSING),
    (lambda path: replaced(path, b"{"), FileFault.NOT_JSON),
    (lambda path: replaced(path, b"\xff{}"), FileFault.NOT_JSON),
    (lambda path: replaced(path, b"[]"), FileFault.CONTENT),
    (lambda path: replaced(path, b"{}"), FileFault.CONTENT),
    (lambda path: replaced(path, b" " * (2**20 + 1)), FileFault.TOO_LARGE),
    (linked, FileFault.LINK),
    (folder_instead, FileFault.NOT_REGULAR),
]


@pytest.mark.parametrize(("damage", "fault"), MANIFEST_WAYS)
def test_the_manifest_itself(folder: Path, damage: Damage, fault: FileFault | BundleFault) -> None:
    damage(folder / "manifest.json")
    error = refusal(lambda: Bundle.load(folder))
    assert (error.part, error.fault) == (BundlePart.MANIFEST, fault)


def test_a_manifest_of_the_largest_size(folder: Path) -> None:
    path = folder / "manifest.json"
    text = path.read_bytes()
    replaced(path, text + b" " * (2**20 - len(text)))
    assert Bundle.load(folder).codec_kinds == ("klt", "meta", "pq")


# ---- files that match their hashes and are of no use --------------------------------------------------
def resealed(folder: Path, name: str, data: bytes) -> Bundle:
    """The bundle with another file, whose hash the manifest has."""
    replaced(folder / name, data)
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["files"][name] = hashlib.sha256(data).hexdigest()
    replaced(folder / "manifest.json", json.dumps(manifest).encode())
    return Bundle.load(folder)


def edited(name: str, *path: Any, new: Any) -> bytes:
    """A JSON file of the shipped bundle with one value changed."""
    values = json.loads((SHIPPED / name).read_bytes())
    at = values
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = new
    return json.dumps(values).encode()


def region(bundle: Bundle) -> object:
    values = read_json_object(
        bundle.file("region.json"), max_bytes=1 << 20, error=lambda fault: BundleDamagedError(BundlePart.REGION, fault)
    )
    return RegionSetting.from_json(values)


USES: dict[str, Callable[[Bundle], object]] = {
    "calibration.json": lambda bundle: bundle.calibration,
    "curves.json": lambda bundle: Curves.load(bundle.file("curves.json")),
    "region.json": region,
    "preprocessing.json": lambda bundle: Device(bundle).preprocessor,
    "local_prompt.json": LocalModel.from_bundle,
    "tokenizer.json": LocalModel.from_bundle,
    "language_model.onnx": LocalModel.from_bundle,
    "encoder.onnx": lambda bundle: Device(bundle)._encoder,
    "klt.safetensors": lambda bundle: bundle.codec("klt"),
    "meta_tables.safetensors": lambda bundle: bundle.codec("meta"),
    "pq.safetensors": lambda bundle: bundle.codec("pq"),
    "meta_encoder.onnx": lambda bundle: bundle.codec("meta")._encoder,  # type: ignore[attr-defined]
    "meta_decoder.onnx": lambda bundle: bundle.codec("meta")._decoder,  # type: ignore[attr-defined]
    "meta.safetensors": lambda bundle: bundle.codec("meta")._decoder,  # type: ignore[attr-defined]
}
P, F, B = BundlePart, FileFault, BundleFault
EMPTY_NETWORK = b"\x12\x01x"
NAN_JSON = b'{"format": NaN}'
OF_NO_USE: list[tuple[str, bytes, BundlePart, FileFault | BundleFault]] = [
    *[
        (f"{stem}.json", data, part, fault)
        for stem, part in (
            ("calibration", P.CALIBRATION),
            ("curves", P.CURVES),
            ("region", P.REGION),
            ("preprocessing", P.PREPROCESSING),
            ("local_prompt", P.PROMPT),
        )
        for data, fault in (
            (b"", F.NOT_JSON),
            (b"[", F.NOT_JSON),
            (NAN_JSON, F.NOT_JSON),
            (b'{"a": 1, "a": 2}', F.NOT_JSON),
            (b"[]", F.CONTENT),
            (b"{}", F.CONTENT),
            (b" " * (5 << 20), F.TOO_LARGE),
        )
        if (stem, data) != ("preprocessing", b"{}")  # a configuration that says nothing asks for tiles
    ],
    ("calibration.json", edited("calibration.json", "format", new=2), P.CALIBRATION, B.FORMAT),
    ("calibration.json", edited("calibration.json", "agrees", new={}), P.CALIBRATION, F.CONTENT),
    ("calibration.json", edited("calibration.json", "thresholds", "combined", new=[]), P.CALIBRATION, F.EMPTY),
    (
        "calibration.json",
        edited("calibration.json", "thresholds", "combined", new=[[0.5, 0.5]] * 65),
        P.CALIBRATION,
        B.TOO_MANY,
    ),
    (
        "calibration.json",
        edited("calibration.json", "thresholds", "combined", new=[[0.5, 1.5]]),
        P.CALIBRATION,
        B.RANGE,
    ),
    (
        "calibration.json",
        edited("calibration.json", "thresholds", "combined", new=[[0.5, 0.9], [0.4, 1]]),
        P.CALIBRATION,
        B.ORDER,
    ),
    (
        "calibration.json",
        edited("calibration.json", "thresholds", new={"luck": [[0.5, 0.5]]}),
        P.CALIBRATION,
        B.UNKNOWN,
    ),
    ("calibration.json", edited("calibration.json", "agrees", "combined", "bias", new=1.1e6), P.CALIBRATION, B.RANGE),
    ("calibration.json", edited("calibration.json", "agrees", "combined", "bias", new="0"), P.CALIBRATION, F.CONTENT),
    ("calibration.json", edited("calibration.json", "agrees", "combined", "words", new=[0.0]), P.CALIBRATION, B.SHAPE),
    (
        "calibration.json",
        edited("calibration.json", "agrees", "combined", "inputs", 0, new="luck"),
        P.CALIBRATION,
        B.UNKNOWN,
    ),
    ("calibration.json", edited("calibration.json", "agrees", "combined", "spread", 0, new=0), P.CALIBRATION, B.RANGE),
    ("curves.json", edited("curves.json", "format", new=2), P.CURVES, B.FORMAT),
    ("curves.json", edited("curves.json", "curves", new=[]), P.CURVES, F.EMPTY),
    ("curves.json", edited("curves.json", "curves", new=[{}] * 65), P.CURVES, B.TOO_MANY),
    ("curves.json", edited("curves.json", "curves", 0, "sight", new="hearing"), P.CURVES, B.UNKNOWN),
    ("curves.json", edited("curves.json", "curves", 0, "strategy", new="a b"), P.CURVES, F.CONTENT),
    ("curves.json", edited("curves.json", "curves", 0, "points", 0, "payload_bytes", new=-1), P.CURVES, B.RANGE),
    ("curves.json", edited("curves.json", "curves", 0, "points", 0, "payload_bytes", new=1.1e12), P.CURVES, B.RANGE),
    ("curves.json", edited("curves.json", "curves", 0, "points", 0, "payload_bytes", new=True), P.CURVES, F.CONTENT),
    ("curves.json", edited("curves.json", "curves", 0, "points", 0, "quality", "all", new=1.5), P.CURVES, B.RANGE),
    ("curves.json", edited("curves.json", "curves", 0, "points", 0, "quality", new={"colour": 1}), P.CURVES, F.CONTENT),
    ("curves.json", edited("curves.json", "kinds", "colour", "questions", new=0), P.CURVES, B.RANGE),
    ("region.json", edited("region.json", "layer", new=-1), P.REGION, B.RANGE),
    ("region.json", edited("region.json", "layer", new=1.0), P.REGION, F.CONTENT),
    ("region.json", edited("region.json", "windows", new=[]), P.REGION, F.EMPTY),
    ("region.json", edited("region.json", "windows", new=[0.5] * 17), P.REGION, B.TOO_MANY),
    ("region.json", edited("region.json", "windows", new=[1.5]), P.REGION, B.RANGE),
    ("region.json", edited("region.json", "own", new=[0.5] * 15), P.REGION, B.SHAPE),
    ("region.json", edited("region.json", "own", new=[0.5] * 4097), P.REGION, B.TOO_MANY),
    ("region.json", edited("region.json", "generic_question", new=5), P.REGION, F.CONTENT),
    ("preprocessing.json", edited("preprocessing.json", "image_std", new=[0.5, 0, 0.5]), P.PREPROCESSING, F.CONTENT),
    ("preprocessing.json", edited("preprocessing.json", "resample", new=6), P.PREPROCESSING, F.CONTENT),
    ("local_prompt.json", edited("local_prompt.json", "end_ids", new=["2"]), P.PROMPT, F.CONTENT),
    ("tokenizer.json", b"{}", P.TOKENIZER, F.CONTENT),
    *[(name, EMPTY_NETWORK, P.NETWORK, B.NOT_NETWORK) for name in sorted(USES) if name.endswith(".onnx")],
    ("language_model.onnx", (SHIPPED / "encoder.onnx").read_bytes(), P.LOCAL_MODEL, B.BORDER),
    ("meta.safetensors", b"", P.NETWORK, F.LENGTH),
    ("meta.safetensors", (SHIPPED / "meta.safetensors").read_bytes()[:-4], P.NETWORK, F.LENGTH),
    *[
        (f"{stem}.safetensors", data, P.TABLES, fault)
        for stem in ("klt", "meta_tables", "pq")
        for data, fault in (
            (b"", F.LENGTH),
            (b"not a table file", F.LENGTH),
            ((SHIPPED / f"{stem}.safetensors").read_bytes()[:-1], F.LENGTH),
            ((SHIPPED / f"{stem}.safetensors").read_bytes() + b"x", F.LENGTH),
            ((2).to_bytes(8, "little") + b"[]", F.CONTENT),
            ((2).to_bytes(8, "little") + b"{}", F.CONTENT),
            ((2).to_bytes(8, "little") + b"{{", F.NOT_JSON),
        )
    ],
]


@pytest.mark.parametrize(("name", "data", "part", "fault"), OF_NO_USE, ids=lambda one: getattr(one, "name", None))
def test_a_file_that_is_of_no_use(folder: Path, name: str, data: bytes, part: BundlePart, fault: Any) -> None:
    bundle = resealed(folder, name, data)
    error = refusal(lambda: USES[name](bundle))
    assert (error.part, error.fault) == (part, fault)


def network_with(location: bytes) -> bytes:
    """A model whose one weight lies in another file: graph 7, initialiser 5, external data 13, key 1 and value 2."""

    def field(number: int, content: bytes) -> bytes:
        return bytes((number << 3 | 2, len(content))) + content

    return field(7, field(5, field(13, field(1, b"location") + field(2, location))))


@pytest.mark.parametrize(
    ("location", "fault"),
    [(b"secret", B.EXTERNAL), (b"../secret", B.NAME), (b"/secret", B.NAME), (b"", B.NAME), (b"\xff", B.NAME)],
)
def test_networks_that_read_other_files(folder: Path, location: bytes, fault: BundleFault) -> None:
    error = refusal(lambda: resealed(folder, "encoder.onnx", network_with(location)))
    assert (error.part, error.fault) == (P.NETWORK, fault)
    assert "encoder.onnx" in " ".join(error.__notes__)
    assert resealed(folder, "encoder.onnx", network_with(b"meta.safetensors")).folder == folder


@pytest.mark.parametrize(
    ("data", "fault"),
    [
        (b"", F.LENGTH),
        (b"\x12\x05x", F.LENGTH),  # five bytes are stated, one is there
        (b"\x13", B.NOT_NETWORK),  # a group
        (b"\x12", B.NOT_NETWORK),  # no length
        (b"\x15abc", F.LENGTH),  # four bytes are a number, three are there
        (b"\x10" + b"\xff" * 10 + b"\x01", B.NOT_NETWORK),  # a number of eleven bytes
    ],
)
def test_files_that_are_no_network(folder: Path, data: bytes, fault: Any) -> None:
    error = refusal(lambda: resealed(folder, "encoder.onnx", data))
    assert (error.part, error.fault) == (P.NETWORK, fault)


def test_what_a_bundle_does_not_have(codec: KltCodec, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "small", codecs=[codec], grid=Grid(4, 5), hidden_size=12)
    for use, part, fault in (
        (lambda: bundle.file(ENCODER), P.FILE, B.UNNAMED),
        (lambda: bundle.preprocessing, P.PREPROCESSING, B.UNNAMED),
        (lambda: LocalModel.from_bundle(bundle), P.LOCAL_MODEL, B.UNNAMED),
        (lambda: Device(None).bundle, P.BUNDLE, F.MISSING),
        (lambda: Bundle.load(tmp_path), P.MANIFEST, F.MISSING),
        (lambda: Bundle.from_pretrained(tmp_path / "none" / "at all"), P.BUNDLE, F.MISSING),
        (lambda: Calibration.load(tmp_path / "calibration.json"), P.CALIBRATION, F.MISSING),
    ):
        error = refusal(use)
        assert (error.part, error.fault) == (part, fault)


def test_codecs_that_this_version_does_not_know(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_bytes())
    replaced(folder / "manifest.json", json.dumps({**manifest, "codecs": ["klt", "wavelet"]}).encode())
    bundle = Bundle.load(folder)
    assert bundle.codec("klt").kind == "klt"
    error = refusal(lambda: bundle.codec("wavelet"))
    assert (error.part, error.fault) == (P.MANIFEST, B.UNKNOWN)
    assert "upgrade" in error.reason
