"""Exit codes: one table in code, help and docs, a class for every named error, and errors as JSON."""

from __future__ import annotations

import json
import re
from argparse import Namespace
from pathlib import Path

import pytest

from heliograph import errors
from heliograph.cli.advice import ADVICE
from heliograph.cli.answers import EmptyAnswerError, NotEnoughReceivedError, say_answer
from heliograph.cli.failures import failure_of
from heliograph.cli.main import COMMANDS, main
from heliograph.errors import HeliographError, all_errors
from heliograph.exit_codes import ExitCode

PAGE = Path(__file__).parents[3] / "docs" / "exit-codes.md"

# What a shell script relies on, written out here once more.
PROMISED = {
    "missing-extra": 1,
    "usage": 2,
    "question-empty": 2,
    "photo-missing": 3,
    "stream-damaged": 3,
    "bundle-damaged": 3,
    "file-unreadable": 3,
    "server-unreachable": 4,
    "server-busy": 4,
    "timed-out": 4,
    "port-busy": 4,
    "unauthorized": 5,
    "bundle-mismatch": 5,
    "protocol-version": 5,
    "stream-forged": 5,
    "stream-truncated": 6,
    "answering-failed": 6,
}

GIVEN = Namespace(
    photo="photo.jpg",
    file="out.hgs",
    question="what is on the sign?",
    server="ws://cloud.example:8765",
    bundle="bundle",
    model="owner/name",
    photos="photos",
    link="1mbit",
    budget=96,
    timeout=60.0,
    token_file="token.txt",
    key_file="key.txt",
    port=8765,
    out="runs/x",
    strategy="meta",
    tls_cert="cert.pem",
)


def every_error() -> list[type[HeliographError]]:
    """All classes, those without a number of their own too."""
    found, todo = [], [HeliographError]
    while todo:
        kind = todo.pop()
        todo.extend(kind.__subclasses__())
        if kind.__module__.startswith("heliograph."):
            found.append(kind)
    return found


def table(head: str) -> list[list[str]]:
    """The cells of the table on the page whose head begins so."""
    text = PAGE.read_text(encoding="utf-8")
    rows = text.partition(head)[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in rows]


def test_code_page_and_help_have_one_table(capsys: pytest.CaptureFixture[str]) -> None:
    codes = [[str(int(code)), code.meaning, code.remedy] for code in ExitCode]
    assert [code[0] for code in codes] == ["0", "1", "2", "3", "4", "5", "6", "70", "130"]
    assert table("| code | what happened") == codes
    assert main(["--help"]) == 0
    shown = capsys.readouterr().out.partition("exit codes:\n")[2].splitlines()
    assert [re.match(r" *(\d+)  (.*)", line)[2] for line in shown] == [  # type: ignore[index]
        f"{meaning}: {remedy}" if remedy else meaning for _, meaning, remedy in codes
    ]


def test_the_page_names_every_error_with_its_code() -> None:
    documented = {
        name: int(code) for code, names in table("| exit code | error |") for name in re.findall(r"`([a-z-]+)`", names)
    }
    others = (errors.BudgetTooSmallError, NotEnoughReceivedError, EmptyAnswerError)
    found = {kind.name: int(kind.exit_code) for kind in (*all_errors().values(), *others)}
    assert documented == found | {"internal-error": 70, "interrupted": 130}


def test_promised_codes_hold() -> None:
    found = {kind.name: int(kind.exit_code) for kind in all_errors().values()}
    assert {name: found[name] for name in PROMISED} == PROMISED


def test_every_error_declares_a_class_that_an_error_can_have() -> None:
    bases = {errors.FaultyError}  # what is derived from it declares its own
    for kind in every_error():
        assert kind.exit_code not in (ExitCode.DONE, ExitCode.BUG, ExitCode.INTERRUPTED), kind
        if kind is not HeliographError and kind not in bases:
            assert any("exit_code" in vars(one) for one in kind.__mro__ if one not in (HeliographError, *bases)), kind


def test_every_error_has_its_own_advice_and_says_what_to_do() -> None:
    own_words = r"\b(see|give|gives?|export|load|fit|start|install|choose|doctor)\b"
    for kind in all_errors().values():
        assert kind in ADVICE, kind
        if kind in (errors.UnknownNameError, errors.MissingExtraError):
            continue  # made with its choices, its extra
        message = failure_of(kind.received(), "ask", GIVEN).message
        step = ADVICE[kind].step_for(vars(GIVEN))
        assert message.endswith(step) if step else re.search(own_words, message), message


@pytest.mark.parametrize(
    ("error", "subject"),
    [
        (errors.PhotoMissingError(), "photo.jpg: "),
        (errors.ServerBusyError(), "ws://cloud.example:8765: "),
        (errors.UnauthorizedError.received(), "ws://cloud.example:8765: "),
        (errors.BundleMismatchError(), "--bundle bundle: "),
        (errors.ModelUnsupportedError().noted("its processor fails."), "--vlm owner/name: "),
        (errors.PortBusyError(), "--port 8765: "),
        (errors.QuestionTooLongError(), "this question of 20 characters: "),
        (errors.UnknownNameError("strategy", ("klt", "beta")), "--strategy meta: "),
        (errors.PhotoMissingError().about("other.jpg"), "other.jpg: "),
    ],
    ids=lambda value: value.name if isinstance(value, HeliographError) else "",
)
def test_a_message_begins_with_what_it_is_about(error: HeliographError, subject: str) -> None:
    assert failure_of(error, "ask", GIVEN).message.startswith(subject)


def test_a_name_that_there_is_not_suggests_the_nearest() -> None:
    error = errors.UnknownNameError("strategy", ("klt", "beta"))
    assert "Did you mean beta?" in failure_of(error, "ask", GIVEN).message


def test_what_a_note_names_is_not_named_twice() -> None:
    error = errors.ModelUnavailableError().noted("'owner/name': the hub has none of this name.")
    assert failure_of(error, "ask", GIVEN).message.count("owner/name") == 1


def test_secrets_in_an_address_are_not_shown() -> None:
    given = Namespace(server="wss://me:secret@cloud.example")
    assert failure_of(errors.ServerBusyError(), "ask", given).message.startswith("wss://cloud.example: ")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_wrong_command_line_is_one_object_with_json(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--no-such-option", "--json"]) == 2
    shown = capsys.readouterr()
    assert shown.err == ""
    facts = json.loads(shown.out)
    assert (facts["error"], facts["exit_code"]) == ("usage", 2)
    assert f"see heliograph {name} --help" in facts["message"]


@pytest.mark.parametrize("line", [["--json"], ["nonsense", "--json"], ["--json", "nonsense"]])
def test_a_line_without_a_command_is_one_object_with_json(line: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line) == 2
    shown = capsys.readouterr()
    assert shown.err == ""
    assert json.loads(shown.out)["error"] == "usage"


def test_a_named_error_is_one_object_with_json(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing = tmp_path / "missing\x1b.hgs"
    assert main(["inspect", str(missing), "--json"]) == 3
    shown = capsys.readouterr()
    assert (shown.err, shown.out.count("\n")) == ("", 1)
    facts = json.loads(shown.out)
    assert (facts["error"], facts["exit_code"]) == ("file-unreadable", 3)
    assert "missing\\x1b.hgs" in facts["message"]


def test_a_named_error_is_a_line_of_a_json_log(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing = tmp_path / "missing.hgs"
    assert main(["inspect", str(missing), "--log-json"]) == 3
    shown = capsys.readouterr()
    assert shown.out == ""
    (line,) = shown.err.splitlines()
    facts = json.loads(line)
    assert (facts["level"], facts["error"], facts["exit_code"]) == ("error", "file-unreadable", 3)
    assert str(missing) in facts["message"]


def test_a_value_called_json_asks_for_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", "--", "--json"]) == 3
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("text", "photo_seen", "kind"), [("red", False, NotEnoughReceivedError), (" \n", True, EmptyAnswerError)]
)
def test_what_answers_nothing_is_no_answer(text: str, photo_seen: bool, kind: type[HeliographError]) -> None:
    facts = {"answer": text, "photo_seen": photo_seen}
    with pytest.raises(kind) as caught:
        say_answer(Namespace(json=False), text, facts, photo_seen=photo_seen)
    failure = failure_of(caught.value, "ask", GIVEN)
    assert (failure.exit_code, failure.details) == (6, facts)
    assert "larger --budget" in failure.message or "Ask otherwise." in failure.message
