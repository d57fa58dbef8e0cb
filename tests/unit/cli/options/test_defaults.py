"""What help says an option defaults to is what it defaults to."""

from __future__ import annotations

import re

import pytest

from heliograph.cli.main import build_whole_parser

SHOWN = re.compile(r"\(default: ([\w.:/-]+)\)")


def numbers():
    """Options whose default is a number, and what their help shows of it."""
    for command in build_whole_parser()[1]:
        for action in command._actions:
            if isinstance(action.default, int | float) and not isinstance(action.default, bool) and action.help:
                yield pytest.param(action, id=f"{command.prog} {action.option_strings[-1]}")


@pytest.mark.parametrize("action", list(numbers()))
def test_help_shows_the_number_that_is_used(action):
    shown = SHOWN.search(action.help)
    assert shown is not None, action.help
    assert action.type(shown[1]) == action.default
