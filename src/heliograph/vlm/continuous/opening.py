"""How a model's class opens batches."""

from __future__ import annotations

from collections.abc import Callable
from weakref import WeakSet

from heliograph.vlm.causes import reason_of
from heliograph.vlm.checkpoint.weights import WeightCheck
from heliograph.vlm.continuous.engine import ContinuousBatch
from heliograph.vlm.continuous.forward import PackedForward
from heliograph.vlm.continuous.rows import RowSource


class BatchOpener:
    """Opens batches of one model; whether it can is looked at when somebody first asks.

    Args:
        first: makes the source of rows and the passes.
        weights: of the model.

    Raises:
        (by ``first``) ModelUnsupportedError: it can only be asked one question after the other.
    """

    def __init__(self, first: Callable[[], tuple[RowSource, PackedForward]], weights: WeightCheck) -> None:
        self._first, self._weights = first, weights
        self._made: tuple[RowSource, PackedForward] | None = None
        self._refused: str | None = None
        self._open = WeakSet[ContinuousBatch]()

    @property
    def refused(self) -> str | None:
        """Why there are no batches, for people; None where there are."""
        if self._made is None and self._refused is None:
            try:
                self._made = self._first()
            except Exception as error:  # foreign code may fail in any way on a first try
                self._refused = reason_of(error)
        return self._refused

    def make(self, capacity_tokens: int, prefill_tokens: int, shared_tokens: int) -> ContinuousBatch | None:
        """A batch, or None where :attr:`refused` says why not.

        Raises:
            UsageError: fewer than 1 position.
        """
        if self.refused is not None or self._made is None:
            return None
        batch = ContinuousBatch(*self._made, self._weights, capacity_tokens, prefill_tokens, shared_tokens)
        self._open.add(batch)
        return batch

    def forget(self) -> None:
        """Let open batches keep nothing of what has ended."""
        for batch in list(self._open):
            batch.forget()
