"""Copies of parts beside another bundle's files: which go along, and which are refused because they do not fit."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from heliograph.codec.manifest import may_name_file
from heliograph.codec.parts import CARD, PARTS, Part, missing
from heliograph.errors import BundleDamagedError, UsageError
from heliograph.reasons import BundleFault, BundlePart


def parts_beside(bundle_folder: Path, model: str) -> dict[str, Part]:
    """A bundle's own parts by name, verified; those of the wheel are found without being copied.

    Args:
        bundle_folder: whose folder ``parts`` is looked into; none there is none found.
        model: fingerprint of the checkpoint that they shall fit; empty for unknown.

    Raises:
        PartMissingError: one has no card, or was made for another model.
        BundleDamagedError: one cannot be used.
    """
    folder = bundle_folder / PARTS
    inside = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    return {path.name: _fitting(path.name, path, model) for path in inside}


def parts_named(folders: Sequence[Path], model: str) -> dict[str, Part]:
    """Parts as ``heliograph train strategy NAME --out DIR`` wrote them, by the strategy that their card names.

    Args:
        folders: of one part each, under any name.
        model: as in :func:`parts_beside`.

    Raises:
        PartMissingError, BundleDamagedError: as in :func:`parts_beside`; or a card does not name its strategy.
        UsageError: two are of one strategy.
    """
    found: dict[str, Part] = {}
    for folder in folders:
        part = _fitting(folder.name, folder, model)
        name = part.card.get("strategy")
        if not isinstance(name, str) or not may_name_file(name):
            raise BundleDamagedError(BundlePart.PART, BundleFault.NAME).noted(f"{folder / CARD}: strategy.")
        if name in found:
            raise UsageError().noted(f"a bundle holds one part of a strategy, and two are {name}'s: {folder}.")
        found[name] = part
    return found


def copy_parts(parts: Mapping[str, Part], bundle_folder: Path) -> None:
    """Copy what the cards name, and the cards, to ``parts/NAME``; a part of the same name is replaced.

    Raises:
        BundleDamagedError: a file has changed since it was verified.
        OSError: the disk refuses.
    """
    for name, part in parts.items():
        folder = bundle_folder / PARTS / name
        if part.folder.resolve() == folder.resolve():
            continue
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for file in sorted({*part.files, CARD}):
            shutil.copyfile(part.folder / file, folder / file)
        Part.load(name, folder)


def _fitting(name: str, folder: Path, model: str) -> Part:
    part = Part.load(name, folder)
    if model and part.card["model"] and part.card["model"] != model:
        raise missing(name).noted(f"{folder}: it was made for another model than this bundle.")
    return part
