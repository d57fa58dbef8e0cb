"""Coefficients as one embedded codeword: any byte prefix of it decodes, and each further byte makes them finer."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from heliograph.codec.range_coder import RunDecoder, RunEncoder
from heliograph.strategies.compressed_domain.coefficients import COMPONENTS, Coefficients, PictureShape
from heliograph.strategies.compressed_domain.contexts import EVEN, PassItems, Tables, items_of
from heliograph.strategies.compressed_domain.fields import Field, Whole
from heliograph.strategies.compressed_domain.scan import Pass, Scan, truth

_SPARE_BYTES = 8
"""Coded beyond a bound, so that no carry into what is kept is missed."""


def encode(pictures: Sequence[Coefficients], tables: Tables, max_bytes: int | None = None) -> tuple[int, bytes]:
    """Grade of the first pass that finds anything, and the codeword.

    Args:
        pictures: of one photo, all of one quality.
        tables: of both ends.
        max_bytes: where the codeword is cut.
    """
    scan = Scan([one.shape for one in pictures], pictures[0].quality)
    values = [[truth(one, component) for component in range(COMPONENTS)] for one in pictures]
    passes = scan.passes()
    first = next((n for n, one in enumerate(passes) if _finds(scan, one, _of(values, one))), None)
    if first is None:
        return 0, b""
    grade = passes[first].grade
    encoder = RunEncoder()
    enough = None if max_bytes is None else max_bytes + _SPARE_BYTES
    for one, field, items in walk(scan, passes, grade, tables):
        own = _of(values, one)[items.cells]
        ones = np.flatnonzero(np.abs(own) >> one.plane & 1)
        negative = own[ones] < 0
        chances = np.where(ones < items.fresh, EVEN, 0).tolist()
        encoder.encode_pass(items.runs, ones, chances, negative.tolist(), enough)
        if enough is not None and encoder.bytes_out > enough:
            break
        take(field, one, items, len(items.cells), ones, negative)
    return grade, encoder.finish()[:max_bytes]


def decode(
    shapes: Sequence[PictureShape], quality: int, grade: int, data: bytes, tables: Tables
) -> tuple[Coefficients, ...]:
    """What a codeword, or its beginning, tells of every picture.

    Args:
        shapes: of the pictures.
        quality: 1 to 100.
        grade: of the first pass.
        data: the codeword.
        tables: of both ends.
    """
    scan = Scan(shapes, quality)
    decoder = RunDecoder(data)
    for one, field, items in walk(scan, scan.passes(), grade, tables):
        found = decoder.decode_pass(items.runs, items.sign_chances())
        take(field, one, items, found.done, np.asarray(found.ones, np.int64), np.asarray(found.negative, np.bool_))
        if decoder.ended:
            break
    return scan.coefficients()


def walk(scan: Scan, passes: Sequence[Pass], grade: int, tables: Tables) -> Iterator[tuple[Pass, Field, PassItems]]:
    """Every pass from a grade on; what it tells must be taken in before the next one is asked for."""
    for one in passes:
        if one.grade <= grade:
            yield one, scan.field(one), items_of(scan, one, tables)


def take(field: Field, one: Pass, items: PassItems, done: int, ones: Whole, negative: np.ndarray) -> None:
    """Take in the first ``done`` bits of a pass."""
    coded = items.cells[:done]
    found = items.cells[ones]
    fresh = ones < items.fresh
    field.plane[coded] = one.plane
    field.known[found] += 1 << one.plane
    field.negative[found[fresh]] = negative[fresh]
    field.refresh(coded)


def _of(values: Sequence[Sequence[tuple[Whole, Whole]]], one: Pass) -> Whole:
    return values[one.picture][one.component][one.field]


def _finds(scan: Scan, one: Pass, values: Whole) -> bool:
    return bool((np.abs(values[scan.field(one).cells(one.band, one.part)]) >> one.plane).any())
