"""What is logged, in which form, and that nothing in a message can drive a terminal."""

from __future__ import annotations

import json
import logging
import re

import pytest

from heliograph.cli.main import COMMANDS, build_parser, main
from heliograph.cli.options.logs import LEVELS, set_up_logging

log = logging.getLogger("heliograph.test")


def set_up(*options: str) -> None:
    set_up_logging(build_parser("doctor")[0].parse_args(["doctor", *options]))


@pytest.fixture(autouse=True)
def as_before():
    yield
    set_up()


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_the_options(name, capsys):
    assert main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert all(option in shown for option in ("-v, --verbose", "--log-level", "--log-json"))


@pytest.mark.parametrize(
    ("options", "least"),
    [
        ([], "warning"),
        (["-v"], "info"),
        (["-vv"], "debug"),
        (["-v", "--verbose"], "debug"),
        (["--log-level", "error"], "error"),
        (["--log-level", "error", "-v"], "info"),
        (["-vv", "--log-level", "warning"], "warning"),
    ],
)
def test_the_least_level_that_is_logged(options, least, capsys):
    set_up(*options)
    for level in LEVELS:
        getattr(log, level)("at %s", level)
    expected = LEVELS[LEVELS.index(least) :]
    assert re.findall(r"at (\w+)", capsys.readouterr().err) == list(expected)


def test_libraries_stay_at_warnings(capsys):
    set_up("-vv")
    logging.getLogger("websockets.client").debug("> HTTP header with a token")
    logging.getLogger("another").info("secret")
    logging.getLogger("another").warning("heard")
    shown = capsys.readouterr().err
    assert "heard" in shown
    assert "token" not in shown
    assert "secret" not in shown


def test_a_line_has_time_level_and_name_and_no_control_characters(capsys):
    set_up("-v")
    log.info("from %s", "\x1b[2J\nforged: line\u202e")
    shown = capsys.readouterr().err
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z INFO heliograph\.test: .*\n", shown)
    assert "\\x1b[2J\\nforged: line\\u202e" in shown


def test_json_is_one_object_a_line_with_the_facts_of_a_record(capsys):
    set_up("-v", "--log-json")
    log.info("a\nb \u202e", extra={"facts": {"outcome": "answered", "ms": 3}})
    try:
        raise RuntimeError("inside")
    except RuntimeError:
        log.exception("failed")
    shown = capsys.readouterr().err
    assert shown.isascii()
    first, second = map(json.loads, shown.splitlines())
    assert first == {
        "time": first["time"],
        "level": "info",
        "logger": "heliograph.test",
        "message": "a\nb \u202e",
        "outcome": "answered",
        "ms": 3,
    }
    assert second["message"] == "failed"
    assert "RuntimeError: inside" in second["exception"]


def test_setting_up_twice_does_not_log_twice(capsys):
    set_up("-v")
    set_up("-v")
    log.info("once")
    assert capsys.readouterr().err.count("once") == 1


def test_questions_are_logged_only_where_the_access_log_is(capsys):
    assert main(["serve", "--log-questions"]) == 2
    assert "--log-questions needs -v" in capsys.readouterr().err
