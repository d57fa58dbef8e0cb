"""``heliograph energy --results FILE``: what a published suite's strategies cost, per question and per good answer."""

from __future__ import annotations

import argparse

from heliograph.cli.command import EXIT_DONE, say
from heliograph.cli.energy import show
from heliograph.cli.energy.results import Published, cheapest_settings
from heliograph.cli.text import printable
from heliograph.energy.joules import Modelled
from heliograph.energy.radios import Board, Radio

DEFAULT_AGREEMENT = 0.9


def say_suite(arguments: argparse.Namespace, radio: Radio, board: Board) -> int:
    """Read the results, and say what they cost.

    Raises:
        FileUnreadableError: they are none, or nothing in them agrees often enough.
    """
    agreement = DEFAULT_AGREEMENT if arguments.agreement is None else arguments.agreement
    suite, rows = cheapest_settings(
        arguments.results, radio, board, agreement=agreement, slower=arguments.slower, wait_s=arguments.wait
    )
    rows.sort(key=lambda row: row.estimate.total.centre)
    estimates = [row.estimate for row in rows]
    columns = {
        "setting": [printable(row.setting) for row in rows],
        "agreement": [f"{row.agreement:.1%}" for row in rows],
        "right": ["-" if row.accuracy is None else f"{row.accuracy:.1%}" for row in rows],
        "J per good answer": [show.band(_per_answer(row)) for row in rows],
    }
    sent = "wire bytes of both directions" if radio.websocket else "payload bytes alone, without question and frames"
    lines = [
        *show.head_lines(radio, board, arguments.wait, arguments.slower, measured_on="the suite's machine"),
        f"suite {printable(suite)}: of each strategy the setting of the fewest joules that agrees in {agreement:.0%}; "
        f"means, {sent}",
        "a good answer is a right one, or where nobody knows the right ones one as from the whole photo",
        "",
        show.estimates_table(estimates, columns),
        "",
        *show.order_lines(estimates, radio, board),
    ]
    if arguments.sources:
        lines += ["", show.constants_table(show.constants_of(estimates))]
    facts = {
        "suite": suite,
        "agreement": agreement,
        "strategies": [
            {
                "strategy": row.strategy,
                "setting": row.setting,
                "payload_bytes": row.payload_bytes,
                "agreement": row.agreement,
                "accuracy": row.accuracy,
                **show.estimate_data(row.estimate),
                "joules_per_good_answer": show.modelled_data(_per_answer(row)),
            }
            for row in rows
        ],
        "wait_s": arguments.wait,
        "slower": arguments.slower,
        **show.shared_data(estimates, radio, board),
    }
    say(arguments, "\n".join(lines), facts)
    return EXIT_DONE


def _per_answer(row: Published) -> Modelled:
    joules = row.estimate.total
    return Modelled(*(one / row.counted for one in (joules.low, joules.centre, joules.high)))
