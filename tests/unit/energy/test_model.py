"""Terms of an exchange, worked out by hand on small radios, and the order that survives the bands."""

from __future__ import annotations

import itertools

import pytest

from heliograph.energy.airtime import Rate
from heliograph.energy.constants import Constant, Row, load_catalogue
from heliograph.energy.joules import Modelled
from heliograph.energy.model import AWAKE, COMPUTE, PACKETS, TAIL, TERMS, WAIT, WAKE, estimate
from heliograph.energy.radios import UPGRADE_BYTES, Board, Radio, Traffic, board_named, framed_bytes, radio_named
from heliograph.energy.ranking import byte_against_compute, certainly_less, pairs, tiers
from heliograph.errors import UsageError

CATALOGUE = load_catalogue()


def constant(name, unit, *values):
    return Constant(name, name, unit, tuple(Row(value, "modelled", "here") for value in values))


TRANSMIT = constant("transmit", "W", 0.5)
BOARD = Board("board", "a board", 4, constant("idle", "W", 1.0), constant("busy", "W", 3.0))


def radio(**fields):
    plain = {
        "name": "radio",
        "about": "a radio",
        "source": "here",
        "airtime": Rate(8000.0),
        "max_payload_bytes": 100,
        "header_bytes": 10,
        "covered_bytes": 0,
        "websocket": False,
        "duty_cycle": None,
        "answer_packets": 0,
        "missing": (),
        "transmit": TRANSMIT,
        **dict.fromkeys(("receive", "packet", "session", "session_s", "wake", "wake_s", "tail", "tail_s")),
    }
    return Radio(**{**plain, **fields})


FULL = radio(
    receive=constant("receive", "W", 0.1),
    packet=constant("packet", "J", 0.01),
    session=constant("session", "J", 2.0),
    session_s=constant("session_s", "s", 3.0),
    wake=constant("wake", "W", 1.5),
    wake_s=constant("wake_s", "s", 0.2),
    tail=constant("tail", "W", 1.0),
    tail_s=constant("tail_s", "s", 10.0),
)


def test_bytes_are_cut_into_packets_with_a_header_each():
    assert radio().on_air([30, 200]) == Traffic(230, 3, pytest.approx(0.26))
    assert radio().on_air([100]) == Traffic(100, 1, pytest.approx(0.11))
    assert radio().on_air([]) == Traffic(0, 0, 0.0)
    assert radio(answer_packets=1).on_air([100]) == Traffic(100, 2, pytest.approx(0.11))


def test_a_websocket_frames_every_message_and_opens_with_an_upgrade():
    found = radio(websocket=True, max_payload_bytes=1000).on_air([100, 200])
    assert found.sent_bytes == UPGRADE_BYTES + 106 + 208
    assert [framed_bytes(size) - size for size in (0, 125, 126, 65_535, 65_536)] == [6, 6, 8, 8, 14]


def test_the_upgrade_has_as_many_bytes_as_the_library_writes():
    from websockets.client import ClientProtocol
    from websockets.uri import parse_uri

    request = ClientProtocol(parse_uri("ws://cloud.example:8765")).connect()
    assert len(request.serialize()) == UPGRADE_BYTES


def test_what_the_session_covers_takes_no_airtime():
    covering = radio(covered_bytes=150)
    assert covering.of_bytes(150) == Traffic(150, 2, 0.0)
    assert covering.of_bytes(250).airtime_s == pytest.approx(0.06 + 0.06)


def test_every_term_by_hand():
    found = estimate("one", FULL.of_bytes(150), 0.8, FULL, BOARD, wait_s=2.0)
    centre = {name: found.term(name).centre for name in TERMS}
    assert centre == pytest.approx(
        {
            COMPUTE: 3.0 * 0.2 + 1.0 * 0.6,
            WAKE: 1.5 * 0.2,
            PACKETS: 0.5 * 0.17 + 2 * 0.01 + 2.0,
            WAIT: 0.1 * 2.0,
            TAIL: 10.0,
            AWAKE: 1.0 * (0.17 + 2.0 + 0.2 + 3.0),
        }
    )
    total = found.total
    assert total.centre == pytest.approx(sum(centre.values()))
    assert (total.low, total.high) == pytest.approx((total.centre / 2, 2 * total.centre))


def test_a_device_that_answers_by_itself_only_computes():
    found = estimate("own", FULL.of_bytes(0), 0.8, FULL, BOARD, wait_s=2.0)
    assert found.total == found.term(COMPUTE) != Modelled(0.0, 0.0, 0.0)


@pytest.mark.parametrize("wrong", [{"processor_s": -1.0}, {"processor_s": float("nan")}, {"wait_s": float("inf")}])
def test_times_that_are_none_are_refused(wrong):
    with pytest.raises(UsageError):
        estimate("one", FULL.of_bytes(1), **{"processor_s": 0.0, "wait_s": 0.0, **wrong}, radio=FULL, board=BOARD)


def test_constants_disagree_by_as_much_as_the_worked_example_says():
    """129 bytes at LongFast: 0.11 J with the chip's power, 0.51 J with the board's."""
    long_fast = radio_named(CATALOGUE, "meshtastic-long-fast")
    airtime_s = long_fast.airtime.seconds(129)
    chip, board = (row.value for row in long_fast.transmit.rows)
    assert (chip * airtime_s, board * airtime_s) == pytest.approx((0.11, 0.51), abs=0.005)
    band = Modelled(*(airtime_s * one for one in (long_fast.transmit.low, 0, long_fast.transmit.high)))
    assert band.low < 0.11 < 0.51 < band.high


def test_nb_iot_hardly_depends_on_size_below_its_message():
    nb_iot, board = radio_named(CATALOGUE, "nb-iot"), board_named(CATALOGUE, "raspberry-pi-zero-2w")
    small, larger = (estimate("x", nb_iot.of_bytes(size), 0.0, nb_iot, board).total for size in (50, 500))
    assert small == larger
    assert estimate("x", nb_iot.of_bytes(5000), 0.0, nb_iot, board).total.centre > 2 * small.centre


# ---- the order -----------------------------------------------------------------------------------------
def test_fewer_packets_for_the_same_work_are_certainly_less_although_the_totals_overlap():
    one, other = (estimate(str(size), FULL.of_bytes(size), 0.1, FULL, BOARD) for size in (150, 200))
    assert one.total.high > other.total.low
    assert certainly_less(one, other)
    assert not certainly_less(other, one)
    assert not certainly_less(one, one)


def test_more_work_for_fewer_packets_is_decided_only_beyond_the_bands():
    """One byte of 1 ms: 0.5 W sending and 1 W of the board, against 1.5 W of computing."""
    many = estimate("many", radio().of_bytes(1000), 0.0, radio(), BOARD)
    close = estimate("close", radio().of_bytes(500), 0.5, radio(), BOARD)
    cheap = estimate("cheap", radio().of_bytes(500), 0.05, radio(), BOARD)
    assert not certainly_less(close, many)
    assert not certainly_less(many, close)
    assert certainly_less(cheap, many)
    assert set(pairs([many, close, cheap])) == {("cheap", "many"), ("cheap", "close")}
    assert [[one.name for one in group] for group in tiers([many, close, cheap])] == [["cheap"], ["close", "many"]]


def test_an_order_is_that_of_every_corner():
    """The largest difference over the bands is the largest over their corners."""
    one = estimate("one", radio().of_bytes(500), 0.2, radio(), BOARD)
    other = estimate("other", radio().of_bytes(900), 0.0, radio(), BOARD)
    constants = (TRANSMIT, BOARD.idle, BOARD.busy)
    differences = []
    for corner in itertools.product(*((c.low, c.high) for c in constants)):
        at = dict(zip(constants, corner, strict=True))
        differences.append(sum(at[c] * (one.quantities.get(c, 0) - other.quantities.get(c, 0)) for c in constants))
    assert certainly_less(one, other) is (max(differences) < 0)


def test_groups_keep_every_pair_that_is_not_decided_together():
    made = [
        estimate(str(n), radio().of_bytes(size), work, radio(), BOARD)
        for n, (size, work) in enumerate([(100, 0.0), (300, 0.0), (280, 0.02), (2000, 0.0)])
    ]
    names = [[one.name for one in group] for group in tiers(made)]
    assert names[0] == ["0"]
    assert names[-1] == ["3"]
    assert sorted(name for group in names for name in group) == ["0", "1", "2", "3"]
    for before, after in zip(tiers(made), tiers(made)[1:], strict=False):
        assert all(certainly_less(low, high) for low in before for high in after)


def test_what_a_byte_is_worth():
    """A byte takes 1.1 ms of 0.5 W and of the idle board's 1 W; a second of one core 0.75 x 1 + 0.25 x 3 W."""
    worth = byte_against_compute(radio(), BOARD)
    assert worth.centre == pytest.approx(1e3 * 1.1e-3 * 1.5 / 1.5)
    assert worth.low < worth.centre < worth.high
    low = 1.1 * (0.25 + 0.5) / (0.75 * 0.5 + 0.25 * 6.0)
    assert worth.low == pytest.approx(low)
