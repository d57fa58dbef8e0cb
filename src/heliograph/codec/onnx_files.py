"""Which other files an ONNX network would read and where its weights lie, found without loading it.

A tensor of a network may lie in another file, which ONNX Runtime opens when it loads the network. A bundle's manifest
vouches for the files that it names and for no others, so every such name has to be looked at first. The device has no
``onnx`` package: this walks the protocol-buffer messages itself, through those that can hold a tensor, and passes over
everything else (weights above all) by its length.

The fields are those of ``onnx.proto3``: a number for the field, and which message it holds.
"""

from __future__ import annotations

import math
import mmap
from dataclasses import dataclass
from pathlib import Path

from heliograph.codec.protobuf import Span, fields, network_damaged, varint, varints
from heliograph.reading.files import open_regular
from heliograph.reasons import BundleFault, FileFault

NETWORK_SUFFIX = ".onnx"

_FIELDS: dict[str, dict[int, str]] = {
    "model": {7: "graph", 20: "training", 25: "function"},
    "training": {1: "graph", 2: "graph"},
    "function": {7: "node", 11: "attribute"},
    "graph": {1: "node", 5: "weight", 15: "sparse"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {13: "entry"},
    "weight": {13: "entry"},
    "entry": {},
}
_ENTRY_KEY, _ENTRY_VALUE = 1, 2
_LOCATION, _OFFSET, _LENGTH = b"location", b"offset", b"length"
_SHAPE, _KIND, _PLACE = 1, 2, 13  # of a tensor
_INSIDE = (4, 9, 10)
"""Where its values may lie: as float32, as bytes, as float64."""
_NODE_KIND = 4
_READING_NODES = frozenset({b"EPContext"})
"""Operators whose runtime reads a file that an attribute names."""

_MAX_DEPTH = 64
_MAX_MESSAGES = 1 << 22
_MAX_NAME_BYTES, _MAX_DIGITS = 255, 19


@dataclass(frozen=True)
class StoredWeight:
    """Where values of one weight lie.

    Attributes:
        kind: of its values, as ``onnx.proto3`` numbers them.
        count: of values in the whole weight, by its shape.
        file: name of the file beside the network; empty for the network's own.
        begin, end: within that file, in bytes; no end for all that follows.
    """

    kind: int
    count: int
    file: str
    begin: int
    end: int | None


def external_files(path: Path) -> frozenset[str]:
    """Names of the files that a network's tensors lie in: plain names, beside it.

    Raises:
        BundleDamagedError: no ONNX file; a tensor's place is not a plain name (a path, an address in memory, nothing);
            or an operator reads files by itself.
    """
    return frozenset(_walked(path).names)


def stored_weights(path: Path) -> list[StoredWeight]:
    """Every weight (initialiser) of a network and of the graphs within it.

    Raises:
        BundleDamagedError: as :func:`external_files`.
    """
    return _walked(path).weights


def _walked(path: Path) -> _Walk:
    with open_regular(path, error=network_damaged, links=False) as file:
        try:
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                return _Walk(data)
        except ValueError as error:  # an empty file
            raise network_damaged(FileFault.LENGTH) from error


class _Walk:
    """A walk through one file; every message is visited once, so the work is bounded by the file's size."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self.names: set[str] = set()
        self.weights: list[StoredWeight] = []
        self._messages = 0
        self._visit("model", (0, len(data)), 0)

    def _visit(self, kind: str, span: Span, depth: int) -> None:
        self._messages += 1
        if depth > _MAX_DEPTH or self._messages > _MAX_MESSAGES:
            raise network_damaged(BundleFault.TOO_MANY)
        held = _FIELDS[kind]
        if kind == "weight":
            self._weight(span)
        for field, inner in fields(self._data, span):
            if field not in held:
                if kind == "node" and field == _NODE_KIND and self._bytes(inner) in _READING_NODES:
                    raise network_damaged(BundleFault.EXTERNAL)
            elif held[field] == "entry":
                self._entry(inner)
            else:
                self._visit(held[field], inner, depth + 1)

    def _weight(self, span: Span) -> None:
        kind, count, inside, place = 0, 1, [], dict[bytes, bytes]()
        for field, inner in fields(self._data, span, numbers=True):
            if field == _SHAPE:
                count *= math.prod(varints(self._data, inner))
            elif field == _KIND:
                kind, _ = varint(self._data, *inner)
            elif field in _INSIDE:
                inside.append(inner)
            elif field == _PLACE:
                entry = {key: self._bytes(value) for key, value in fields(self._data, inner)}
                place[entry.get(_ENTRY_KEY, b"")] = entry.get(_ENTRY_VALUE, b"")
        self.weights += [StoredWeight(kind, count, "", begin, end) for begin, end in inside]
        if _LOCATION in place:
            begin, length = _whole(place.get(_OFFSET, b"0")), place.get(_LENGTH)
            end = None if length is None else begin + _whole(length)
            self.weights.append(StoredWeight(kind, count, _plain_name(place[_LOCATION]), begin, end))

    def _entry(self, span: Span) -> None:
        """One key and value of a tensor's external data; as in any such message, the last of several counts."""
        values = {field: self._bytes(inner) for field, inner in fields(self._data, span)}
        if values.get(_ENTRY_KEY) == _LOCATION:
            self.names.add(_plain_name(values.get(_ENTRY_VALUE, b"")))

    def _bytes(self, span: Span) -> bytes:
        begin, end = span
        return self._data[begin : min(end, begin + _MAX_NAME_BYTES + 1)]


def _whole(value: bytes) -> int:
    if not value.isdigit() or len(value) > _MAX_DIGITS:
        raise network_damaged(BundleFault.NOT_NETWORK)
    return int(value)


def _plain_name(value: bytes) -> str:
    try:
        name = value.decode("ascii")
    except UnicodeDecodeError as error:
        raise network_damaged(BundleFault.NAME) from error
    plain = 0 < len(name) <= _MAX_NAME_BYTES and name.isprintable() and not set(name) & set("/\\:*")
    if not plain or name in (".", ".."):
        raise network_damaged(BundleFault.NAME)
    return name
