"""Copies of parts: what the card names goes along, and what is another model's is refused by name."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import heliograph
from heliograph.codec.bundle import Bundle
from heliograph.codec.part_copies import copy_parts, parts_beside, parts_named
from heliograph.codec.parts import Part, write_card
from heliograph.codec.storage import write_arrays
from heliograph.errors import BundleDamagedError, PartMissingError, UsageError

MODEL = "ab" * 32


def made(folder: Path, strategy: str = "bottle", model: str = MODEL, value: int = 1) -> Part:
    write_arrays(folder, "tables", {}, {"borders": np.full(3, value, np.int32)})
    (folder / "run").mkdir(exist_ok=True)
    return write_card(folder, ["tables.safetensors"], {"strategy": strategy}, model)


def test_what_the_card_names_is_copied_and_a_run_is_not(tmp_path: Path) -> None:
    written = made(tmp_path / "any-name")
    copy_parts(parts_named([tmp_path / "any-name"], MODEL), tmp_path / "bundle")
    copied = parts_beside(tmp_path / "bundle", MODEL)
    assert list(copied) == ["bottle"]
    assert copied["bottle"].identity == written.identity
    inside = sorted(path.name for path in copied["bottle"].folder.iterdir())
    assert inside == ["card.json", "tables.safetensors"]


def test_a_part_takes_the_place_of_one_of_its_name(tmp_path: Path) -> None:
    made(tmp_path / "bundle" / "parts" / "bottle")
    (tmp_path / "bundle" / "parts" / "bottle" / "old.onnx").touch()
    other = made(tmp_path / "other", value=2)
    copy_parts(parts_named([tmp_path / "other"], MODEL), tmp_path / "bundle")
    held = parts_beside(tmp_path / "bundle", MODEL)["bottle"]
    assert held.identity == other.identity
    assert not (held.folder / "old.onnx").exists()
    copy_parts({"bottle": held}, tmp_path / "bundle")  # onto itself: nothing is lost
    assert parts_beside(tmp_path / "bundle", MODEL)["bottle"].identity == other.identity


def test_what_does_not_fit_is_refused_by_name(tmp_path: Path) -> None:
    made(tmp_path / "bundle" / "parts" / "bottle", model="cd" * 32)
    with pytest.raises(PartMissingError, match="bottle"):
        parts_beside(tmp_path / "bundle", MODEL)
    with pytest.raises(PartMissingError, match="bottle"):
        parts_named([tmp_path / "bundle" / "parts" / "bottle"], MODEL)
    with pytest.raises(PartMissingError):
        parts_named([tmp_path / "absent"], MODEL)
    for name in ("one", "two"):
        made(tmp_path / name)
    with pytest.raises(UsageError, match="bottle"):
        parts_named([tmp_path / "one", tmp_path / "two"], MODEL)
    made(tmp_path / "out", strategy="../out")
    with pytest.raises(BundleDamagedError):
        parts_named([tmp_path / "out"], MODEL)


def test_a_copied_codec_folder_holds_its_parts(tmp_path: Path) -> None:
    shipped = Bundle.load(Path(heliograph.__file__).parent / "reference" / "bundle")
    shipped.save_pretrained(tmp_path / "one")
    assert parts_beside(tmp_path / "one", shipped.model) == {}
    part = made(tmp_path / "one" / "parts" / "bottle", model=shipped.model)
    Bundle.load(tmp_path / "one").save_pretrained(tmp_path / "two")
    assert Bundle.load(tmp_path / "two").part("bottle").identity == part.identity
