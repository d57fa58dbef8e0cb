"""What the wheel for devices leaves out the other wheel brings (decision 0035), and a device does without it."""

from __future__ import annotations

import tomllib
import zlib
from pathlib import Path

import pytest

from heliograph.codec.bundle import Bundle
from heliograph.codec.manifest import LOCAL_MODEL
from heliograph.edge.local.model import LocalModel
from heliograph.errors import BundleDamagedError

ROOT = Path(__file__).parents[2]
DEVICE = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CLOUD_FOLDER = ROOT / "packages" / "heliograph-cloud"
CLOUD = tomllib.loads((CLOUD_FOLDER / "pyproject.toml").read_text(encoding="utf-8"))


def wheel(project):
    return project["tool"]["hatch"]["build"]["targets"]["wheel"]


def test_the_wheels_have_one_version():
    assert CLOUD["project"]["version"] == DEVICE["project"]["version"]
    assert CLOUD["project"]["dependencies"] == [f"heliograph=={DEVICE['project']['version']}"]


def test_what_one_leaves_out_the_other_brings():
    left_out = {f"src{path.removeprefix('/src')}" for path in wheel(DEVICE)["exclude"]}
    included = wheel(CLOUD)["force-include"].items()
    brought = {str((CLOUD_FOLDER / path).resolve().relative_to(ROOT)): to for path, to in included}
    assert left_out | {"benchmarks"} == set(brought)
    for path, to in brought.items():
        assert (ROOT / path).exists()
        assert to == path.removeprefix("src/") or (path, to) == ("benchmarks", "heliograph/benchmarks")


def test_the_wheel_for_devices_rounds_to_9_mb():
    """What a wheel's archive makes of its files: each one compressed, and its name in three places."""
    left_out = tuple(str(ROOT / path.removeprefix("/")) for path in wheel(DEVICE)["exclude"])
    files = [path for path in (ROOT / "src").rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    packed = [path for path in files if not str(path).startswith(left_out)]
    names = sum(2 * len(str(path.relative_to(ROOT / "src"))) + 76 + 50 for path in packed)
    data = sum(len(zlib.compress(path.read_bytes(), wbits=-15)) for path in packed)
    metadata = len(zlib.compress((ROOT / "README.md").read_bytes()))
    assert 8_000_000 < names + data + metadata < 9_250_000


def test_a_bundle_without_its_language_model_is_whole_but_for_local_answers(reference_pair, tmp_path):
    whole = Bundle.load(reference_pair.bundle)
    for file in reference_pair.bundle.iterdir():
        if file.name != LOCAL_MODEL:
            (tmp_path / file.name).hardlink_to(file)
    small = Bundle.load(tmp_path)
    assert small.hash == whole.hash
    assert small.codec_kinds == whole.codec_kinds
    assert whole.local_model_path is not None
    assert small.local_model_path is None
    with pytest.raises(BundleDamagedError) as refused:
        LocalModel.from_bundle(small)
    assert "heliograph-cloud" in str(refused.value.__notes__)


@pytest.mark.parametrize("damage", [b"", b"another network"])
def test_a_language_model_that_is_there_must_match_its_digest(damage, reference_pair, tmp_path):
    for file in reference_pair.bundle.iterdir():
        if file.name != LOCAL_MODEL:
            (tmp_path / file.name).hardlink_to(file)
    (tmp_path / LOCAL_MODEL).write_bytes(damage)
    with pytest.raises(BundleDamagedError):
        Bundle.load(tmp_path)
