"""A config file gives options their defaults: what it may say, what comes before it, and what is wrong with one."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

import pytest

from heliograph.cli.config_file import ConfigFile
from heliograph.cli.links import _destination
from heliograph.cli.main import COMMANDS, build_parser, main
from heliograph.config import CONFIG_VARIABLE, STATE_VARIABLE, config_path, state_folder
from heliograph.edge.planning.device_times import state_path

ASK = ["ask", "photo.jpg", "what?"]


@pytest.fixture
def config(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def parsed(path: Path, argv: list[str]):
    argv = [*argv, "--config", str(path)]
    return build_parser(argv[0], ConfigFile.find(argv, COMMANDS))[0].parse_args(argv)


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HELIOGRAPH_SERVER", "HELIOGRAPH_BUNDLE", "HELIOGRAPH_MODEL"):
        monkeypatch.delenv(name, raising=False)


def test_values_are_read_by_the_types_of_their_options(config):
    path = config(
        """
        [ask]
        server = "ws://cloud.example:1"
        target = 0.5
        timeout = 30
        max_tokens = 7
        token-file = "~/token.txt"
        explain = true
        region = "calibrated"
        log-json = true
        [encode]
        out = "x.hgs"
        [serve]
        max-held-bytes = "2G"
        max-sessions = 3
        allow-host = ["one", "two"]
        allow-origin = "http://here"
        [export]
        local = false
        """
    )
    asked = parsed(path, ASK)
    assert (asked.server, asked.target, asked.timeout, asked.max_tokens) == ("ws://cloud.example:1", 0.5, 30.0, 7)
    assert asked.token_file == Path(os.path.expanduser("~/token.txt"))
    assert (asked.explain, asked.region, asked.log_json, asked.json) == (True, "calibrated", True, False)
    assert parsed(path, ["encode", "photo.jpg"]).out == Path("x.hgs")  # no longer required
    served = parsed(path, ["serve"])
    assert (served.max_held_bytes, served.max_sessions) == (2 << 30, 3)
    assert (served.allow_host, served.allow_origin) == (["one", "two"], ["http://here"])
    assert parsed(path, ["export", "--out", "x"]).local is False


def test_the_command_line_comes_first_then_the_environment_then_the_file(config, monkeypatch):
    path = config('[ask]\nserver = "ws://file:1"\ntimeout = 5\n')
    assert parsed(path, ASK).server == "ws://file:1"
    monkeypatch.setenv("HELIOGRAPH_SERVER", "ws://environment:1")
    assert parsed(path, ASK).server is None
    assert _destination(parsed(path, ASK))[0] == "ws://environment:1"
    assert parsed(path, ASK).timeout == 5
    assert parsed(path, [*ASK, "--server", "ws://line:1", "--timeout", "6"]).server == "ws://line:1"
    assert parsed(path, [*ASK, "--timeout", "6"]).timeout == 6


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[ask]\nsever = "x"', "[ask] has no option 'sever' (did you mean server?)"),
        ("[ask]\nmax_token = 3", "[ask] has no option 'max_token' (did you mean max-tokens?)"),
        ("[ask]\nqqq = 3", "[ask] has no option 'qqq';"),
        ("[ask]\nconfig = 'x'", "[ask] has no option 'config'"),
        ("[ask]\nverbose = true", "[ask] has no option 'verbose'"),
        ("[ask]\nphoto = 'x'", "[ask] has no option 'photo'"),
        ("[export]\nno-local = true", "[export] has no option 'no-local'"),
        ("[aks]\nserver = 'x'", "no command is called 'aks' (did you mean ask?)"),
        ('server = "x"', "'server' stands outside of a section"),
        ("[ask]\ntarget = 1.5", "[ask] target: '1.5' is not a share"),
        ("[ask]\nmax-tokens = 2.5", "[ask] max-tokens: '2.5' is not"),
        ("[ask]\nmax-tokens = true", "[ask] max-tokens: a text or a number is wanted"),
        ("[ask]\nserver = ['x']", "[ask] server: a text or a number is wanted"),
        ("[ask]\nserver = 2026-11-29", "[ask] server: a text or a number is wanted"),
        ("[ask]\nserver.port = 3", "[ask] server: a text or a number is wanted"),
        ("[ask]\njson = 1", "[ask] json: true or false is wanted"),
        ("[ask]\nregion = 'perhaps'", "[ask] region: 'perhaps' is none of"),
        ("[ask]\nlog-level = 'loud'", "[ask] log-level: 'loud' is none of debug, info"),
        ("[ask", "no TOML"),
        ("a = " + "[" * 5000, "no TOML"),
        ("[ask]\nserver = '\x1b[2J'", "no TOML"),
    ],
)
def test_what_is_wrong_with_a_file_is_one_line_that_says_where(config, text, told, capsys):
    path = config(text)
    command = ["export", "--out", "x"] if text.startswith("[export") else ASK
    assert main([*command, "--config", str(path)]) != 0
    shown = capsys.readouterr().err
    assert f"{path}: " in shown
    assert told in shown
    assert shown.count("\n") == 1
    assert "\x1b" not in shown


def test_a_file_that_was_named_must_be_there(tmp_path, monkeypatch, capsys):
    missing = tmp_path / "none.toml"
    assert main([*ASK, "--config", str(missing)]) != 0
    assert str(missing) in capsys.readouterr().err
    monkeypatch.setenv(CONFIG_VARIABLE, str(missing))
    assert main(ASK) != 0
    assert str(missing) in capsys.readouterr().err


def test_help_does_not_need_a_file_that_can_be_read(config, capsys):
    assert main(["ask", "--help", "--config", str(config("[["))]) == 0
    assert "--config" in capsys.readouterr().out


def test_where_the_file_is(tmp_path, monkeypatch):
    usual = tmp_path / "heliograph" / "config.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.delenv(CONFIG_VARIABLE)
    assert config_path() is None
    usual.parent.mkdir()
    usual.write_text("")
    assert config_path() == usual
    monkeypatch.setenv(CONFIG_VARIABLE, "chosen.toml")
    assert config_path() == Path("chosen.toml")
    assert config_path(Path("named.toml")) == Path("named.toml")
    monkeypatch.setenv(CONFIG_VARIABLE, os.devnull)
    assert config_path() is None


def test_a_user_without_a_home_folder_has_no_file(monkeypatch):
    """A service's user, of whom the system knows nothing but a number."""

    def nobody(number):
        raise KeyError(number)

    for name in ("HOME", "XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", CONFIG_VARIABLE, STATE_VARIABLE):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(pwd, "getpwuid", nobody)
    assert config_path() is None
    assert state_folder() == Path("/.local/state/heliograph")
    assert state_path(b"").parent == Path("/.cache/heliograph")


def test_a_folder_that_may_not_be_looked_into_has_no_file(monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    monkeypatch.setattr(Path, "exists", refuse)
    assert config_path() is None


def test_a_relative_folder_of_the_environment_is_passed_over(monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(CONFIG_VARIABLE, raising=False)
    usual = tmp_path / ".config" / "heliograph" / "config.toml"
    usual.parent.mkdir(parents=True)
    usual.write_text("", encoding="utf-8")
    for named in ("", "settings", "~/settings"):
        monkeypatch.setenv("XDG_CONFIG_HOME", named)
        assert config_path() == usual


def test_options_that_do_not_go_together_may_come_from_the_file(config, capsys):
    path = config("[ask]\ntarget = 0.5\n")
    assert main([*ASK, "--budget", "96", "--config", str(path)]) == 2
    shown = capsys.readouterr().err
    assert "leave out --target" in shown
    assert f"[ask] of {path} sets target" in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_every_section_may_set_what_its_command_has(name, config, capsys):
    """Other sections are no concern of a command, and a section that says nothing is none either."""
    path = config(f"[{name}]\njson = true\n[doctor]\nport = 1\n" if name != "doctor" else "[doctor]\nport = 1\n")
    argv = [name, "--config", str(path)]
    parser, _ = build_parser(name, ConfigFile.find(argv, COMMANDS))
    assert parser is not None
