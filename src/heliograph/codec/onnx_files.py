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
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from heliograph.errors import BundleDamagedError
from heliograph.reading.files import open_regular
from heliograph.reasons import BundleFault, BundlePart, FileFault

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
_NODE_OUTPUT, _NODE_KIND = 2, 4
_NODE_DEPTH = 2
"""Of a node of the main graph; those of graphs within it lie deeper."""
_READING_NODES = frozenset({b"EPContext"})
"""Operators whose runtime reads a file that an attribute names."""

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_MAX_VARINT_BYTES = 10
_MAX_DEPTH = 64
_MAX_MESSAGES = 1 << 22
_MAX_NAME_BYTES, _MAX_DIGITS = 255, 19

Span = tuple[int, int]
network_damaged = partial(BundleDamagedError, BundlePart.NETWORK)
"""The error of a network, given what is wrong with it."""


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


def node_outputs(path: Path, operator: bytes) -> list[str]:
    """First output of each node of an operator in a network's main graph, in the order in which they run.

    Raises:
        BundleDamagedError: as :func:`external_files`.
    """
    return [name for kind, name in _walked(path).nodes if kind == operator and name]


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
        self.nodes: list[tuple[bytes, str]] = []
        self._messages = 0
        self._visit("model", (0, len(data)), 0)

    def _visit(self, kind: str, span: Span, depth: int) -> None:
        self._messages += 1
        if depth > _MAX_DEPTH or self._messages > _MAX_MESSAGES:
            raise network_damaged(BundleFault.TOO_MANY)
        held = _FIELDS[kind]
        if kind == "weight":
            self._weight(span)
        elif kind == "node" and depth == _NODE_DEPTH:
            self._node(span)
        for field, inner in self._fields(span):
            if field not in held:
                if kind == "node" and field == _NODE_KIND and self._bytes(inner) in _READING_NODES:
                    raise network_damaged(BundleFault.EXTERNAL)
            elif held[field] == "entry":
                self._entry(inner)
            else:
                self._visit(held[field], inner, depth + 1)

    def _node(self, span: Span) -> None:
        found = {field: self._bytes(inner) for field, inner in reversed([*self._fields(span)])}
        name = found.get(_NODE_OUTPUT, b"")
        self.nodes.append((found.get(_NODE_KIND, b""), name.decode("utf-8", "replace")))

    def _weight(self, span: Span) -> None:
        kind, count, inside, place = 0, 1, [], dict[bytes, bytes]()
        for field, inner in self._fields(span, numbers=True):
            if field == _SHAPE:
                count *= math.prod(self._varints(inner))
            elif field == _KIND:
                kind, _ = self._varint(*inner)
            elif field in _INSIDE:
                inside.append(inner)
            elif field == _PLACE:
                entry = {key: self._bytes(value) for key, value in self._fields(inner)}
                place[entry.get(_ENTRY_KEY, b"")] = entry.get(_ENTRY_VALUE, b"")
        self.weights += [StoredWeight(kind, count, "", begin, end) for begin, end in inside]
        if _LOCATION in place:
            begin, length = _whole(place.get(_OFFSET, b"0")), place.get(_LENGTH)
            end = None if length is None else begin + _whole(length)
            self.weights.append(StoredWeight(kind, count, _plain_name(place[_LOCATION]), begin, end))

    def _entry(self, span: Span) -> None:
        """One key and value of a tensor's external data; as in any such message, the last of several counts."""
        values = {field: self._bytes(inner) for field, inner in self._fields(span)}
        if values.get(_ENTRY_KEY) == _LOCATION:
            self.names.add(_plain_name(values.get(_ENTRY_VALUE, b"")))

    def _bytes(self, span: Span) -> bytes:
        begin, end = span
        return self._data[begin : min(end, begin + _MAX_NAME_BYTES + 1)]

    def _fields(self, span: Span, *, numbers: bool = False) -> Iterator[tuple[int, Span]]:
        """Number and bytes of each field that holds bytes, or with ``numbers`` also of those that hold one."""
        at, end = span
        while at < end:
            tag, at = self._varint(at, end)
            wire, start = tag & 7, at
            if wire in (_VARINT, _FIXED64, _FIXED32):
                at = self._varint(at, end)[1] if wire == _VARINT else at + (8 if wire == _FIXED64 else 4)
                if numbers and at <= end:
                    yield tag >> 3, (start, at)
            elif wire == _BYTES:
                length, at = self._varint(at, end)
                if length > end - at:
                    raise network_damaged(FileFault.LENGTH)
                yield tag >> 3, (at, at + length)
                at += length
            else:  # groups, which this format never had
                raise network_damaged(BundleFault.NOT_NETWORK)
        if at != end:
            raise network_damaged(FileFault.LENGTH)

    def _varints(self, span: Span) -> Iterator[int]:
        at, end = span
        while at < end:
            value, at = self._varint(at, end)
            yield value

    def _varint(self, at: int, end: int) -> tuple[int, int]:
        value = 0
        for place in range(at, min(end, at + _MAX_VARINT_BYTES)):
            byte = self._data[place]
            value |= (byte & 0x7F) << 7 * (place - at)
            if byte < 0x80:
                return value, place + 1
        raise network_damaged(BundleFault.NOT_NETWORK)


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
