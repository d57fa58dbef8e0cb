"""How a served connection speaks with the door, on made-up time."""

import asyncio

import pytest

from heliograph.errors import ServerBusyError
from heliograph.serving.admission.door import Door, Stage
from heliograph.serving.admission.guest import GuestAtDoor
from heliograph.serving.admission.refusals import Refusals
from heliograph.serving.limits import Limits
from heliograph.serving.metrics import Metrics


def at_the_door(fake, **limits):
    """A guest, its visit and the counters."""
    metrics = Metrics()
    door = Door(Limits(**limits), metrics, fake.now)
    refusals = Refusals(10.0, fake.now, lambda address, count: None)
    visit = door.arrive("10.0.0.1", lambda: None)
    return GuestAtDoor(visit, door, refusals, metrics), visit, door, metrics


def test_the_fourth_wrong_token_waits_a_quarter_of_a_second_and_the_fifth_twice_as_long(fake):
    async def whole():
        guest, visit, _, metrics = at_the_door(fake)
        waits = []
        for _ in range(5):
            began_s = fake.now()
            await guest.refuse()
            waits.append(fake.now() - began_s)
        return waits, metrics.tokens_refused_total, visit.stage, visit.deadline_s - fake.now()

    waits, refused, stage, left_s = fake.run(whole())
    assert waits == pytest.approx([0.0, 0.0, 0.0, 0.25, 0.5])
    assert (refused, stage, left_s) == (5, Stage.REFUSED, pytest.approx(120.0))


def test_nobody_waits_for_a_stranger_who_has_gone(fake):
    async def whole():
        guest, visit, *_ = at_the_door(fake)
        for _ in range(9):
            await guest.refuse()
        began_s = fake.now()
        asyncio.get_running_loop().call_later(1.0, visit.leave)
        await guest.refuse()
        return fake.now() - began_s

    assert fake.run(whole()) == pytest.approx(1.0)


def test_a_guest_takes_a_place_and_gives_it_back(fake):
    async def whole():
        guest, visit, door, metrics = at_the_door(fake, max_sessions=1)
        guest.admit(inherits=False)
        places = [door.sessions]
        other = GuestAtDoor(door.arrive("10.0.0.2", lambda: None), door, None, metrics)
        with pytest.raises(ServerBusyError):
            other.admit(inherits=False)
        other.admit(inherits=True)
        places.append(door.sessions)
        guest.over()
        return [*places, door.sessions], visit.stage

    assert fake.run(whole()) == ([1, 2, 1], Stage.CLOSING)
