"""``ask``'s options on when the stream stops, and whether the cloud may look at a region of the original."""

from __future__ import annotations

import argparse
from typing import Any

from heliograph.cli.command import share
from heliograph.errors import UsageError
from heliograph.protocol.wire_ids import CONFIDENCE_WIRE_IDS, CONTROLLER_WIRE_IDS, REGION_WIRE_IDS

_NO_LIMIT = 0
_ENERGY = "energy"
NO_REGION = "never"


def add_stop_options(parser: argparse.ArgumentParser) -> None:
    """--controller, --confidence, --target and --region."""
    parser.add_argument(
        "--controller",
        choices=CONTROLLER_WIRE_IDS.names(),
        help="what stops the stream (default: push where the bundle holds a calibration, else energy)",
    )
    parser.add_argument(
        "--target",
        metavar="SHARE",
        type=share,
        help="for energy the share of token energy to retain, for push and pull of answers as from the whole photo",
    )
    parser.add_argument(
        "--confidence", choices=CONFIDENCE_WIRE_IDS.names(), help="what push judges an answer by (default: combined)"
    )
    parser.add_argument(
        "--region",
        choices=REGION_WIRE_IDS.names(),
        default=NO_REGION,
        help="when the cloud may ask for a region of the original (default: never)",
    )


def stop_wish(arguments: argparse.Namespace) -> dict[str, Any]:
    """Keyword arguments of ``DeviceClient.ask``: a byte budget that the device keeps by itself, or a controller.

    Raises:
        UsageError: options that do not go together.
    """
    from heliograph.controllers.base import share_code

    wish: dict[str, Any] = {"region": arguments.region}
    if arguments.budget is not None:
        for option in ("controller", "target", "confidence"):
            if getattr(arguments, option) is not None:
                raise UsageError().noted(
                    f"--budget {arguments.budget} says when the stream ends: leave out --{option}."
                )
        return wish | {"controller": "fixed", "target": _NO_LIMIT}
    if arguments.target is not None:
        wish |= {"controller": arguments.controller or _ENERGY, "target": share_code(arguments.target)}
    elif arguments.controller is not None:
        wish |= {"controller": arguments.controller}
    if arguments.confidence is not None:
        wish |= {"confidence": arguments.confidence}
    return wish
