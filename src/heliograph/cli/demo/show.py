"""The exchanges of ``heliograph demo``: the live stream, the same stream cut short, and every strategy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.cli.links import connection_opener
from heliograph.edge.client import DeviceClient
from heliograph.edge.progress import OnProgress
from heliograph.edge.report import AskReport, Draft
from heliograph.errors import HeliographError
from heliograph.question import FIXED, NO_LIMIT, Question
from heliograph.strategies.base import Family, Kind, Setting, label
from heliograph.strategies.selection import strategies_for, strategies_with, strategy_class

if TYPE_CHECKING:
    from heliograph.edge.device import Device
    from heliograph.transport.links import LinkProfile

CUTS = (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)
"""Payload bytes at which the stream is cut to see what the cloud makes of so little."""

_SMALL_QUALITY = 50
_REPEATED_BELOW_MS = 5000.0  # beyond it the link alone decides, and repeating takes minutes


@dataclass(frozen=True)
class Row:
    """One strategy's exchange on a fresh connection: of the repetitions, the one with the median time. All measured.

    Attributes:
        strategy, setting: what was run.
        payload_bytes: header and segments.
        wire_bytes: everything on the connection in both directions, its handshake included.
        encode_ms: loading and encoding the photo.
        draft_ms, final_ms: from the question to the first draft and to the final answer, opening included.
        error: name of what went wrong, else None.
    """

    strategy: str
    setting: str
    payload_bytes: int = 0
    wire_bytes: int = 0
    encode_ms: float = 0.0
    draft_ms: float = 0.0
    final_ms: float = 0.0
    answer: str = ""
    confidence: float = 0.0
    error: str | None = None

    @property
    def label(self) -> str:
        """``webp size=128,quality=50``; plain pictures are never without their knobs, others only at their default."""
        plain = self.setting == label(strategy_class(self.strategy).default_setting)
        plain = plain and not _is_plain_picture(self.strategy)
        return self.strategy if plain else f"{self.strategy} {self.setting}"


@dataclass(frozen=True)
class Show:
    """One photo and one question against one cloud.

    Attributes:
        url: of the cloud.
        link: to imitate.
        timeout_s: for one exchange.
    """

    url: str
    device: Device
    photo: Path
    question: str
    link: LinkProfile
    timeout_s: float

    async def warm_up(self) -> None:
        """One unmeasured exchange of each kind, so that loading engines is not counted as anybody's time."""
        pictures, own = strategies_with(tuned=True), strategies_with(kind=Kind.LOCAL)
        for strategy in (self.device.preferred_strategy, pictures[0], own[0]):
            try:
                async with self._client(shaped=False) as client:
                    await self._ask(client, strategy, {})
            except HeliographError:
                continue  # its row will say what is wrong

    async def stream(
        self, on_draft: Callable[[Draft], None], on_progress: OnProgress | None = None
    ) -> tuple[Draft, ...]:
        """The whole progressive stream; drafts as they arrive, the last one is the final answer."""
        async with self._client() as client:
            report = await self._ask(client, None, {}, on_draft, on_progress, whole=True)
        final = _as_draft(report)
        on_draft(final)
        return (*report.drafts, final)

    async def cuts(self, whole_bytes: int, on_draft: Callable[[Draft], None]) -> tuple[Draft, ...]:
        """What the cloud answers from the first bytes of the stream alone; each cut an exchange on one connection."""
        found = []
        async with self._client() as client:
            for budget in (cut for cut in CUTS if cut < whole_bytes):
                report = await self._ask(client, None, {"max_bytes": budget}, whole=True)
                found.append(_as_draft(report))
                on_draft(found[-1])
        return tuple(found)

    async def row(self, strategy: str, setting: Setting, repeat: int) -> Row:
        """One strategy at one setting, ``repeat`` times; an exchange of more than five seconds once."""
        reports = []
        try:
            for _ in range(repeat):
                async with self._client() as client:
                    reports.append(await self._ask(client, strategy, setting))
                if reports[-1].final_ms > _REPEATED_BELOW_MS:
                    break
        except HeliographError as error:
            return Row(strategy, label(setting), error=error.name)
        report = sorted(reports, key=lambda one: one.final_ms)[len(reports) // 2]
        return Row(
            strategy,
            label(setting),
            report.payload_bytes,
            report.wire_bytes,
            report.encode_ms,
            report.first_draft_ms,
            report.final_ms,
            report.answer,
            report.confidence,
        )

    def _client(self, shaped: bool = True) -> DeviceClient:
        return DeviceClient(connection_opener(self.url, link=self.link if shaped else None), self.device)

    async def _ask(
        self,
        client: DeviceClient,
        strategy: str | None,
        setting: Setting,
        on_draft: Callable[[Draft], None] | None = None,
        on_progress: OnProgress | None = None,
        *,
        whole: bool = False,
    ) -> AskReport:
        asked = Question(self.question, FIXED, NO_LIMIT) if whole else Question(self.question)
        return await client.ask(
            self.photo,
            asked,
            strategy=strategy,
            setting=setting,
            timeout_s=self.timeout_s,
            on_draft=on_draft,
            on_progress=on_progress,
        )


def _as_draft(report: AskReport) -> Draft:
    return Draft(report.final_ms, report.payload_bytes, report.confidence, report.answer)


def demo_settings(input_size: int, codec_kinds: Sequence[str]) -> list[tuple[str, Setting]]:
    """Every strategy at its default; plain pictures also at the side that the model looks at.

    Codecs that the bundle does not hold are passed over.
    """
    chosen: list[tuple[str, Setting]] = []
    for name in strategies_for(codec_kinds):
        chosen.append((name, dict(strategy_class(name).default_setting)))
        if _is_plain_picture(name):
            chosen.append((name, {"size": input_size, "quality": _SMALL_QUALITY}))
    return chosen


def _is_plain_picture(name: str) -> bool:
    """Whether a strategy is a picture codec that knows size and quality alone."""
    strategy = strategy_class(name)
    return strategy.tuned and strategy.family is Family.BASELINE
