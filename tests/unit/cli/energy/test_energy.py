"""heliograph energy: the table of a photo, that of a suite, the order, and what is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from heliograph.cli.energy.show import band, digits
from heliograph.cli.main import main
from heliograph.energy.joules import Measured, Modelled
from heliograph.energy.meters import Meters
from heliograph.energy.model import TERMS
from heliograph.reference.assets import demo_photo_path

PHOTO = str(demo_photo_path())
QUESTION = "what is on the sign?"
ASKED = ("energy", PHOTO, QUESTION, "--repeat", "1")
TWO = (*ASKED, "--strategy", "meta", "--strategy", "webp")


@pytest.fixture
def run(capsys):
    """What a command line prints on standard output."""

    def run_it(*argv, code=0):
        capsys.readouterr()
        assert main([*map(str, argv)]) == code
        return capsys.readouterr().out

    return run_it


@pytest.fixture
def refused(capsys):
    """The one line on standard error of a command line that fails."""

    def run_it(*argv, code=2):
        capsys.readouterr()
        assert main([*map(str, argv)]) == code
        shown = capsys.readouterr()
        assert shown.out == ""
        (line,) = shown.err.splitlines()[-1:]
        return line

    return run_it


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0"), (0.00214, "0.0021"), (0.35, "0.35"), (1.04, "1.0"), (12.3, "12"), (99.6, "100"), (1340.4, "1,340")],
)
def test_numbers_have_two_digits_that_matter(value, text):
    assert digits(value) == text


def test_a_band_goes_from_low_to_high():
    assert band(Modelled(0.0111, 0.05, 0.19)) == "0.011-0.19"
    assert band(Modelled(0.0, 0.0, 0.0)) == "-"


def test_a_photo_as_json(run):
    facts = json.loads(run(*TWO, "--radio", "meshtastic-long-fast", "--board", "raspberry-pi-4b", "--json"))
    meta, webp = facts["strategies"]
    assert (meta["strategy"], webp["strategy"]) == ("meta", "webp")
    for one in (meta, webp):
        joules = one["joules"]
        assert joules["source"] == "modelled"
        assert set(joules["terms"]) == set(TERMS)
        for end in ("low", "centre", "high"):
            assert joules["total"][end] == pytest.approx(sum(term[end] for term in joules["terms"].values()), rel=1e-4)
        assert one["sent_bytes"] > one["payload_bytes"] > 0
        assert one["packets"] == -(-one["sent_bytes"] // 233)
        assert one["processor_ms"] > 0
        assert one["measured_on_this_machine"] == [] or facts["no_meter"] != []
    assert facts["order"] == [["meta"], ["webp"]]
    assert facts["certainly_less"] == [["meta", "webp"]]
    assert {one["name"] for one in facts["constants"]} == {"lora-transmit", "lora-receive", "pi-4b-idle", "pi-4b-busy"}
    assert all(row["source"] and row["basis"] for one in facts["constants"] for row in one["rows"])
    assert facts["radio"]["missing"]


def test_a_photo_as_a_table(run):
    shown = run(*TWO, "--sources")
    assert re.search(r"^meta +\d+ +\d+ +1 +[\d.]+ s +\d+ ms ", shown, re.MULTILINE)
    assert "modelled, not measured" in shown
    assert re.search(r"^  1\. meta\n  2\. webp$", shown, re.MULTILINE)
    assert "give" not in shown
    assert "Morin et al." in shown


def test_a_slower_board_computes_for_longer(run):
    plain, slow = (json.loads(run(*TWO, "--slower", factor, "--json"))["strategies"][1] for factor in ("1", "1000"))
    assert slow["processor_ms"] > 100 * plain["processor_ms"]
    assert slow["joules"]["terms"]["packets"] == plain["joules"]["terms"]["packets"]


def test_waiting_is_the_same_for_whoever_sends_and_nothing_for_whoever_does_not(run):
    asked = (*ASKED, "--strategy", "pq", "--strategy", "local", "--json")
    pq, local = json.loads(run(*asked, "--wait", "5"))["strategies"]
    assert pq["joules"]["terms"]["wait"]["centre"] > 0
    assert local["joules"]["total"] == local["joules"]["terms"]["compute"]
    assert (local["packets"], local["payload_bytes"], local["messages"]) == (0, 0, 0)


def test_a_budget_is_kept_and_what_cannot_keep_it_is_said(run):
    facts = json.loads(run(*ASKED, "--strategy", "meta", "--strategy", "webp", "--budget", "200", "--json"))
    assert all(one["payload_bytes"] <= 200 for one in facts["strategies"])


def test_meters_are_shown_beside_and_never_within(run, monkeypatch):
    class Counting:
        domains = frozenset(("package",))

        def read(self):
            return {"package": Measured(3.0, self.domains, 1.0)}

    monkeypatch.setattr("heliograph.cli.energy.measure.available_meters", lambda: Meters((Counting(),), ()))
    facts = json.loads(run(*ASKED, "--strategy", "pq", "--json"))
    (one,) = facts["strategies"]
    assert one["measured_on_this_machine"] == [
        {"source": "measured", "domain": "package", "joules": 3.0, "seconds": 1.0}
    ]
    assert one["joules"]["total"]["high"] < 3.0
    assert "measured on this machine, all that ran on it, per encoding: pq 3.0 J package" in run(
        *ASKED, "--strategy", "pq"
    )


# ---- suites --------------------------------------------------------------------------------------------
def row(strategy, setting, payload, agreement, *, task="all", encode=10.0, accuracy=None, wire=None, link=None):
    return {
        "strategy": strategy,
        "setting": setting,
        "task": task,
        "payload_bytes": payload,
        "wire_bytes": wire,
        "encode_ms": encode,
        "agreement": agreement,
        "accuracy": accuracy,
        "link_mbit": link,
    }


ROWS = [
    row("uncompressed", "default", 0.0, 1.0),
    row("small", "q=1", 50.0, 0.8, accuracy=0.6),
    row("small", "q=2", 150.4, 0.95, accuracy=0.5),
    row("small", "q=3", 400.0, 0.99, accuracy=0.6),
    row("small", "q=2", 10.0, 0.95, task="colour"),
    row("small", "q=2", 10.0, 0.95, link=1.0),
    row("large", "q=9", 9000.0, 0.91),
    row("unknown", "q=9", 9.0, 0.99, encode=None),
]


def results(folder, rows=ROWS, **more):
    path = folder / "results.json"
    path.write_text(json.dumps({"schema": 2, "suite": "made-up", "rows": rows, **more}))
    return path


def test_a_suite_per_question_and_per_good_answer(run, tmp_path):
    facts = json.loads(run("energy", "--results", results(tmp_path), "--json"))
    assert facts["suite"] == "made-up"
    small, large = facts["strategies"]
    assert (small["strategy"], small["setting"], small["sent_bytes"]) == ("small", "q=2", 151)
    assert (large["strategy"], large["accuracy"]) == ("large", None)
    for one, share in ((small, 0.5), (large, 0.91)):
        for end in ("low", "high"):
            assert one["joules_per_good_answer"][end] == pytest.approx(one["joules"]["total"][end] / share, rel=1e-4)
    assert facts["order"] == [["small"], ["large"]]
    assert small["processor_ms"] == pytest.approx(10.0)


def test_a_suite_of_one_task_has_no_mean_of_tasks(run, tmp_path):
    rows = [row("small", "q=2", 10.0, 0.95, task="top1"), row("small", "q=2", 5.0, 0.95, task="top1", link=1.0)]
    (small,) = json.loads(run("energy", "--results", results(tmp_path, rows), "--json"))["strategies"]
    assert small["sent_bytes"] == 10


def test_more_agreement_takes_another_setting(run, tmp_path):
    path = results(tmp_path)
    found = json.loads(run("energy", "--results", path, "--agreement", "0.98", "--json"))["strategies"]
    assert [(one["strategy"], one["setting"]) for one in found] == [("small", "q=3")]
    assert "q=1" in run("energy", "--results", path, "--agreement", "0.7")


def test_published_results_can_be_read(run):
    path = Path(__file__).parents[4] / "docs" / "results" / "reference.json"
    facts = json.loads(run("energy", "--results", path, "--radio", "wifi", "--json"))
    assert len(facts["strategies"]) > 5
    assert all(one["agreement"] >= 0.9 for one in facts["strategies"])


@pytest.mark.parametrize(
    ("rows", "named"),
    [
        ([], "agrees in 90%"),
        ([3], "a row is no object"),
        ([row("a", "b", -1.0, 0.9)], "payload_bytes"),
        ([row("a", "b", "many", 0.9)], "payload_bytes"),
        ("none", "schema 2"),
    ],
)
def test_results_that_are_none_are_refused(rows, named, tmp_path, refused):
    line = refused("energy", "--results", results(tmp_path, rows), code=3)
    assert named in line
    assert str(tmp_path / "results.json") in line


def test_results_of_another_schema_are_refused(tmp_path, refused):
    assert "schema 2" in refused("energy", "--results", results(tmp_path, schema=1), code=3)


# ---- the command line ----------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("argv", "parts", "code"),
    [
        ((*ASKED, "--radio", "lorawan"), ("--radio lorawan", "Did you mean lorawan-sf"), 2),
        ((*ASKED, "--board", "pi"), ("--board pi", "raspberry-pi-4b"), 2),
        (("energy",), ("PHOTO and QUESTION", "--results"), 2),
        (("energy", PHOTO), ("PHOTO and QUESTION",), 2),
        ((*ASKED, "--results", "results.json"), ("takes the place of PHOTO",), 2),
        ((*ASKED, "--agreement", "0.9"), ("--agreement needs --results",), 2),
        ((*ASKED, "--setting", "size=64"), ("--setting needs one --strategy",), 2),
        ((*ASKED, "--slower", "0"), ("--slower", "'0'"), 2),
        ((*ASKED, "--slower", "inf"), ("--slower", "'inf'"), 2),
        ((*ASKED, "--wait", "-1"), ("--wait", "'-1'"), 2),
        ((*ASKED, "--strategy", "smoke"), ("smoke", "webp"), 2),
        (("energy", "nothing.jpg", QUESTION), ("nothing.jpg",), 3),
        (("energy", PHOTO, " "), ("question",), 2),
        ((*ASKED, "--constants", "nothing.toml"), ("nothing.toml",), 3),
        ((*ASKED, "--strategy", "jpeg", "--budget", "10"), ("--budget 10",), 6),
    ],
)
def test_what_cannot_be_used_is_named(argv, parts, code, refused):
    line = refused(*argv, code=code)
    assert [part for part in parts if part not in line] == []


def test_errors_are_json_too(capsys):
    assert main([*ASKED, "--radio", "smoke", "--json"]) == 2
    facts = json.loads(capsys.readouterr().out)
    assert (facts["error"], facts["exit_code"]) == ("unknown-name", 2)
