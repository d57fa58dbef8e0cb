"""Every bound of a server is an option of ``serve``, and the table says what is true."""

from dataclasses import fields

import pytest

from heliograph.cli.command import byte_size, room_size
from heliograph.cli.main import build_parser, main
from heliograph.cli.options.limits import GROUPS, chosen_limits
from heliograph.serving.shared import Limits

OPTIONS = [option for options in GROUPS.values() for option in options]


def test_no_bound_is_without_an_option_and_none_is_made_up():
    assert sorted(option.field for option in OPTIONS) == sorted(field.name for field in fields(Limits))


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.field)
def test_the_default_that_help_shows_is_the_default(option):
    shown = None if option.default is None else option.type(option.default)
    assert shown == getattr(Limits(), option.field)


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.field)
def test_an_option_sets_its_bound_and_nothing_else(option):
    parser, _ = build_parser("serve")
    value = 64 << 10 if option.type is room_size else 1
    chosen = chosen_limits(parser.parse_args(["serve", option.flag, str(value)]))
    changed = {field.name for field in fields(Limits) if getattr(chosen, field.name) != getattr(Limits(), field.name)}
    assert changed == {option.field}
    assert getattr(chosen, option.field) == value


def test_without_options_the_bounds_are_the_servers_own():
    parser, _ = build_parser("serve")
    assert chosen_limits(parser.parse_args(["serve"])) == Limits()


@pytest.mark.parametrize("option", OPTIONS, ids=lambda option: option.field)
@pytest.mark.parametrize("value", ["-1", "nan", "inf", "", "x", "1e99"])
def test_a_value_that_is_none_is_refused(option, value, capsys):
    assert main(["serve", f"{option.flag}={value}"]) == 2
    assert option.flag in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("1000", 1000), ("64K", 65536), ("512M", 512 << 20), ("2g", 2 << 30)]
)
def test_sizes_have_units(text, size):
    assert byte_size(text) == size


@pytest.mark.parametrize("text", ["", "K", "1T", "1.5M", "-1M", "1 MB", "9999999G"])
def test_a_size_that_is_none_is_refused(text, capsys):
    assert main(["serve", f"--max-held-bytes={text}"]) == 2
    assert "--max-held-bytes" in capsys.readouterr().err
