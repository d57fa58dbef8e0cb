"""Parts: trained or exported pieces of one strategy, bound to one model's tokens, in a folder of their own.

::

    parts/NAME/  encoder.onnx, decoder.onnx, ...   networks, run in ONNX Runtime at both ends
                 tables.safetensors                what decides a symbol's probability, and sizes
                 card.json                         who made them of what, with the SHA-256 of every other file

A bundle's own parts lie beside its files, in its folder ``parts``; those of the shipped reference model come with the
wheel ``heliograph-cloud``. They are not in the bundle's hash, so that devices whose bundle is the same find each other
whatever parts they hold: a stream that needs a part begins with two bytes of the part's identity instead, and a cloud
with another part refuses it by name before it decodes.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from heliograph.codec.manifest import file_digest, may_name_file
from heliograph.codec.onnx_files import NETWORK_SUFFIX, external_files
from heliograph.codec.onnx_session import open_session
from heliograph.codec.storage import Arrays, read_arrays
from heliograph.errors import BundleDamagedError, PartMismatchError, PartMissingError, StreamTruncatedError
from heliograph.reading.json_values import read_json_object
from heliograph.reasons import BundleFault, BundlePart, FileFault

if TYPE_CHECKING:
    import onnxruntime

PARTS, CARD, TABLES = "parts", "card.json", "tables"
IDENTITY_BYTES = 2
FORMAT = 1

FindPart = Callable[[str], "Part"]
"""A part by its name, such as :meth:`heliograph.codec.bundle.Bundle.part`."""

_SHIPPED = Path(__file__).parents[1] / "reference" / PARTS
_MAX_CARD_BYTES = 1 << 20
_MAX_FILES, _MAX_FILE_BYTES = 16, 1 << 28

_damaged = partial(BundleDamagedError, BundlePart.PART)


@dataclass(frozen=True)
class Part:
    """A verified part. Make one with :meth:`load`.

    Attributes:
        name: of the strategy that it belongs to.
        folder: where it lies.
        card: as ``card.json`` has it; ``model`` in it is the fingerprint of the checkpoint that it was made for.
        identity: first 2 bytes of the SHA-256 over its files' digests, the card left out.
        files: names of its files, the card left out.
    """

    name: str
    folder: Path
    card: Mapping[str, Any] = field(repr=False)
    identity: bytes
    files: frozenset[str]
    _sessions: dict[tuple[str, int], onnxruntime.InferenceSession] = field(
        default_factory=dict, repr=False, compare=False
    )

    @classmethod
    def load(cls, name: str, folder: Path) -> Part:
        """Read a part's card and verify every file that it names.

        Raises:
            PartMissingError: there is no such folder, or no card in it.
            BundleDamagedError: a file is missing, is no regular file, is larger than 256 MiB or does not match its
                digest; a network reads a file that the card does not name; or the card cannot be understood.
        """
        if not (folder / CARD).is_file():
            raise missing(name).noted(f"{folder}: there is no {CARD} in it.")
        card = read_json_object(folder / CARD, max_bytes=_MAX_CARD_BYTES, error=_damaged, links=False)
        files = _checked_files(card, folder)
        for file, digest in files.items():
            _check_file(folder / file, digest, files)
        return cls(name, folder, card, identity_of(files), frozenset(files))

    @cached_property
    def tables(self) -> tuple[dict[str, Any], Arrays]:
        """Facts and arrays of ``tables.safetensors``.

        Raises:
            BundleDamagedError: it has none, or they cannot be read.
        """
        return read_arrays(self.folder, TABLES)

    def network(self, stem: str, threads: int = 1) -> onnxruntime.InferenceSession:
        """The network ``stem.onnx``, opened when it is first asked for.

        Raises:
            BundleDamagedError: it has none of this name, or one that ONNX Runtime cannot run.
            MissingExtraError: onnxruntime is not installed.
        """
        name = stem + NETWORK_SUFFIX
        if name not in self.files:
            raise _damaged(BundleFault.UNNAMED).noted(f"{self.folder / name}.")
        if (stem, threads) not in self._sessions:
            self._sessions[stem, threads] = open_session(self.folder / name, threads)
        return self._sessions[stem, threads]

    def unwrapped(self, header: bytes) -> bytes:
        """What follows the identity in a stream's header.

        Raises:
            StreamTruncatedError: the header is shorter.
            PartMismatchError: the stream was made with another part.
        """
        if len(header) < IDENTITY_BYTES:
            raise StreamTruncatedError().noted(f"{self.name}: its first 2 bytes name the part.")
        if header[:IDENTITY_BYTES] != self.identity:
            theirs = header[:IDENTITY_BYTES].hex()
            raise PartMismatchError().noted(f"{self.name}: the stream's is {theirs}, ours {self.identity.hex()}.")
        return header[IDENTITY_BYTES:]


def find_part(name: str, bundle_folder: Path, model: str) -> Part:
    """A bundle's part: one of its own, else the shipped one, where that was made for the same checkpoint.

    Args:
        name: of the strategy.
        bundle_folder: its folder ``parts`` is looked into first.
        model: fingerprint of the checkpoint that the bundle's codecs were fitted on; empty for unknown.

    Raises:
        PartMissingError: neither is there, or it is for another model.
        BundleDamagedError: it is there and cannot be used.
    """
    own = bundle_folder / PARTS / name
    if own.exists():
        found = Part.load(name, own)
        if model and found.card["model"] and found.card["model"] != model:
            raise missing(name).noted(f"{own}: it was made for another model than this bundle.")
        return found
    found = Part.load(name, _SHIPPED / name)
    if found.card["model"] != model:
        raise missing(name).noted("The one in the wheel heliograph-cloud is for the reference model.")
    return found


def missing(name: str) -> PartMissingError:
    """The error of a part that is not there, with what helps."""
    step = (
        f"the reference model's is in the wheel heliograph-cloud (pip install heliograph-cloud); for other models: "
        f"heliograph train strategy {name} --out DIR, then copy DIR to {PARTS}/{name} of the bundle, at both ends"
    )
    return PartMissingError().about(name, step)


def no_parts(name: str) -> Part:
    """A :data:`FindPart` of whoever has no bundle.

    Raises:
        PartMissingError: always.
    """
    raise missing(name)


def write_card(folder: Path, files: Sequence[str], facts: Mapping[str, Any], model: str) -> Part:
    """Write ``card.json`` over files that are there, and load the part.

    Args:
        folder: of the part; its name is not stored.
        files: names of the networks and tables.
        facts: seed, data, minutes, machine, figures and whatever else there is to say; JSON values.
        model: fingerprint of the checkpoint, or empty.

    Raises:
        BundleDamagedError: a file is missing, or not one that a part may have.
        OSError: the disk refuses.
    """
    digests = {name: file_digest(folder / name) for name in sorted(files)}
    card = {**facts, "format": FORMAT, "model": model, "files": digests}
    (folder / CARD).write_text(json.dumps(card, indent=1) + "\n", encoding="utf-8")
    return Part.load(folder.name, folder)


def identity_of(files: Mapping[str, str]) -> bytes:
    """First 2 bytes of the SHA-256 over files' digests, by name."""
    return hashlib.sha256(json.dumps(dict(files), sort_keys=True).encode()).digest()[:IDENTITY_BYTES]


def _checked_files(card: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """Names and digests; nothing is read from disk on behalf of the card before."""
    files, model = card.get("files"), card.get("model")
    if card.get("format") != FORMAT:
        raise _damaged(BundleFault.FORMAT).noted(f"{folder / CARD}.")
    if not isinstance(files, dict) or not isinstance(model, str) or not files:
        raise _damaged(FileFault.CONTENT).noted(f"{folder / CARD}.")
    if len(files) > _MAX_FILES:
        raise _damaged(BundleFault.TOO_MANY).noted(f"{folder / CARD}.")
    for name, digest in files.items():
        if not may_name_file(name) or name == CARD:
            raise _damaged(BundleFault.NAME).noted(f"{folder / CARD}.")
        if not isinstance(digest, str):
            raise _damaged(FileFault.CONTENT).noted(f"{folder / CARD}.")
    return dict(files)


def _check_file(path: Path, digest: str, vouched: Mapping[str, str]) -> None:
    if path.is_file() and path.stat().st_size > _MAX_FILE_BYTES:
        raise _damaged(FileFault.TOO_LARGE).noted(f"{path}.")
    if file_digest(path) != digest:
        raise _damaged(BundleFault.HASH).noted(f"{path}.")
    if path.suffix == NETWORK_SUFFIX and not external_files(path) <= vouched.keys():
        raise _damaged(BundleFault.EXTERNAL).noted(f"{path}.")
