"""Which payload is still here when a connection breaks: counted by hand."""

from __future__ import annotations

from heliograph.edge.departures import Departures
from heliograph.transport.base import Delivery


def at(accepted: int, departed: int) -> Delivery:
    return Delivery(accepted, departed, 0)


def test_everything_that_left_is_payload_that_left() -> None:
    out = Departures()
    out.queue(100)
    out.begin(at(200, 200))
    assert out.unsent(at(310, 310)) == 0


def test_a_message_that_left_in_part() -> None:
    out = Departures()
    for end in (110, 220):
        out.queue(100)
        out.begin(at(end - 110, 0))
    assert out.unsent(at(220, 0)) == 200
    assert out.unsent(at(220, 60)) == 140  # what left may all have been payload, the 10 bytes of heads still here
    assert out.unsent(at(220, 110)) == 100
    assert out.unsent(at(220, 209)) == 1
    assert out.unsent(at(220, 210)) == 0
    assert out.unsent(at(220, 220)) == 0


def test_what_no_message_has_taken_and_what_is_being_sent() -> None:
    out = Departures()
    out.queue(30)
    assert out.unsent(at(50, 50)) == 30
    out.begin(at(50, 50))
    out.queue(7)
    assert out.unsent(at(50, 50)) == 37  # the connection has not taken it
    assert out.unsent(at(90, 60)) == 27  # it has, and 10 bytes left
    assert out.unsent(at(90, 90)) == 7


def test_messages_without_payload_do_not_count() -> None:
    out = Departures()
    out.begin(at(0, 0))
    assert out.unsent(at(500, 0)) == 0


def test_payload_counts_until_its_last_byte_has_left_and_is_then_forgotten() -> None:
    out = Departures()
    out.queue(10)
    out.begin(at(0, 0))
    out.begin(at(12, 9))
    assert out.unsent(at(12, 9)) == 1
    out.begin(at(20, 10))
    assert out._messages == [(12, 0), (20, 0)]  # what a long stream has sent takes no memory
