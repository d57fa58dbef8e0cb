"""The README's few figures follow from the published rows."""

from __future__ import annotations

from typing import Any

from heliograph.bench.summary import street_summary, summary

_UNCOMPRESSED = {"strategy": "uncompressed", "task": "all", "link_mbit": None, "accuracy": 1.0, "source": "measured"}


def row(strategy: str, mbit: float, wire: float, ms: float) -> dict[str, Any]:
    return {
        "strategy": strategy,
        "task": "all",
        "link_mbit": mbit,
        "accuracy": 1.0,
        "wire_bytes": wire,
        "final_ms": ms,
        "source": "modelled",
    }


def result(meta_payload: float = 100.0) -> dict[str, Any]:
    rows = [_UNCOMPRESSED]
    for mbit, meta_ms, jpeg_ms in ((0.02, 300.0, 600.0), (1.0, 90.0, 100.0)):
        rows += [row("meta", mbit, 500.0, meta_ms), row("jpeg", mbit, 1250.0, jpeg_ms)]
    b99 = {"meta": meta_payload, "jpeg": 1000.4, "local": 0.0, "int8": 8320.0, "pq": None}
    return {"suite": "reference", "rows": rows, "b99": b99, "b99_ci": {"meta": [90.0, 110.0]}}


def test_a_line_per_coded_stream_and_picture_file_cheapest_first() -> None:
    lines = summary([{"suite": "other"}, result()]).splitlines()
    assert lines[2] == "| `meta` | 100 [90, 110] | 500 | 300 | 90 |"
    assert lines[3] == "| `jpeg` | 1,000 | 1,250 | 600 | 100 |"
    assert not any("`local`" in line or "`int8`" in line or "`pq`" in line for line in lines)


def test_the_sentence_is_arithmetic() -> None:
    sentence = summary([result()]).splitlines()[-1]
    assert "`meta` needs 10 % of the payload" in sentence
    assert "40 % of its bytes on the wire" in sentence
    assert "50 % of its time over the thin link and 90 % over the quick one" in sentence


def test_a_codec_that_loses_is_shown_to_lose() -> None:
    assert summary([result(meta_payload=2000.0)]).endswith(
        "No coded stream needs fewer bytes than the best picture file."
    )


def test_bare_pictures_are_the_opponents_where_they_were_measured() -> None:
    found = result()
    for mbit, ms in ((0.02, 400.0), (1.0, 95.0)):
        found["rows"].append(row("avif-bare", mbit, 1000.0, ms))
    found["b99"]["avif-bare"] = 500.0
    text = summary([found])
    assert text.splitlines()[3] == "| `avif-bare` | 500 | 1,000 | 400 | 95 |"
    assert text.splitlines()[4].startswith("| `jpeg` |")
    assert "20 % of the payload of the best bare picture (10 % of the best standard file's)" in text
    assert "50 % of its bytes on the wire" in text
    assert "75 % of its time over the thin link" in text


def test_without_the_suite_there_is_nothing() -> None:
    assert summary([]) == ""


def street(payload: float | None) -> dict[str, Any]:
    names = ("bytes", "wire bytes of an exchange on an open connection")
    ratio = "best progressive codec / best tuned pixel codec at agreement 0.90"
    figures = [{"name": f"{name}, {ratio}", "value": payload} for name in names]
    notes = ["something", "Where pixels win: at 0.95.", "Where pixels win: in time."]
    return {"suite": "street", "figures": figures, "notes": notes}


def test_real_photos_come_with_their_picture_and_the_first_place_where_pixels_win() -> None:
    text = street_summary([result(), street(0.123)])
    assert text.startswith("![")
    assert "](docs/results/street-agreement.png)" in text
    assert "12 % of the payload" in text
    assert text.endswith("Where pixels win: at 0.95.")
    assert "no coded stream" in street_summary([street(None)])
    assert street_summary([result()]) == ""
