"""docs/configuration.md names every environment variable of the package, and its example is one that works."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import heliograph
from heliograph.cli.config_file import ConfigFile
from heliograph.cli.main import build_parser

PACKAGE = Path(heliograph.__file__).parent
PAGE = (Path(__file__).parents[2] / "docs" / "configuration.md").read_text(encoding="utf-8")
EXAMPLES = [tomllib.loads(text) for text in re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)]


def test_every_variable_of_the_source_is_on_the_page_and_no_other():
    source = {
        name
        for path in PACKAGE.rglob("*.py")
        for name in re.findall(r"\bHELIOGRAPH_[A-Z]+\b", path.read_text(encoding="utf-8"))
    }
    assert set(re.findall(r"^\| `(HELIOGRAPH_[A-Z]+)`", PAGE, re.MULTILINE)) == source


def test_variables_are_spelled_in_one_place():
    spelled = [
        path.name
        for path in PACKAGE.rglob("*.py")
        if re.search(r"\"HELIOGRAPH_[A-Z]+\"", path.read_text(encoding="utf-8"))
    ]
    assert spelled == ["config.py"]


@pytest.mark.parametrize(("command", "section"), [pair for example in EXAMPLES for pair in example.items()])
def test_the_example_says_what_its_commands_know(command, section, monkeypatch):
    monkeypatch.delenv("HELIOGRAPH_SERVER", raising=False)
    config = ConfigFile(Path("example.toml"), {command: section})
    build_parser(command, config)
    assert config.applied == list(section)
