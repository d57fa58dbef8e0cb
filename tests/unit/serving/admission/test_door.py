"""Who gets a place, who makes room and who is ended, by a clock that the test moves."""

import pytest

from heliograph.errors import ServerBusyError
from heliograph.serving.admission.door import Door, Stage, address_of, is_loopback
from heliograph.serving.limits import Limits
from heliograph.serving.metrics import Metrics


class Street:
    """A door, a clock and what was ended."""

    def __init__(self, open_to_all=False, **limits):
        self.now, self.ended, self.metrics = 1000.0, [], Metrics()
        self.door = Door(Limits(**limits), self.metrics, lambda: self.now, open_to_all)

    def come(self, address, name=None):
        """A connection that came a second after the one before."""
        self.now += 1
        name = name or f"{address}@{self.now:.0f}"
        return self.door.arrive(address, lambda: self.ended.append(name))

    def greet(self, address):
        visit = self.come(address)
        self.door.await_hello(visit)
        self.door.admit(visit)
        return visit


def test_a_full_waiting_room_drops_the_longest_waiting_of_the_address_that_holds_most():
    street = Street(max_ungreeted=4, max_per_address=3)
    for address, name in (("a", "a1"), ("b", "b1"), ("b", "b2"), ("b", "b3")):
        street.come(address, name)
    street.come("c")
    assert street.ended == ["b1"]
    street.come("d")
    assert street.ended == ["b1", "b2"]
    assert (street.door.waiting, street.metrics.connections_dropped_total) == (4, 2)


def test_one_address_pushes_out_its_own_only():
    street = Street(max_ungreeted=100, max_per_address=5)
    honest = street.come("honest", "honest")
    for number in range(50):
        street.come("stranger", f"s{number}")
    assert street.ended == [f"s{number}" for number in range(45)]
    street.door.admit(honest)
    assert (street.door.sessions, street.door.waiting) == (1, 5)


def test_who_showed_a_wrong_token_makes_room_first():
    street = Street(max_per_address=3)
    street.come("a", "old")
    street.door.refuse(street.come("a", "wrong"), 5)
    street.come("a", "young")
    street.come("a", "new")
    assert street.ended == ["wrong"]


def test_sessions_have_places_that_strangers_cannot_take():
    street = Street(max_sessions=2, max_ungreeted=10, max_per_address=10)
    for _ in range(30):
        street.come("stranger")
    first = street.greet("device")
    street.greet("device")
    assert (street.door.sessions, street.door.waiting) == (2, 9)
    third = street.come("device")
    with pytest.raises(ServerBusyError):
        street.door.admit(third)
    assert street.metrics.sessions_refused_total == 1
    street.door.over(first)
    street.door.admit(third)
    assert (street.door.sessions, street.metrics.sessions_total) == (2, 3)


def test_who_takes_a_session_over_gets_in_though_the_server_is_full():
    street = Street(max_sessions=1)
    old = street.greet("device")
    new = street.come("device")
    street.door.admit(new, inherits=True)
    street.door.over(old)
    assert street.door.sessions == 1
    with pytest.raises(ServerBusyError):
        street.door.admit(street.come("other"))


@pytest.mark.parametrize(
    ("address", "open_to_all", "room"),
    [("192.0.2.1", True, 2), ("192.0.2.1", False, 4), ("127.0.0.1", True, 4), ("::1", True, 4)],
)
def test_without_tokens_one_address_leaves_places_for_others(address, open_to_all, room):
    street = Street(open_to_all, max_sessions=4, max_sessions_per_address=2)
    for _ in range(room):
        street.greet(address)
    with pytest.raises(ServerBusyError):
        street.greet(address)
    if room < 4:
        street.greet("192.0.2.2")


def test_every_stage_but_a_session_has_a_deadline():
    limits = {"request_timeout_s": 30.0, "hello_timeout_s": 10.0, "send_timeout_s": 5.0}
    for prepare, patience_s in (
        (lambda door, visit: None, 30),
        (lambda door, visit: door.await_hello(visit), 10 + 5),
        (lambda door, visit: door.refuse(visit, 7), 7 + 5),
        (lambda door, visit: door.over(visit), 5),
        (lambda door, visit: (door.admit(visit), door.over(visit)), 5),
    ):
        street = Street(**limits)
        prepare(street.door, street.come("a"))
        street.now += patience_s - 0.5
        street.door.drop_overdue()
        assert street.ended == []
        street.now += 1
        street.door.drop_overdue()
        assert (len(street.ended), street.door.waiting) == (1, 0)


def test_a_session_is_never_overdue():
    street = Street()
    street.greet("a")
    street.now += 1e6
    street.door.drop_overdue()
    assert (street.ended, street.door.sessions) == ([], 1)


def test_what_is_gone_stays_gone():
    street, gone = Street(), []
    visit = street.come("a")
    visit.on_gone = lambda: gone.append(visit)
    visit.leave()
    visit.leave()
    for late in (street.door.admit, street.door.over, street.door.await_hello, lambda v: street.door.refuse(v, 1)):
        late(visit)
    assert (street.door.sessions, street.door.waiting, visit.stage, gone) == (0, 0, Stage.GONE, [visit])
    assert (street.metrics.connections_open, street.metrics.sessions_open) == (0, 0)


def test_room_can_be_made_where_the_system_has_none():
    street = Street()
    assert not street.door.drop_one()
    street.greet("a")
    assert not street.door.drop_one(), "a session is nobody's room"
    street.come("b", "b")
    assert street.door.drop_one()
    assert street.ended == ["b"]


def test_strangers_send_so_much_together_and_the_one_who_sent_most_is_ended():
    street = Street(max_ungreeted_bytes=1000)
    honest, big, bigger = (street.come("a", name) for name in ("honest", "big", "bigger"))
    honest.note_sent(60)
    big.note_sent(400)
    bigger.note_sent(500)
    assert street.ended == []
    big.note_sent(50)
    assert street.ended == ["bigger"]
    street.door.admit(honest)
    honest.note_sent(10_000)
    bigger.note_sent(10_000)
    big.note_sent(550)
    assert street.ended == ["bigger"], "what has been greeted or has left counts no more"
    big.note_sent(1)
    assert street.ended == ["bigger", "big"]


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::1"),
        ("", ""),
        ("a pipe", "a pipe"),
    ],
)
def test_what_counts_as_one_address(host, address):
    assert address_of(host) == address


def test_this_machine_is_known():
    assert all(map(is_loopback, ("127.0.0.1", "127.9.9.9", "::1")))
    assert not any(map(is_loopback, ("192.0.2.1", "0.0.0.0", "2001:db8::/64", "")))


def test_a_deadline_is_over_when_it_is_reached():
    street = Street(request_timeout_s=30.0)
    street.come("a", "a")
    street.now += 29.9
    street.door.drop_overdue()
    assert street.ended == []
    street.now += 0.1
    street.door.drop_overdue()
    assert street.ended == ["a"]


def test_what_is_counted_is_what_is_there():
    street = Street()
    for address in ("a", "a", "b"):
        street.come(address)
    street.greet("c")
    metrics = street.metrics
    assert (street.door.waiting, street.door.sessions) == (3, 1)
    assert (metrics.connections_open, metrics.sessions_open) == (4, 1)
    assert (metrics.connections_total, metrics.sessions_total, metrics.connections_dropped_total) == (4, 1, 0)


def test_what_a_stranger_sent_counts_no_more_when_it_has_gone():
    street = Street(max_ungreeted_bytes=1000)
    first, second = street.come("a", "first"), street.come("b", "second")
    first.note_sent(900)
    first.leave()
    second.note_sent(1000)
    assert street.ended == []
    second.note_sent(1)
    assert street.ended == ["second"]
