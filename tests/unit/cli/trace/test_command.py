"""``heliograph trace``: the ladder is the one that was checked by hand, for one end and for both."""

import json
import random
from pathlib import Path

import pytest

from heliograph.cli.main import main
from heliograph.cli.text import display_width
from heliograph.cli.trace.ladder import ladder
from heliograph.cli.trace.words import event_text
from heliograph.tracing.merging import merged
from heliograph.tracing.reading import Trace, TraceEvent, parse_trace
from heliograph.tracing.table import EVENTS, FIELDS, FRAMES, Kind

HERE = Path(__file__).parents[2] / "tracing"
DEVICE, CLOUD = str(HERE / "device.trace"), str(HERE / "cloud.trace")


def test_the_ladder_of_both_ends(capsys):
    """Checked by hand: clocks, order, halves of what crossed, the segment that was lost."""
    assert main(["trace", DEVICE, CLOUD]) == 0
    whole = capsys.readouterr().out
    assert whole == (HERE / "ladder.txt").read_text()
    assert main(["trace", CLOUD, DEVICE]) == 0
    assert capsys.readouterr().out == whole


def test_one_end_alone_is_drawn_from_side_to_side(capsys):
    assert main(["trace", DEVICE]) == 0
    out = capsys.readouterr().out.splitlines()
    assert "     19.6                             ├─ HELLO 12 B ──────────────────▶│" in out
    assert "     98.5                             │◀────────────────── ENOUGH 2 B ─┤" in out
    assert not any("✕" in line or "╌" in line for line in out)


def test_the_summary_as_json(capsys):
    assert main(["trace", DEVICE, CLOUD, "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["connections"], facts["offset_ms"], facts["uncertainty_ms"]) == ({"1": 8}, -4987.95, 0.75)
    device, cloud = facts["traces"]
    assert device["frames"]["SEGMENT sent"] == {"frames": 4, "bytes": 104, "payload_bytes": 100}
    assert cloud["frames"]["SEGMENT received"] == {"frames": 3, "bytes": 63, "payload_bytes": 60}
    (question,) = cloud["questions"]
    assert (question["answer"], question["segments_used"], question["payload_bytes"]) == ("K52", 3, 63)
    assert (question["decisions"], question["final_ms"]) == (2, pytest.approx(76.1))


def test_one_session_of_a_clouds_trace(capsys):
    assert main(["trace", CLOUD, "--session", "5"]) == 0
    assert "connection 7" in (out := capsys.readouterr().out)
    assert "connection 8" not in out


@pytest.mark.parametrize("ending", ["png", "svg"])
def test_the_picture(tmp_path, capsys, ending):
    path = tmp_path / f"it.{ending}"
    assert main(["trace", DEVICE, CLOUD, "--plot", str(path)]) == 0
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG" if ending == "png" else b"<?xml")
    if ending == "svg":  # its letters are shapes, with the text in comments
        text = data.decode()
        for said in ("ENOUGH 2 B", "FINAL 98% 7 B", "expects enough after 3 of 4 segments (63 B)", "push: enough"):
            assert said in text


def test_a_trace_without_any_event_can_be_drawn(tmp_path, capsys):
    path = tmp_path / "it.trace"
    path.write_bytes(Path(DEVICE).read_bytes().splitlines(keepends=True)[0])
    assert main(["trace", str(path), "--plot", str(tmp_path / "it.png")]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["none.trace"], "file-unreadable"),
        ([DEVICE, DEVICE], "Both traces are of the device"),
        ([DEVICE, "--plot", "picture.gif"], "a picture ends with .png or .svg"),
        ([DEVICE, "--question", "1"], "--question needs --replay"),
        ([str(HERE / "ladder.txt")], "ladder.txt: line 1: it is no JSON."),
    ],
)
def test_what_is_wrong_is_said_in_one_line(arguments, said, capsys):
    assert main(["trace", *arguments]) == (2 if arguments[0] == DEVICE else 3)
    found = capsys.readouterr()
    assert found.out == ""
    assert said in found.err
    assert found.err.count("\n") == 1


def test_a_cut_trace_is_drawn_and_the_cut_is_said(tmp_path, capsys):
    path = tmp_path / "it.trace"
    path.write_bytes(Path(DEVICE).read_bytes()[:-5])
    assert main(["trace", str(path)]) == 0
    found = capsys.readouterr()
    assert "ends within a line" in found.err
    assert "answered in 118 ms" in found.out


def test_a_reconnection_is_seen():
    events = (
        TraceEvent(1.0, "connection:opened", {"connection": 1, "ms": 1.0}),
        TraceEvent(2.0, "connection:closed", {"connection": 1, "error": "connection-lost"}),
        TraceEvent(2.0, "connection:retry", {"cause": "connection-lost", "busy": False, "pause_ms": 250.0}),
        TraceEvent(253.0, "connection:opened", {"connection": 2, "ms": 1.0}),
    )
    found = ladder(merged(Trace("device", {}, events))).splitlines()
    text = " ".join(" ".join(line.split()) for line in found)
    assert "connection 1 ends:" in text
    assert "tries again in 250 ms:" in text


def any_value(draw, kind):
    """Something of a kind, as a stranger's file may hold it."""
    return {
        Kind.WHOLE: lambda: draw.choice((0, 1, -5, 2**63)),
        Kind.NUMBER: lambda: draw.choice((0, 0.5, -1e300, 1e300)),
        Kind.FLAG: lambda: draw.random() < 0.5,
        Kind.TEXT: lambda: draw.choice(("", "a b", "\x1b[2J\n\u202e", "世界" * 40, "x" * 300)),
        Kind.BYTES: lambda: draw.choice(("", "AAEC", "no base64!")),
        Kind.LIST: lambda: draw.choice(([], [1, 2, 3, 4], ["\x1b[2J"], [None, {}])),
    }[kind]()


@pytest.mark.parametrize("seed", range(40))
def test_no_event_whatever_it_says_moves_the_terminal_or_breaks_the_columns(seed, tmp_path, capsys):
    draw, lines = random.Random(seed), [Path(DEVICE).read_text().splitlines()[0]]
    for _ in range(40):
        name = draw.choice([*EVENTS, "moon:seen"])
        fields = [*FIELDS] if name not in EVENTS else [*EVENTS[name].fields]
        if "frame" in fields:
            frame = draw.choice([*FRAMES, "\x1b[2J"])
            fields += FRAMES.get(frame, ())
        known = draw.sample(fields, draw.randint(0, len(fields)))
        data = {field: draw.choice((None, any_value(draw, FIELDS[field].kind))) for field in known}
        if "frame" in fields and draw.random() < 0.9:
            data["frame"] = frame
        lines.append(json.dumps({"time": draw.uniform(0, 1e6), "name": name, "data": data}))
    path = tmp_path / "it.trace"
    path.write_text("\n".join(lines) + "\n")
    assert main(["trace", str(path)]) == 0
    shown = capsys.readouterr().out
    assert not set(shown) & set("\x1b\r\u202e")
    assert max(map(display_width, shown.splitlines())) <= 100
    assert main(["trace", str(path), "--json"]) == 0
    json.loads(capsys.readouterr().out)


def test_every_event_has_words():
    for name, kind in EVENTS.items():
        if not name.startswith("session:"):
            assert event_text(name, {}) != name
            assert kind.text


def test_the_hand_written_traces_say_what_the_table_says():
    for path in (DEVICE, CLOUD):
        for event in parse_trace(Path(path).read_bytes()).events:
            allowed = {*EVENTS[event.name].fields, *FRAMES.get(event.data.get("frame", ""), ())}
            assert set(event.data) <= allowed, event


def test_serve_writes_the_clouds_end_and_closes_it(tmp_path, monkeypatch):
    from heliograph.serving.web import runner

    def serving(*arguments, trace, **named):
        trace("connection:opened", {"connection": 1, "session": 1})

    monkeypatch.setattr(runner, "run_server", serving)
    path = tmp_path / "cloud.trace"
    assert main(["serve", "--trace", str(path)]) == 0
    trace = parse_trace(path.read_bytes())
    assert (trace.vantage_point, [event.name for event in trace.events]) == ("cloud", ["connection:opened"])


def test_a_file_that_is_no_trace_is_not_written_over(tmp_path, capsys):
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(b"\xff\xd8")
    assert main(["serve", "--trace", str(photo)]) == 3
    assert "it is there, and it is no trace" in capsys.readouterr().err
    assert photo.read_bytes() == b"\xff\xd8"
