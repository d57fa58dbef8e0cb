"""``ask``'s options on the question: when its stream stops, whether the cloud may look at a region of the original, how
long its answer may be."""

from __future__ import annotations

import argparse

from heliograph.cli.command import answer_tokens, share
from heliograph.errors import UsageError
from heliograph.protocol.wire_ids import CONFIDENCE_WIRE_IDS, CONTROLLER_WIRE_IDS, REGION_WIRE_IDS
from heliograph.question import (
    COMBINED,
    DEFAULT_ANSWER_TOKENS,
    FIXED,
    MAX_ANSWER_TOKENS,
    MAX_QUESTION_CHARACTERS,
    NO_LIMIT,
    NO_REGION,
    Question,
)

QUESTION_LENGTH = f"1 to {MAX_QUESTION_CHARACTERS} characters"
"""Help of QUESTION."""


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
        help="energy: share of token energy to retain; push, pull, level: share of answers equal to the whole photo's",
    )
    parser.add_argument(
        "--confidence",
        choices=CONFIDENCE_WIRE_IDS.names(),
        help="confidence measure that push goes by (default: combined)",
    )
    parser.add_argument(
        "--region",
        choices=REGION_WIRE_IDS.names(),
        default=NO_REGION,
        help="when the cloud may ask for a region of the original (default: never)",
    )


def add_length_option(parser: argparse.ArgumentParser) -> None:
    """--max-tokens."""
    parser.add_argument(
        "--max-tokens",
        metavar="N",
        type=answer_tokens,
        default=DEFAULT_ANSWER_TOKENS,
        help=f"longest answer, 1 to {MAX_ANSWER_TOKENS} tokens (default: {DEFAULT_ANSWER_TOKENS})",
    )


def question_from(arguments: argparse.Namespace) -> Question:
    """The question of the command line. With ``--budget`` the device ends the stream by itself.

    Raises:
        UsageError: options that do not go together.
        QuestionEmptyError, QuestionTooLongError: the text's length.
    """
    from heliograph.controllers.base import share_code

    controller = arguments.controller
    target = None if arguments.target is None else share_code(arguments.target)
    if arguments.budget is not None:
        for option in ("controller", "target", "confidence"):
            if getattr(arguments, option) is not None:
                raise UsageError().noted(
                    f"--budget {arguments.budget} says when the stream ends: leave out --{option}."
                )
        controller, target = FIXED, NO_LIMIT
    return Question(
        arguments.question,
        controller=controller,
        target=target,
        confidence=arguments.confidence or COMBINED,
        region=arguments.region,
        max_answer_tokens=arguments.max_tokens,
    )
