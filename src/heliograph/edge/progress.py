"""How far a question has come before anything is heard: connecting, encoding, bytes of the photo that have left."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

_LOOK_EVERY_S = 0.1


@dataclass(frozen=True)
class SendingProgress:
    """A question on its way.

    Attributes:
        connecting: there is no connection, or none any more.
        encoding: the photo is being loaded and encoded.
        left_bytes: payload of the photo that has left this machine, its header included.
        total_bytes: payload that may leave for this question at most; None as long as that is not known.
    """

    connecting: bool
    encoding: bool
    left_bytes: int = 0
    total_bytes: int | None = None


OnProgress = Callable[[float, SendingProgress], None]
"""Called with the milliseconds since the question was asked and how far it is, whenever that has changed."""


@contextlib.asynccontextmanager
async def watched(
    look: Callable[[], SendingProgress], elapsed_ms: Callable[[], float], on_progress: OnProgress | None
) -> AsyncIterator[None]:
    """Report what ``look`` sees, ten times a second at most, as long as the body runs; nothing where nobody asks."""
    if on_progress is None:
        yield
        return
    report = on_progress

    async def watch() -> None:
        before: SendingProgress | None = None
        while True:
            now = look()
            if now != before:
                report(elapsed_ms(), now)
            before = now
            await asyncio.sleep(_LOOK_EVERY_S)

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await watching
