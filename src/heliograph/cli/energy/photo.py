"""``heliograph energy PHOTO QUESTION``: every strategy on one photo."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import Any

from heliograph.cli.command import EXIT_DONE, note, say
from heliograph.cli.demo.show import demo_settings
from heliograph.cli.energy import show
from heliograph.cli.energy.measure import Work, work_of
from heliograph.cli.options.photo import choose_setting, open_bundle, open_device, photo_named
from heliograph.cli.text import printable
from heliograph.edge.device import Device
from heliograph.edge.photos.file import load_photo
from heliograph.energy.meters import available_meters
from heliograph.energy.model import Estimate, estimate
from heliograph.energy.radios import Board, Radio
from heliograph.errors import HeliographError, UsageError
from heliograph.question import check_text
from heliograph.strategies.base import Kind, Setting, Strategy
from heliograph.strategies.selection import strategies_for, strategy_class

Choice = tuple[str, Setting | None]
"""A strategy, and its knobs; None for those that --setting and --budget ask for."""


def say_photo(arguments: argparse.Namespace, radio: Radio, board: Board) -> int:
    """Run them, and say what they cost.

    Raises:
        HeliographError: of the photo, the question, the bundle, or of a strategy that was named.
    """
    check_text(arguments.question)
    device, chosen = _chosen(arguments)
    with photo_named(arguments.photo):
        load_photo(arguments.photo)  # what is wrong with it is said once
        note(arguments, f"running {len(chosen)} strategies on {printable(str(arguments.photo))} ...")
        works = [_work(arguments, device, *choice) for choice in chosen]
    done = [work for work in works if work.error is None]
    estimates = [_estimate(arguments, work, radio, board) for work in done]
    failed = [{"strategy": work.strategy, "error": work.error} for work in works if work.error is not None]
    notes = list(available_meters().notes)
    facts: dict[str, Any] = {
        "strategies": [_data(work, one) for work, one in zip(done, estimates, strict=True)],
        "not_run": failed,
        "wait_s": arguments.wait,
        "slower": arguments.slower,
        **show.shared_data(estimates, radio, board),
        "no_meter": notes,
    }
    payload = {"payload B": [f"{work.payload_bytes:,}" for work in done]}
    lines = [
        *show.head_lines(radio, board, arguments.wait, arguments.slower),
        "",
        show.estimates_table(estimates, payload),
        "",
        *show.order_lines(estimates, radio, board),
        *(f"not run: {one['strategy']}: {one['error']}" for one in failed),
        *_measured_lines(done),
        *(f"not measured by {printable(one)}" for one in notes),
    ]
    if arguments.sources:
        lines += ["", show.constants_table(show.constants_of(estimates))]
    say(arguments, "\n".join(lines), facts)
    return EXIT_DONE


def _chosen(arguments: argparse.Namespace) -> tuple[Device, list[Choice]]:
    """The device, and the strategies that were named, else all that the bundle can run."""
    named: Sequence[str] = tuple(dict.fromkeys(arguments.strategy or ()))
    if arguments.setting and len(named) != 1:
        raise UsageError().noted("--setting needs one --strategy that it is for.")
    if named:
        opened = [open_device(arguments.bundle, name)[1] for name in named]
        return opened[0], [(name, None) for name in named]
    bundle = open_bundle(arguments.bundle)
    device = Device(bundle)
    if arguments.budget is not None:
        return device, [(name, None) for name in strategies_for(bundle.codec_kinds)]
    return device, [*demo_settings(device.input_size, bundle.codec_kinds)]


def _work(arguments: argparse.Namespace, device: Device, name: str, setting: Setting | None) -> Work:
    """One of them; one that was named on the command line must work."""
    try:
        strategy: Strategy = strategy_class(name)()
        if setting is None:
            setting = {} if strategy.kind is Kind.LOCAL else choose_setting(arguments, strategy, device)
        completed = strategy.complete_setting(setting)
        return work_of(device, arguments.photo, arguments.question, name, completed, arguments.repeat)
    except HeliographError as error:
        if arguments.strategy:
            raise
        return Work(name, "", error=error.name)


def _estimate(arguments: argparse.Namespace, work: Work, radio: Radio, board: Board) -> Estimate:
    processor_s = arguments.slower * work.processor_s
    return estimate(work.label, radio.on_air(work.messages), processor_s, radio, board, arguments.wait)


def _data(work: Work, one: Estimate) -> dict[str, Any]:
    return {
        "strategy": work.strategy,
        "setting": work.setting,
        "payload_bytes": work.payload_bytes,
        "messages": len(work.messages),
        **show.estimate_data(one),
        "measured_on_this_machine": show.measured_data(work.measured),
    }


def _measured_lines(works: Sequence[Work]) -> list[str]:
    return [
        f"measured on this machine, all that ran on it, per encoding: {work.label} {show.digits(one.joules)} J {domain}"
        for work in works
        for one in work.measured
        for domain in one.domains
    ]
