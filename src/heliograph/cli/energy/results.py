"""Joules from a published suite: its mean bytes and processor times on a radio and a board, per question and per answer
that is right or agrees."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from heliograph.energy.model import Estimate, estimate
from heliograph.energy.radios import Board, Radio
from heliograph.errors import FileUnreadableError
from heliograph.reading.json_values import read_json_object
from heliograph.reasons import FileFault

_SCHEMA = 2
_MAX_BYTES = 64 << 20
_ALL = "all"
_MS_PER_S = 1e3


@dataclass(frozen=True)
class Published:
    """One row of a suite on a radio and a board.

    Attributes:
        estimate: of one question.
        strategy, setting: what was run.
        payload_bytes: mean.
        agreement: share of answers as from the uncompressed photo.
        accuracy: share of right answers; None where no right answer is known.
    """

    estimate: Estimate
    strategy: str
    setting: str
    payload_bytes: float
    agreement: float
    accuracy: float | None

    @property
    def counted(self) -> float:
        """Share of questions whose answer is good: the right ones, where they are known, else those that agree."""
        return self.agreement if self.accuracy is None else self.accuracy


def cheapest_settings(
    path: Path, radio: Radio, board: Board, *, agreement: float, slower: float, wait_s: float
) -> tuple[str, list[Published]]:
    """The suite's name, and of each of its strategies the setting of the fewest modelled joules that agrees enough.

    Args:
        path: ``results.json`` of a suite, or a published one.
        radio, board: where it is put.
        agreement: least share of answers as from the uncompressed photo, 0 to 1.
        slower: how many times as long as the suite's machine this board computes.
        wait_s: for the answer.

    Raises:
        FileUnreadableError: no results, or none that say bytes and processor time of what agrees so often.
    """
    data = read_json_object(path, max_bytes=_MAX_BYTES)
    rows = data.get("rows")
    if data.get("schema") != _SCHEMA or not isinstance(rows, list) or not isinstance(data.get("suite"), str):
        raise _wrong(path, FileFault.CONTENT, f"no results of a suite of schema {_SCHEMA}")
    if not all(isinstance(row, dict) for row in rows):
        raise _wrong(path, FileFault.CONTENT, "a row is no object")
    tasks = {str(row.get("task")) for row in rows if row.get("link_mbit") is None}
    task = tasks.pop() if len(tasks) == 1 else _ALL
    best: dict[str, Published] = {}
    for row in rows:
        if row.get("link_mbit") is not None or str(row.get("task")) != task:
            continue
        found = _published(path, row, radio, board, slower, wait_s)
        if found is None or found.agreement < agreement:
            continue
        before = best.get(found.strategy)
        if before is None or found.estimate.total.centre < before.estimate.total.centre:
            best[found.strategy] = found
    if not best:
        raise _wrong(
            path, FileFault.EMPTY, f"no strategy with bytes and processor time agrees in {agreement:.0%} of the answers"
        )
    return str(data["suite"]), list(best.values())


def _published(
    path: Path, row: dict[str, Any], radio: Radio, board: Board, slower: float, wait_s: float
) -> Published | None:
    """None where bytes, processor time or agreement are not known, or nothing is sent."""
    sent = _number(path, row, "wire_bytes" if radio.websocket else "payload_bytes")
    payload, encode_ms = _number(path, row, "payload_bytes"), _number(path, row, "encode_ms")
    agreement, accuracy = _number(path, row, "agreement"), _number(path, row, "accuracy")
    if not sent or not payload or encode_ms is None or agreement is None:
        return None
    strategy, setting = str(row.get("strategy")), str(row.get("setting"))
    traffic = radio.of_bytes(math.ceil(sent))
    made = estimate(strategy, traffic, slower * encode_ms / _MS_PER_S, radio, board, wait_s)
    return Published(made, strategy, setting, payload, agreement, accuracy)


def _number(path: Path, row: dict[str, Any], key: str) -> float | None:
    value = row.get(key)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise _wrong(path, FileFault.CONTENT, f"{key} of a row must be a number from 0")
    return float(value)


def _wrong(path: Path, fault: FileFault, what: str) -> FileUnreadableError:
    return FileUnreadableError(fault).noted(f"{path}: {what}.")
