"""The bundle: one folder with everything a device needs, named and hashed in ``manifest.json``.

``klt.safetensors``
    frozen tables of the codec ``klt``; every other kind of codec has files of its own names.
``encoder.onnx``
    the vision encoder, photo pixels to visual tokens.
``preprocessing.json``
    what the VLM's image processor does, as data.
``language_model.onnx`` and what it needs beside it
    only where the device shall answer without the cloud. It may be missing though the manifest names it: a small
    installation leaves it out, and its device always asks.
``calibration.json``, ``curves.json``, ``familiarity.json``, ``levels.json``, ``region.json``
    where they were measured: how sure an answer from a prefix is (:mod:`heliograph.codec.calibration`), what every way
    of sending gives for how many bytes (:mod:`heliograph.controllers.curves`), what its codecs leave of photos of their
    own kind (:mod:`heliograph.codec.familiarity`), how often answers agree by how far a stream is known
    (:mod:`heliograph.codec.levels`), how attention finds a region (:mod:`heliograph.controllers.region.find`).

A codec folder, as a hub keeps it, is the same without an encoder; there the manifest is called ``config.json``.

The manifest holds the SHA-256 of every file. What both ends must share is the codecs and the model that they were
fitted on: the bundle's hash covers those alone, so that devices with an int8 encoder and with a float32 one, and a
cloud with nothing but the codec folder, find each other.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self

from heliograph.codec.base import Codec
from heliograph.codec.calibration import CALIBRATION, Calibration
from heliograph.codec.familiarity import FAMILIARITY, FittedRanges
from heliograph.codec.levels import LEVELS, LevelCurves
from heliograph.codec.manifest import (
    CARD,
    CONFIG,
    ENCODER,
    FORMAT,
    LOCAL_MODEL,
    MANIFEST,
    MEASURED,
    PREPROCESSING,
    UNKNOWN_MODEL,
    file_digest,
    index_path,
    may_name_file,
    read_manifest,
    shared_hash,
    write_manifest,
)
from heliograph.codec.onnx_files import NETWORK_SUFFIX, external_files
from heliograph.codec.part_copies import copy_parts, parts_beside
from heliograph.codec.parts import Part, find_part
from heliograph.errors import BundleDamagedError, CodecMissingError, UnknownNameError, UsageError
from heliograph.hub import download, locate
from heliograph.reading.json_values import read_json_object
from heliograph.reasons import BundleFault, BundlePart, FileFault
from heliograph.registry import CODECS
from heliograph.types import Grid

_MAX_PREPROCESSING_BYTES = 1 << 20
_MAY_BE_MISSING = (LOCAL_MODEL,)
_MAX_SHOWN = 60

_manifest_damaged = partial(BundleDamagedError, BundlePart.MANIFEST)
_file_damaged = partial(BundleDamagedError, BundlePart.FILE)
_preprocessing_damaged = partial(BundleDamagedError, BundlePart.PREPROCESSING)


class Bundle:
    """A verified bundle or codec folder. Make one with :meth:`load` or :meth:`from_pretrained`.

    Attributes:
        folder: where it lies.
        hash: 8 bytes, first of the SHA-256 over the codecs' files and the model's fingerprint.
        model: fingerprint of the checkpoint that the codecs were fitted on, 64 hexadecimal digits; empty if unknown.
        model_name: what that checkpoint was called; for people.
        codec_kinds: of the codecs it holds, at least one.
        grid, hidden_size: of the visual tokens its encoder makes, (N, D) with D = hidden_size.
    """

    def __init__(self, folder: Path, manifest: Mapping[str, Any]) -> None:
        self.folder, self.hash = folder, shared_hash(manifest)
        self.model: str = manifest["model"]
        self.model_name: str = manifest["model_name"]
        self._files: Mapping[str, str] = manifest["files"]
        self.codec_kinds: tuple[str, ...] = tuple(manifest["codecs"])
        self._codecs: dict[str, Codec] = {}
        self._parts: dict[str, Part] = {}
        self.grid = Grid(*manifest["grid"])
        self.hidden_size: int = manifest["hidden_size"]

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the manifest and verify every file it names.

        Raises:
            BundleDamagedError: a file other than the language model is missing; one is no regular file, leaves the
                folder, or does not match its hash; a network reads a file that the manifest does not name; the manifest
                has another format.
        """
        folder = Path(folder)
        manifest = read_manifest(folder)
        for name in [name for name in _MAY_BE_MISSING if not (folder / name).exists()]:
            manifest["files"].pop(name, None)
        for name, digest in manifest["files"].items():
            if file_digest(folder / name) != digest:
                raise _file_damaged(BundleFault.HASH).noted(f"{folder / name}.")
        for name in manifest["files"]:
            if name.endswith(NETWORK_SUFFIX):
                _check_external(folder / name, manifest["files"])
        return cls(folder, manifest)

    @classmethod
    def from_pretrained(cls, source: str | Path, revision: str | None = None) -> Self:
        """A codec or bundle from a folder or a hub.

        Args:
            source: folder, or hub id such as ``owner/name``.
            revision: branch, tag or commit on the hub.

        Raises:
            BundleDamagedError: as :meth:`load`; or the hub has none of that name, or cannot be reached.
            MissingExtraError: a hub id, and huggingface_hub is not installed.
        """
        found = locate(str(source), revision, partial(BundleDamagedError, BundlePart.BUNDLE, FileFault.MISSING))
        if found.is_folder:
            return cls.load(Path(found.source))
        try:
            folder = download(found)
        except Exception as error:  # network, name and permissions fail in many ways of the library's own
            raise BundleDamagedError(BundlePart.BUNDLE, BundleFault.UNREACHABLE) from error
        return cls.load(_without_links(folder))

    def save_pretrained(self, folder: Path) -> None:
        """Copy it as a codec folder: codecs, what was measured with them, model card, ``config.json`` and the parts
        that lie beside its files, without encoder and local model.

        Raises:
            BundleDamagedError: a codec cannot be read, or a part.
            PartMissingError: a part was made for another model.
            OSError: the disk refuses.
        """
        kept = [self.folder / name for name in self._files if name.endswith(CARD) or name in MEASURED]
        write_bundle(
            folder,
            codecs=list(self.codecs.values()),
            grid=self.grid,
            hidden_size=self.hidden_size,
            model=self.model,
            model_name=self.model_name,
            extra_files=kept,
            index=CONFIG,
        )
        copy_parts(parts_beside(self.folder, self.model), folder)

    def with_measured(self, name: str, values: Mapping[str, Any]) -> Self:
        """The same folder with a file of :data:`MEASURED` in it, in place of one that was there; its hash stays.

        Args:
            name: such as ``calibration.json``.
            values: what it shall hold, JSON values.

        Raises:
            UsageError: another name.
            BundleDamagedError: the folder has changed since it was loaded.
            OSError: the disk refuses.
        """
        if name not in MEASURED:
            raise UsageError.of_argument("name", f"one of {', '.join(sorted(MEASURED))}", name)
        manifest = read_manifest(self.folder)
        (self.folder / name).write_text(json.dumps(values) + "\n", encoding="utf-8")
        manifest["files"][name] = file_digest(self.folder / name)
        write_manifest(index_path(self.folder), manifest)
        return self.load(self.folder)

    def codec(self, kind: str) -> Codec:
        """One of its codecs, loaded when first asked for.

        Raises:
            CodecMissingError: the bundle has none of this kind.
            BundleDamagedError: its tables are damaged or of an unknown kind.
        """
        if kind not in self.codec_kinds:
            raise CodecMissingError
        if kind not in self._codecs:
            try:
                self._codecs[kind] = CODECS.load(kind).load(self.folder)
            except UnknownNameError as error:
                raise _manifest_damaged(BundleFault.UNKNOWN).noted(
                    f"{self.folder}: the codec {kind[:_MAX_SHOWN]!r}."
                ) from error
            except BundleDamagedError as error:
                error.add_note(f"{self.folder}: the codec {kind}.")
                raise
            if self.familiarity is not None:
                self._codecs[kind].fitted = self.familiarity.ranges.get(kind)
            if self.levels is not None:
                self._codecs[kind].levels = self.levels.curves.get(kind)
        return self._codecs[kind]

    def part(self, name: str) -> Part:
        """The trained part of a strategy for this bundle's model, looked for when first asked for.

        Raises:
            PartMissingError: neither in its folder ``parts`` nor, for the reference model, in the package.
            BundleDamagedError: it is there and cannot be used.
        """
        if name not in self._parts:
            self._parts[name] = find_part(name, self.folder, self.model)
        return self._parts[name]

    @property
    def preferred_codec(self) -> str:
        """The kind that strategies take where none is named: the learned codec, else the first one."""
        known = (kind for kind in self.codec_kinds if kind in CODECS.names())
        return next((kind for kind in known if CODECS.load(kind).learned), self.codec_kinds[0])

    @property
    def codecs(self) -> dict[str, Codec]:
        """All of its codecs by kind.

        Raises:
            BundleDamagedError: as ``codec``.
        """
        return {kind: self.codec(kind) for kind in self.codec_kinds}

    @property
    def file_names(self) -> frozenset[str]:
        """Names of every file in the manifest."""
        return frozenset(self._files)

    def file(self, name: str) -> Path:
        """One of its files.

        Raises:
            BundleDamagedError: the manifest does not name it.
        """
        if name not in self._files:
            raise _file_damaged(BundleFault.UNNAMED).noted(f"{self.folder}: {name}.")
        return self.folder / name

    @property
    def local_model_path(self) -> Path | None:
        """The ONNX language model, or None where the device cannot answer by itself."""
        return self.folder / LOCAL_MODEL if LOCAL_MODEL in self._files else None

    @cached_property
    def calibration(self) -> Calibration | None:
        """How likely answers from its codecs' prefixes are right; None where nobody has fitted that.

        Raises:
            BundleDamagedError: it cannot be read.
        """
        return Calibration.load(self.folder / CALIBRATION) if CALIBRATION in self._files else None

    @cached_property
    def familiarity(self) -> FittedRanges | None:
        """The misfit of photos like those its codecs were fitted on; None where nobody has measured that.

        Raises:
            BundleDamagedError: it cannot be read.
        """
        return FittedRanges.load(self.folder / FAMILIARITY) if FAMILIARITY in self._files else None

    @cached_property
    def levels(self) -> LevelCurves | None:
        """How often answers agree with those from uncompressed tokens, by level; None where nobody has measured that.

        Raises:
            BundleDamagedError: it cannot be read.
        """
        return LevelCurves.load(self.folder / LEVELS) if LEVELS in self._files else None

    @cached_property
    def preprocessing(self) -> dict[str, Any]:
        """What the image processor does.

        Raises:
            BundleDamagedError: the bundle has none, or it is not a JSON object.
        """
        if PREPROCESSING not in self._files:
            raise _preprocessing_damaged(BundleFault.UNNAMED)
        path = self.folder / PREPROCESSING
        return read_json_object(path, max_bytes=_MAX_PREPROCESSING_BYTES, error=_preprocessing_damaged, links=False)


def write_bundle(
    folder: Path,
    *,
    codecs: Sequence[Codec],
    grid: Grid,
    hidden_size: int,
    model: str = UNKNOWN_MODEL,
    model_name: str = "",
    preprocessing: Mapping[str, Any] | None = None,
    encoder: Path | None = None,
    extra_files: Sequence[Path] = (),
    index: str = MANIFEST,
) -> Bundle:
    """Write a bundle or a codec folder and load it back.

    Args:
        folder: made if absent; files of the same names are replaced.
        codecs: saved into the folder, at least one, of different kinds.
        grid: of the visual tokens.
        hidden_size: D of the visual tokens.
        model: fingerprint of the checkpoint that the codecs were fitted on, as :class:`Bundle` has it.
        model_name: of that checkpoint, as :class:`Bundle` has it.
        preprocessing: JSON values.
        encoder: ONNX file, stored as ``encoder.onnx``.
        extra_files: stored under their own names; ``language_model.onnx`` among them makes the local model.
        index: the manifest's name, ``config.json`` for a codec folder.

    Raises:
        BundleDamagedError: a name is not allowed.
        OSError: the disk refuses.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    names: set[str] = set()
    for codec in codecs:
        codec.save(folder)
        names.update(codec.files)
    if preprocessing is not None:
        text = json.dumps(dict(preprocessing), indent=1, sort_keys=True)
        (folder / PREPROCESSING).write_text(text + "\n", encoding="utf-8")
        names.add(PREPROCESSING)
    for source, name in [*([(encoder, ENCODER)] if encoder else []), *((path, path.name) for path in extra_files)]:
        if not may_name_file(name):
            raise _manifest_damaged(BundleFault.NAME).noted(f"{name}.")
        if source.resolve() != (folder / name).resolve():
            shutil.copyfile(source, folder / name)
        names.add(name)
    manifest = {
        "format": FORMAT,
        "codecs": [codec.kind for codec in codecs],
        "grid": [grid.rows, grid.columns, grid.tiles, grid.photo_width, grid.photo_height],
        "hidden_size": hidden_size,
        "model": model,
        "model_name": model_name,
        "files": {name: file_digest(folder / name) for name in sorted(names)},
    }
    write_manifest(folder / index, manifest)
    return Bundle.load(folder)


def _without_links(folder: Path) -> Path:
    """Where the files really are: a hub's cache links to them, and links are not followed below."""
    copies = folder.parent / f"{folder.name}.files"
    copies.mkdir(exist_ok=True)
    for path in folder.iterdir():
        if path.is_file():
            shutil.copyfile(path, copies / path.name)
    return copies


def _check_external(network: Path, vouched: Mapping[str, str]) -> None:
    """Refuse a network that reads a file which the manifest does not vouch for."""
    try:
        others = external_files(network)
    except BundleDamagedError as error:
        error.add_note(f"{network}.")
        raise
    if not others <= vouched.keys():
        raise BundleDamagedError(BundlePart.NETWORK, BundleFault.EXTERNAL).noted(f"{network}.")
