"""Many answers when all questions are there from the beginning."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from heliograph.vlm.contract import BatchRequest

if TYPE_CHECKING:
    from heliograph.types import Answer
    from heliograph.vlm.contract import AnsweringModel, ImageInput

MAX_POSITIONS = 1 << 14
"""Of all rows at a time: beyond this the cache no longer fits a processor's and speed falls."""


def answered(
    model: AnsweringModel, asked: Sequence[tuple[str, Sequence[ImageInput]]], max_new_tokens: int
) -> list[Answer]:
    """Answers to (question, images) pairs, in order; those that share the same image objects share one pass over them.

    Raises:
        HeliographError: of the first pair that cannot be answered.
    """
    requests = [BatchRequest(question, tuple(images), None, max_new_tokens) for question, images in asked]
    batch = model.open_batch(MAX_POSITIONS) if len(requests) > 1 else None
    if batch is None:
        return [model.answer(one.question, one.images, max_new_tokens=max_new_tokens) for one in requests]
    waiting = list(_neighbours(requests))[::-1]
    made: dict[BatchRequest, Answer] = {}
    while waiting or len(batch):
        while waiting and batch.fits(waiting[-1]):
            batch.admit(waiting.pop())
        for one in batch.step():
            if one.verified is None:
                raise one.error or AssertionError
            made[one.request] = one.verified.answer
    return [made[one] for one in requests]


def _neighbours(requests: Sequence[BatchRequest]) -> Iterator[BatchRequest]:
    """The same, with those about the same images one after another."""
    groups: dict[tuple[int, ...], list[BatchRequest]] = {}
    for one in requests:
        groups.setdefault(tuple(id(image) for image in one.images), []).append(one)
    for group in groups.values():
        yield from group
