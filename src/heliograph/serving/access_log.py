"""The access log: one line per question that has ended, for whoever runs the server.

A line says who asked, what arrived, how long it took and how it ended. Texts of questions and answers are in it only
where the operator wants them; nothing of a photo ever is.
"""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass

from heliograph.protocol.events import QuestionAsked
from heliograph.serving.desk.photo import Photo

log = logging.getLogger("heliograph.access")

ANSWERED, ABANDONED = "answered", "abandoned"
_LABEL_DIGITS = 8
_MS_PER_S = 1e3


def token_label(owner: bytes) -> str:
    """What stands for an access token in the log: the first digits of :func:`heliograph.protocol.access.owner_of`."""
    return owner.hex()[:_LABEL_DIGITS]


@dataclass(frozen=True)
class Visitor:
    """Who asks.

    Attributes:
        address: of the device; empty where the transport cannot tell.
        token: label of its access token; empty where none is needed.
    """

    address: str = ""
    token: str = ""


@dataclass(frozen=True)
class AccessLog:
    """Writes the lines, at level ``INFO`` of the logger ``heliograph.access``.

    Attributes:
        with_texts: questions and answers are to be in it.
    """

    with_texts: bool = False

    def question_ended(
        self,
        visitor: Visitor,
        asked: QuestionAsked,
        outcome: str,
        seconds: float,
        photo: Photo | None = None,
        answer: str | None = None,
    ) -> None:
        """Write the line of one question.

        Args:
            visitor: who has asked it.
            asked: as it came.
            outcome: ``answered``, ``abandoned`` (the device is gone), ``cancelled``, ``photo_gone``, or a name of
                an error.
            seconds: since it was asked.
            photo: what has arrived of it; None where it is not held.
            answer: the final one, if there is one.
        """
        if not log.isEnabledFor(logging.INFO):
            return
        facts: dict[str, str | int] = {"address": visitor.address or "-", "token": visitor.token or "-"}
        if photo is not None:
            facts |= {"strategy": photo.strategy, "payload_bytes": photo.payload_bytes, "segments": len(photo)}
        facts |= {"ms": round(seconds * _MS_PER_S), "outcome": outcome}
        if self.with_texts:
            facts |= {"question": asked.question.text} | ({} if answer is None else {"answer": answer})
        text = " ".join(f"{name}={_quoted(value)}" for name, value in facts.items())
        log.info("%s", text, extra={"facts": facts})


def _quoted(value: str | int) -> str:
    """The text as it is; in quotes and ASCII where a reader could not tell where it ends."""
    text = str(value)
    return text if text.isascii() and text.isprintable() and not set(text) & set(' "=') else json.dumps(text)
