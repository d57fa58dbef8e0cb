"""Every bound of a bundle's manifest: the last value that is taken, and the first that is not, with the reason."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from heliograph.codec.bundle import Bundle
from heliograph.errors import BundleDamagedError
from heliograph.reasons import BundleFault, BundlePart, FileFault


def refusal(folder: Path) -> BundleDamagedError:
    with pytest.raises(BundleDamagedError) as found:
        Bundle.load(folder)
    return found.value


DIGEST = hashlib.sha256(b"x").hexdigest()
ENTRIES: list[tuple[str, Any, Any, FileFault | BundleFault]] = [
    ("format", 3, 4, BundleFault.FORMAT),
    ("format", 3, 2, BundleFault.FORMAT),
    ("format", 3, None, BundleFault.FORMAT),
    ("codecs", ["klt"] * 8, ["klt"] * 9, BundleFault.TOO_MANY),
    ("codecs", ["klt"], [], FileFault.CONTENT),
    ("codecs", ["klt"], "klt", FileFault.CONTENT),
    ("codecs", ["klt"], [7], FileFault.CONTENT),
    ("hidden_size", 1, 0, BundleFault.RANGE),
    ("hidden_size", 65536, 65537, BundleFault.RANGE),
    ("hidden_size", 1, True, FileFault.CONTENT),
    ("hidden_size", 1, 1.0, FileFault.CONTENT),
    ("grid", [1, 1, 1, 0, 0], [0, 1, 1, 0, 0], BundleFault.RANGE),
    ("grid", [16384, 1, 1, 0, 0], [16385, 1, 1, 0, 0], BundleFault.RANGE),
    ("grid", [1, 16384, 1, 0, 0], [1, 16385, 1, 0, 0], BundleFault.RANGE),
    ("grid", [128, 128, 1, 0, 0], [128, 128, 2, 0, 0], BundleFault.RANGE),
    ("grid", [1, 1, 1, 2097151, 0], [1, 1, 1, 2097152, 0], BundleFault.RANGE),
    ("grid", [1, 1, 1, 0, 2097151], [1, 1, 1, 0, 2097152], BundleFault.RANGE),
    ("grid", [1, 1, 1, 0, 0], [1, 1, 1, -1, 0], BundleFault.RANGE),
    ("grid", [1, 1, 1, 0, 0], [1, 1, 1, 0], FileFault.CONTENT),
    ("grid", [1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0], FileFault.CONTENT),
    ("grid", [1, 1, 1, 0, 0], [1, 1, 1, 0, "0"], FileFault.CONTENT),
    ("model", "ab" * 32, "ab" * 31, FileFault.CONTENT),
    ("model", "ab" * 32, "ab" * 33, FileFault.CONTENT),
    ("model", "", "AB" * 32, FileFault.CONTENT),
    ("model_name", "", None, FileFault.CONTENT),
    ("files", {f"f{i}": DIGEST for i in range(64)}, {f"f{i}": DIGEST for i in range(65)}, BundleFault.TOO_MANY),
    ("files", {"f" * 64: DIGEST}, {"f" * 65: DIGEST}, BundleFault.NAME),
    ("files", {"f0": DIGEST}, {"f0": DIGEST[:-1]}, FileFault.CONTENT),
    ("files", {"f0": DIGEST}, {"f0": DIGEST + "0"}, FileFault.CONTENT),
    ("files", {"f0": DIGEST}, {"f0": DIGEST.upper()}, FileFault.CONTENT),
    ("files", {"f0": DIGEST}, [["f0", DIGEST]], FileFault.CONTENT),
    *[
        ("files", {"f0": DIGEST}, {name: DIGEST}, BundleFault.NAME)
        for name in ("../x", "a/b", "..", ".x", "", "a\\b", "f\n", "é", "manifest.json", "config.json")
    ],
]


@pytest.mark.parametrize(("entry", "within", "beyond", "fault"), ENTRIES)
def test_bounds_of_the_manifest(tmp_path: Path, entry: str, within: Any, beyond: Any, fault: Any) -> None:
    manifest = {
        "format": 3,
        "codecs": ["klt"],
        "grid": [1, 1, 1, 0, 0],
        "hidden_size": 1,
        "model": "",
        "model_name": "",
        "files": {},
    }
    for name in [f"f{i}" for i in range(65)] + ["f" * 64]:
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, entry: within}))
    assert Bundle.load(tmp_path).folder == tmp_path
    (tmp_path / "manifest.json").write_text(json.dumps({**manifest, entry: beyond}))
    error = refusal(tmp_path)
    assert (error.part, error.fault) == (BundlePart.MANIFEST, fault)
    (tmp_path / "manifest.json").write_text(json.dumps({k: v for k, v in manifest.items() if k != entry}))
    assert refusal(tmp_path).fault is FileFault.CONTENT
