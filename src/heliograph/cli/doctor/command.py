"""``heliograph doctor``: what this machine can do, whether it reaches a server, and what is missing for the rest."""

from __future__ import annotations

import argparse
import os
from dataclasses import asdict

from heliograph.cli.command import EXIT_DONE, Command, port, say, seconds
from heliograph.cli.doctor.abilities import ENCODE, NO, UNTRIED, YES, Ability, abilities_from
from heliograph.cli.doctor.checks import OK, Check, checks_of_care, checks_of_use
from heliograph.cli.doctor.server import DEFAULT_TIMEOUT_S, reach
from heliograph.cli.links import add_connection_options
from heliograph.cli.options.key import add_key_option
from heliograph.cli.options.logs import is_verbose
from heliograph.cli.options.photo import add_bundle_option
from heliograph.cli.text import printable, table
from heliograph.config import DEFAULT_PORT, SERVER_VARIABLE
from heliograph.exit_codes import ExitCode

_ANSWERS = {YES: "yes", NO: "no", UNTRIED: "not tried"}


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    add_bundle_option(parser)
    parser.add_argument(
        "--server",
        metavar="URL",
        help=f"try to reach this server, as ask would (default: ${SERVER_VARIABLE}, else none)",
    )
    add_connection_options(parser)
    add_key_option(parser, "key that the server holds too, in hex")
    parser.add_argument(
        "--timeout",
        metavar="SECONDS",
        type=seconds,
        default=DEFAULT_TIMEOUT_S,
        help=f"for reaching the server (default: {DEFAULT_TIMEOUT_S:g})",
    )
    parser.add_argument(
        "--port", type=port, default=DEFAULT_PORT, help=f"with -v: port to look at (default: {DEFAULT_PORT})"
    )
    parser.add_argument("--vlms", action="store_true", help="list the model families that the tap fits, and no more")
    parser.set_defaults(link=None)


def _run(arguments: argparse.Namespace) -> int:
    if arguments.vlms:
        return _list_families(arguments)
    asked_for = arguments.server is not None
    arguments.server = arguments.server or os.environ.get(SERVER_VARIABLE)
    checks = list(checks_of_use(arguments.bundle))
    abilities = abilities_from(checks)
    server = reach(arguments)
    abilities.insert(abilities.index(_named(abilities, ENCODE)) + 1, server.ability)
    healthy = all(check.status == OK for check in checks if check.needed)
    if is_verbose(arguments) or arguments.json:
        checks += checks_of_care(arguments.bundle, arguments.port)
    facts = {
        "healthy": healthy,
        "abilities": [asdict(ability) for ability in abilities],
        "checks": [asdict(check) for check in checks],
    }
    shown = checks if is_verbose(arguments) else []
    say(arguments, _text(abilities, shown, healthy=healthy, reached=server.exit_code == EXIT_DONE), facts)
    if not healthy:
        return int(ExitCode.INTERNAL)
    return server.exit_code if asked_for else EXIT_DONE


def _named(abilities: list[Ability], name: str) -> Ability:
    return next(ability for ability in abilities if ability.name == name)


def _text(abilities: list[Ability], checks: list[Check], *, healthy: bool, reached: bool) -> str:
    rows = [[ability.name, _ANSWERS[ability.works], printable(ability.found)] for ability in abilities]
    parts = [table(["can this machine", "", "found"], rows, left=(0, 1, 2))]
    if checks:
        lines = [[c.name, c.status, "yes" if c.needed else "", printable(c.detail)] for c in checks]
        parts.append(table(["what", "status", "needed", "found"], lines, left=(0, 1, 2, 3)))
    if not healthy:
        return "\n\n".join([*parts, "Something that a device needs does not work."])
    server = "." if reached else ", but it does not reach the server."
    return "\n\n".join([*parts, f"Everything that a device needs works here{server}"])


def _list_families(arguments: argparse.Namespace) -> int:
    """What the contract of the tap found when it was last run over all families."""
    from heliograph.vlm.families.records import read_records

    records = read_records()
    rows = [
        [r["kind"], printable(r["outcome"]), "" if r["tokens"] is None else "{} x {}".format(*r["tokens"])]
        for r in records.families
    ]
    exact = sum(r["outcome"] == "exact" for r in records.families)
    text = table(["family", "outcome", "tokens"], rows, left=(0, 1))
    summary = f"{exact} of {len(rows)} families of transformers {records.transformers} are exact."
    say(arguments, f"{text}\n\n{summary}", asdict(records))
    return EXIT_DONE


COMMAND = Command(
    add_arguments=_add_arguments,
    run=_run,
    description=(
        "Say what this machine can do (encode a photo, reach a server, answer by itself, serve, train, measure), and\n"
        "what is missing for what it cannot. One photo is encoded for it. Exit code 1 if something that a device\n"
        "needs does not work; else that of what keeps it from the server which --server names, 4 in most cases.\n"
        "With --verbose all that was looked at is listed too."
    ),
    examples=(
        "heliograph doctor",
        "heliograph doctor --server wss://cloud.example:8765 --token-file token.txt",
        "heliograph doctor --bundle bundle --verbose",
        "heliograph doctor --vlms",
    ),
)
