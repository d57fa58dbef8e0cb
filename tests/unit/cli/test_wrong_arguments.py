"""What is said about arguments that cannot be used: which one, why, and where the help is."""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import pytest

from heliograph.cli.main import COMMANDS, build_parser, main
from heliograph.errors import UsageError
from heliograph.reference.assets import demo_photo_path

ASK = ("ask", str(demo_photo_path()), "what?")


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]):  # type: ignore[no-untyped-def]
    """What a command line that is refused says, without the program's name; one line."""

    def run(*argv: str | Path, code: int = 2) -> str:
        assert main([*map(str, argv)]) == code
        shown = capsys.readouterr()
        assert shown.out == ""
        assert shown.err.count("\n") == 1
        return shown.err.removeprefix("heliograph: ").rstrip("\n")

    return run


@pytest.mark.parametrize(
    ("argv", "parts"),
    [
        (("serve", "--tls-cert", "cert.pem"), ("--tls-cert needs --tls-key",)),
        (("serve", "--tls-key", "key.pem"), ("--tls-key needs --tls-cert",)),
        (("serve", "--tls-client-ca", "ca.pem"), ("--tls-client-ca needs --tls-cert",)),
        (("serve", "--allow-host", "."), ("--allow-host", "'.'", "cloud.example")),
        (("serve", "--allow-origin", "app.example"), ("--allow-origin", "'app.example'", "https://app.example")),
        (("serve", "--max-held-bytes", "0"), ("--max-held-bytes", "'0'", "from 64K up")),
        ((*ASK, "--server", "http://x"), ("http://x", "ws://host:port")),
        ((*ASK, "--server", "127.0.0.1:8765"), ("127.0.0.1:8765", "ws://host:port")),
        ((*ASK, "--server", "ws://127.0.0.1:99999"), ("ws://127.0.0.1:99999", "ws://host:port")),
        ((*ASK, "--server", ""), ("ws://host:port",)),
        ((*ASK, "--tls-client-cert", "cert.pem"), ("--tls-client-cert needs --tls-client-key",)),
        ((*ASK, "--tls-client-key", "key.pem"), ("--tls-client-key needs --tls-client-cert",)),
        ((*ASK, "--max-tokens", "0"), ("--max-tokens", "'0'", "1 to 1024")),
        ((*ASK, "--setting", "foo=3", "--strategy", "webp"), ("foo=3", "size, quality")),
        ((*ASK, "--setting", "foo=3", "--strategy", "rgb"), ("foo=3", "no knobs")),
        ((*ASK, "--setting", "size=abc", "--strategy", "webp"), ("size=abc", "a number")),
        ((*ASK, "--setting", "size=nan", "--strategy", "webp"), ("size=nan", "a number")),
        ((*ASK, "--strategy", "webp", "--setting", "size=64", "--budget", "99"), ("size=64", "leave out --budget")),
        ((*ASK, "--quality", "0.9", "--budget", "96"), ("--quality", "leave out --budget")),
        ((*ASK, "--explain", "--region", "always", "--target", "0.5"), ("leave out --target, --region",)),
        ((*ASK, "--budget", "96", "--controller", "pull"), ("--budget 96", "leave out --controller")),
        (("encode", ASK[1], "-o", "x.hgs", "--strategy", "local"), ("--strategy local", "nothing to store")),
        (("encode", ASK[1], "-o", "x.hgs", "--strategy", "jpeg", "--setting", "quality=101"), ("=101", "1 to 100")),
        (("train", "reference", "--out", "runs/x", "--photos", "photos"), ("leave out --photos",)),
        (("train", "field", "--out", "runs/x", "--photos", "photos"), ("--captions",)),
        (("train", "field", "--out", "runs/x", "--captions", "photos"), ("--photos",)),
    ],
    ids=lambda value: " ".join(value[-4:]) if isinstance(value, tuple) else str(value),
)
def test_the_argument_the_reason_and_the_help_are_named(argv: tuple[str, ...], parts: tuple[str, ...], said) -> None:  # type: ignore[no-untyped-def]
    text = said(*argv)
    assert text.startswith("usage: ")
    assert UsageError.text not in text
    assert all(part in text for part in parts), text
    assert f"see heliograph {argv[0]} --help" in text


@pytest.mark.parametrize(("strategy", "budget"), [("webp", "10"), ("jpeg", "20"), ("meta", "1"), ("klt", "1")])
def test_a_budget_for_less_than_a_photo_is_named_with_what_is_needed(strategy: str, budget: str, said) -> None:  # type: ignore[no-untyped-def]
    out = ("-o", "unwritten.hgs")
    text = said("encode", ASK[1], *out, "--strategy", strategy, "--budget", budget, code=6)
    assert text.startswith(f"budget-too-small: --budget {budget}: ")
    assert re.search(r"takes \d+ bytes of this photo", text)
    assert not Path("unwritten.hgs").exists()


def test_a_number_that_no_option_takes_is_told_in_plain_words(said) -> None:  # type: ignore[no-untyped-def]
    tried = set[str]()
    for command in COMMANDS:
        parser, _ = build_parser(command)
        detailed = next(action for action in parser._actions if action.dest == "==SUPPRESS==" or action.choices)
        for action in detailed.choices[command]._actions:  # type: ignore[index, call-overload]
            reads = action.type
            if not action.option_strings or reads is None or reads is Path or reads.__name__ == "folder_or_hub_id":
                continue
            flag = action.option_strings[0]
            text = said(command, f"{flag}=smoke")
            assert re.fullmatch(rf"usage: argument [^:]*{flag}[^:]*: .*smoke.*; see heliograph {command} --help", text)
            assert f"invalid {reads.__name__}" not in text
            tried.add(reads.__name__)
    assert len(tried) >= 11, tried


@pytest.mark.parametrize(
    ("option", "value", "form"),
    [
        ("--max-tokens", "1025", "1 to 1024"),
        ("--max-tokens", "99999999", "1 to 1024"),
        ("--segments", "-1", "from 0"),
        ("--segments", "9" * 5000, "from 0"),
    ],
)
def test_answer_names_the_bounds_of_a_number(option: str, value: str, form: str, said) -> None:  # type: ignore[no-untyped-def]
    text = said("answer", "out.hgs", "what?", f"{option}={value}")
    assert option in text
    assert form in text
    assert len(text) < 300


def test_a_token_that_no_header_can_hold_is_named_with_its_file(tmp_path: Path, said) -> None:  # type: ignore[no-untyped-def]
    path = tmp_path / "token"
    path.write_text("schl\u00fcssel\n", encoding="utf-8")
    text = said(*ASK, "--server", "ws://127.0.0.1:1", "--token-file", path, code=3)
    assert text.startswith("token-file: ")
    assert str(path) in text
    assert "ASCII" in text
    assert "schl" not in text


def test_tls_files_for_a_server_without_tls_are_not_passed_over(tmp_path: Path, said) -> None:  # type: ignore[no-untyped-def]
    authority = tmp_path / "ca.pem"
    authority.write_text("")
    assert said(*ASK, "--tls-ca", authority, code=3).startswith("file-unreadable: ")
    trusted = ssl.get_default_verify_paths().cafile
    if trusted is None:
        pytest.skip("no certificates on this machine to trust")
    text = said(*ASK, "--tls-ca", trusted, "--server", "ws://127.0.0.1:1")
    assert "--tls-ca is for wss://" in text
    assert "ws://127.0.0.1:1" in text
