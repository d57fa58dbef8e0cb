"""Whether a device of this machine gets a greeting from a server."""

from __future__ import annotations

import argparse
import asyncio
from dataclasses import dataclass

from heliograph.cli.command import EXIT_DONE
from heliograph.cli.doctor.abilities import NO, UNTRIED, YES, Ability
from heliograph.cli.failures import failure_of
from heliograph.cli.links import opener_of
from heliograph.cli.options.key import first_key
from heliograph.cli.options.photo import open_bundle
from heliograph.cli.text import milliseconds
from heliograph.clock import now_s
from heliograph.errors import BundleDamagedError, HeliographError, TimedOutError

DEFAULT_TIMEOUT_S = 10.0
REACH = "reach a server"


@dataclass(frozen=True)
class Reached:
    """What came of trying.

    Attributes:
        ability: for people.
        exit_code: of what kept the device from it; 0 where nothing did, or nobody tried.
    """

    ability: Ability
    exit_code: int = EXIT_DONE


def reach(arguments: argparse.Namespace) -> Reached:
    """Greet the server that the arguments name, as ``ask`` would, and take leave again.

    Raises:
        UsageError, TokenFileError, KeyFileError, TlsFilesError, FileUnreadableError: arguments that are of no use.
    """
    if arguments.server is None:
        return Reached(Ability(REACH, UNTRIED, "heliograph doctor --server URL tries it"))
    try:
        opener, token = opener_of(arguments)
        from heliograph.edge.greeting import greet
    except ModuleNotFoundError as error:
        return Reached(Ability(REACH, NO, f"{error.name} missing: pip install 'heliograph[edge]'"))
    bundle_hash, key = _bundle_hash(arguments), first_key(arguments)

    async def greeted() -> tuple[bytes, str]:
        try:
            async with asyncio.timeout(arguments.timeout):
                welcome = await greet(opener, bundle_hash, token, key)
        except TimeoutError as error:
            raise TimedOutError from error
        return welcome.bundle_hash, welcome.model_name

    begun_s = now_s()
    try:
        theirs, model = asyncio.run(greeted())
    except HeliographError as error:
        failure = failure_of(error, "doctor", arguments)
        return Reached(Ability(REACH, NO, f"{failure.name}: {failure.message}"), failure.exit_code)
    took = milliseconds(1000 * (now_s() - begun_s))
    return Reached(
        Ability(REACH, YES, f"{arguments.server} ({model or 'no model named'}, {took}){_fit(bundle_hash, theirs)}")
    )


def _fit(ours: bytes, theirs: bytes) -> str:
    if theirs and ours == theirs:
        return ""
    return "; it holds another bundle than this device, so only pictures can be sent: --strategy webp"


def _bundle_hash(arguments: argparse.Namespace) -> bytes:
    """The hash of the device's bundle; empty where it cannot be opened, which another line of the report says."""
    try:
        return open_bundle(arguments.bundle).hash
    except (BundleDamagedError, ImportError):
        return b""
