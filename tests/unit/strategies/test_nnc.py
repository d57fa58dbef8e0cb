"""MPEG NNC by a process of its own: what is asked of it, what it may take, and what is named where it is not there."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from heliograph.codec.header import pack_header
from heliograph.errors import MissingExtraError, ShapeError, StreamDamagedError, StreamTruncatedError
from heliograph.registry import STRATEGIES
from heliograph.strategies.foreign import ForeignProgram, ForeignProgramError
from heliograph.strategies.split import nnc, nnc_worker
from heliograph.types import EncodedImage, Grid
from strategy_tools import GRID, WIDTH, Tools, encoded_by, photo, restored_by

NAMES = ("nnc", "klt-nnc")
STAND_IN = Path(__file__).parents[2] / "support" / "nnc_stand_in.py"
REAL = os.environ.get("HELIOGRAPH_NNC", "")  # before the stand-in takes its place


@pytest.mark.parametrize("name", NAMES)
def test_tokens_come_back_within_a_step(name: str) -> None:
    tokens, sizes = Tools().encode_tokens(photo()).values, []
    for qp in (-8, 0, 8):
        encoded = encoded_by(name, step=60 + qp, rdo=0)
        step = 2 ** (qp / 8) * (0.5 if name == "klt-nnc" else 1)  # the stand-in's transform has steps of a half
        found = restored_by(encoded).tokens
        assert found.grid == GRID
        assert np.abs(found.values - tokens).max() <= step * 0.51
        sizes.append(encoded.payload_bytes)
    assert sizes == sorted(sizes, reverse=True)


@pytest.mark.parametrize(("name", "step", "rdo"), [("nnc", 60, 0), ("klt-nnc", 53, 1)])
def test_the_header_tells_the_setting(name: str, step: int, rdo: int) -> None:
    encoded = encoded_by(name, step=step, rdo=rdo)
    assert encoded.header == pack_header(GRID, GRID, small=rdo)
    assert b"".join(encoded.segments)[:2] == bytes([step, 4])


def test_rows_are_channels_and_columns_tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []

    def listen(program: Any, op: str, shape: Any, *rest: Any) -> bytes:
        asked.append((op, shape, np.frombuffer(rest[-1], "<f4").reshape(shape)))
        return b"\x00x"

    monkeypatch.setattr(nnc, "_asked", listen)
    encoded_by("nnc")
    ((op, shape, rows),) = asked
    assert (op, shape) == ("encode", (WIDTH, GRID.tokens))
    assert np.array_equal(rows.T, Tools().encode_tokens(photo()).values)


# ---- where it is not there ---------------------------------------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
def test_without_an_environment_both_ends_say_what_to_do(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = encoded_by(name)
    monkeypatch.delenv("HELIOGRAPH_NNC")
    for refused in (lambda: encoded_by(name), lambda: restored_by(encoded)):
        with pytest.raises(MissingExtraError) as caught:
            refused()
        note = caught.value.__notes__[0]
        assert "no environment is named" in note
        assert "HELIOGRAPH_NNC" in note
        assert "bench-opponents.md" in note


def test_an_environment_that_does_not_work_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HELIOGRAPH_NNC", str(tmp_path / "python"))
    with pytest.raises(MissingExtraError) as caught:
        encoded_by("nnc")
    assert "cannot be run" in caught.value.__notes__[0]
    monkeypatch.setenv("HELIOGRAPH_NNC", sys.executable)
    monkeypatch.setattr(nnc, "WORKER", tmp_path / "nothing.py")
    with pytest.raises(MissingExtraError) as caught:
        encoded_by("nnc")
    assert "nothing.py" in caught.value.__notes__[0]


# ---- what strangers send ---------------------------------------------------------------------------------
@pytest.mark.parametrize("name", NAMES)
def test_a_cut_or_damaged_stream_is_named(name: str) -> None:
    encoded = encoded_by(name)
    data = b"".join(encoded.segments)
    for length in (0, 1, 2):
        with pytest.raises(StreamTruncatedError):
            restored_by(EncodedImage(name, encoded.header, (data[:length],)))
    for damaged in (data[:9], data[:20] + b"\xff" + data[21:], b"\xff" + data[1:]):
        with pytest.raises(StreamDamagedError):
            restored_by(EncodedImage(name, encoded.header, (damaged,)))


@pytest.mark.parametrize(
    ("header", "error"),
    [
        (pack_header(GRID, GRID, small=2), StreamDamagedError),
        (pack_header(GRID, GRID, extra=1), StreamDamagedError),
        (pack_header(Grid(1, 1 << 14), GRID), ShapeError),
    ],
)
def test_headers_are_looked_at_before_a_process_is_started(
    header: bytes, error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ForeignProgram, "run", lambda *given, **named: pytest.fail("started"))
    with pytest.raises(error):
        restored_by(EncodedImage("nnc", header, (b"\x3c\x04body",)))


def test_an_answer_of_another_size_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    encoded = encoded_by("nnc")
    monkeypatch.setattr(nnc, "_asked", lambda *given: b"\x00" * 12)
    with pytest.raises(StreamDamagedError):
        restored_by(encoded)


# ---- programs --------------------------------------------------------------------------------------------
def stand_in(*words: str, **bounds: Any) -> ForeignProgram:
    return ForeignProgram((sys.executable, "-I", str(STAND_IN), *words), **bounds)


REQUEST = b'{"op": "encode", "rows": 1, "columns": 1, "qp": 0}\n\x00\x00\x00\x00'


def test_a_program_that_takes_too_long_is_ended() -> None:
    with pytest.raises(ForeignProgramError, match="took over"):
        stand_in("hang", patience_s=1.0).run(request=REQUEST)


def test_a_program_that_says_too_much_is_ended() -> None:
    with pytest.raises(ForeignProgramError, match="more than it may"):
        stand_in("shout", max_answer_bytes=1000).run(request=REQUEST)


def test_a_program_gets_no_more_of_our_environment_than_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "x")
    look = ForeignProgram((sys.executable, "-c", "import os; print(sorted(os.environ))"), {"ONE": "1"})
    seen = look.run().decode()
    assert "ONE" in seen
    assert "SECRET" not in seen
    with pytest.raises(ForeignProgramError, match="without a word"):
        ForeignProgram((sys.executable, "-c", "raise SystemExit(3)")).run()


def test_what_is_left_out_of_a_stream_is_put_back() -> None:
    head = bytes(range(33))
    streams = [nnc_worker.rebuilt(head, body) for body in (b"\x01\x07", b"\x02", b"\x03" * 400)]
    assert [int.from_bytes(one[18:20], "big") for one in streams] == [len(one) - 18 for one in streams]
    assert nnc_worker.common_head(streams) == 33
    assert nnc_worker.rebuilt(streams[1][:33], streams[2][33:]) == streams[2]


@pytest.mark.skipif(not REAL, reason="HELIOGRAPH_NNC names no environment with nncodec; docs/howto/bench-opponents.md")
@pytest.mark.parametrize("name", NAMES)
def test_the_real_one(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HELIOGRAPH_NNC", REAL)
    monkeypatch.setattr(nnc, "WORKER", Path(nnc_worker.__file__))
    tokens, errors, sizes = Tools().encode_tokens(photo()).values, [], []
    for step in (62, 54, 40):
        encoded = encoded_by(name, step=step, rdo=1)
        assert b"".join(encoded.segments)[1] in (32, 33)  # the head is left out
        errors.append(float(np.square(restored_by(encoded).tokens.values - tokens).mean()))
        sizes.append(encoded.payload_bytes)
    assert errors == sorted(errors, reverse=True)
    assert sizes == sorted(sizes)
    assert errors[-1] < 1e-3
    data = b"".join(encoded.segments)
    with pytest.raises(StreamDamagedError):
        restored_by(EncodedImage(name, encoded.header, (data[:-5],)))
    assert STRATEGIES.load(name)().restore(encoded, Tools()).tokens is not None
