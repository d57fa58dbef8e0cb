"""Every bound of a server is an option of ``serve``; what help says of it is what the server does."""

import re
from dataclasses import fields

import pytest

from heliograph.cli.command import byte_size
from heliograph.cli.main import build_parser, main
from heliograph.cli.options.limits import chosen_limits, flag
from heliograph.serving.limits import Limits, Unit, bounds
from processes import run_python


@pytest.mark.parametrize("bound", bounds(), ids=lambda bound: bound.name)
def test_the_default_that_help_shows_is_the_default(bound, capsys):
    assert main(["serve", "--help"]) == 0
    help_text = " ".join(capsys.readouterr().out.split())
    shown = re.search(rf"{flag(bound)} [A-Z]+ [^()]*(?:\([^)]*\)[^()]*)*?\(default: ([^)]*)\)", help_text)
    assert shown is not None
    if shown[1] == "no bound":
        assert getattr(Limits(), bound.name) is None
        return
    parser, _ = build_parser("serve")
    assert chosen_limits(parser.parse_args(["serve", flag(bound), shown[1]])) == Limits()


@pytest.mark.parametrize("bound", bounds(), ids=lambda bound: bound.name)
def test_an_option_sets_its_bound_and_nothing_else(bound):
    parser, _ = build_parser("serve")
    value = 64 << 10 if bound.unit is Unit.ROOM else 2 if getattr(Limits(), bound.name) == 1 else 1
    chosen = chosen_limits(parser.parse_args(["serve", flag(bound), str(value)]))
    changed = {field.name for field in fields(Limits) if getattr(chosen, field.name) != getattr(Limits(), field.name)}
    assert changed == {bound.name}
    assert getattr(chosen, bound.name) == value


def test_without_options_the_bounds_are_the_servers_own():
    parser, _ = build_parser("serve")
    assert chosen_limits(parser.parse_args(["serve"])) == Limits()


def test_the_table_is_read_without_a_server():
    heavy = "{'numpy', 'asyncio', 'starlette'}"
    script = f"import sys, heliograph.serving.limits; sys.exit(bool({heavy} & set(sys.modules)))"
    assert run_python("-c", script, check=False).returncode == 0


@pytest.mark.parametrize("bound", bounds(), ids=lambda bound: bound.name)
@pytest.mark.parametrize("value", ["-1", "nan", "inf", "", "x", "1e99"])
def test_a_value_that_is_none_is_refused(bound, value, capsys):
    assert main(["serve", f"{flag(bound)}={value}"]) == 2
    assert flag(bound) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "size"), [("0", 0), ("1000", 1000), ("64K", 65536), ("512M", 512 << 20), ("2g", 2 << 30)]
)
def test_sizes_have_units(text, size):
    assert byte_size(text) == size


@pytest.mark.parametrize("text", ["", "K", "1T", "1.5M", "-1M", "1 MB", "9999999G"])
def test_a_size_that_is_none_is_refused(text, capsys):
    assert main(["serve", f"--max-held-bytes={text}"]) == 2
    assert "--max-held-bytes" in capsys.readouterr().err
