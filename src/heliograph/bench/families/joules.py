"""Joules of a device for one question, modelled with their bands, at the setting of each strategy that keeps 99 %."""

from __future__ import annotations

import math
from collections.abc import Sequence

from heliograph.bench.metrics import ALL
from heliograph.bench.numbers import number_text
from heliograph.bench.results import Row, Table
from heliograph.energy.constants import load_catalogue
from heliograph.energy.model import Estimate, estimate
from heliograph.energy.radios import Board, Radio, board_named, radio_named
from heliograph.energy.ranking import tiers

RADIOS = ("lorawan-sf7", "nb-iot", "lte", "wifi")
BOARD = "raspberry-pi-zero-2w"
_MS_PER_S = 1e3


def joules_table(rows: Sequence[Row], accuracy: float) -> tuple[Table, ...]:
    """One table: low to high joules on each radio, and which group of certainly fewer joules a strategy is in.

    Args:
        rows: of a suite.
        accuracy: that a setting must keep, 0 to 1.

    Returns:
        The table; nothing where no setting keeps it.
    """
    chosen = _cheapest(rows, accuracy)
    if not chosen:
        return ()
    catalogue = load_catalogue()
    board = board_named(catalogue, BOARD)
    columns = [_column(chosen, radio_named(catalogue, name), board) for name in RADIOS]
    body = tuple(
        (f"`{row.strategy}`", row.setting, *(cells[place] for cells in columns)) for place, row in enumerate(chosen)
    )
    title = (
        f"Joules of a question at 99 % of the uncompressed accuracy, low to high (modelled: {BOARD}, this machine's "
        "processor time); in brackets the group: every strategy of a group takes certainly fewer than later groups"
    )
    return (Table(title, ("strategy", "setting", *RADIOS), body),)


def _cheapest(rows: Sequence[Row], accuracy: float) -> list[Row]:
    """Each strategy's setting of the fewest bytes that keeps an accuracy and sends something, fewest first."""
    found: dict[str, Row] = {}
    known = [row for row in rows if row.task == ALL and row.link_mbit is None and row.payload_bytes and row.wire_bytes]
    for row in sorted(known, key=lambda one: one.payload_bytes or math.inf):
        if row.accuracy is not None and row.accuracy >= accuracy:
            found.setdefault(row.strategy, row)
    return list(found.values())


def _column(chosen: Sequence[Row], radio: Radio, board: Board) -> list[str]:
    """Cells of one radio, in the order of ``chosen``."""
    estimates = [_estimate(row, radio, board) for row in chosen]
    group = {one.name: number for number, tier in enumerate(tiers(estimates), start=1) for one in tier}
    return [f"{number_text(one.total.low)} to {number_text(one.total.high)} ({group[one.name]})" for one in estimates]


def _estimate(row: Row, radio: Radio, board: Board) -> Estimate:
    sent = row.wire_bytes if radio.websocket else row.payload_bytes
    traffic = radio.of_bytes(math.ceil(sent or 0))
    return estimate(row.strategy, traffic, (row.encode_ms or 0.0) / _MS_PER_S, radio, board)
