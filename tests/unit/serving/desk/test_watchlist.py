"""Photos to look at again, and the timer that can be set again."""

import asyncio
from math import inf

import pytest

from heliograph.serving.alarm import Alarm
from heliograph.serving.desk.watchlist import Watchlist


def taken(watchlist):
    return [watchlist.take() for _ in range(len(watchlist))]


def test_every_photo_is_there_once_and_the_oldest_change_comes_first():
    watchlist = Watchlist()
    for image_id in (3, 1, 3, 2, 1):
        watchlist.add(image_id)
    assert taken(watchlist) == [3, 1, 2]
    assert not watchlist


def test_what_was_put_off_comes_back_first_and_before_what_has_changed_since():
    watchlist = Watchlist()
    for image_id in (1, 2):
        watchlist.postpone(image_id)
    assert not watchlist
    watchlist.add(3)
    watchlist.resume()
    assert taken(watchlist) == [1, 2, 3]
    watchlist.resume()
    assert not watchlist  # not twice


def test_a_change_takes_a_photo_out_of_those_put_off():
    watchlist = Watchlist()
    watchlist.postpone(1)
    watchlist.add(1)
    assert taken(watchlist) == [1]
    watchlist.resume()
    assert not watchlist


def test_a_photo_that_is_not_held_is_looked_at_no_more():
    watchlist = Watchlist()
    for image_id in (1, 2):
        watchlist.add(image_id)
        watchlist.discard(1)
    watchlist.postpone(4)
    watchlist.postpone(5)
    watchlist.discard(4)
    watchlist.discard(9)
    watchlist.resume()
    assert taken(watchlist) == [5, 2]
    watchlist.add(1)
    watchlist.postpone(2)
    watchlist.clear()
    watchlist.resume()
    assert not watchlist


# ---- the alarm -------------------------------------------------------------------------------------------
@pytest.fixture
def ringing(fake):
    """Run a test with an alarm that notes when it rang."""

    def run(test):
        async def whole():
            rang = []
            alarm = Alarm(fake.now, lambda: rang.append(fake.now()))
            await test(alarm, rang)
            return rang

        return fake.run(whole())

    return run


def test_an_alarm_rings_once_at_its_time(ringing):
    async def test(alarm, rang):
        assert not alarm.is_set
        alarm.set(5.0)
        assert alarm.is_set
        await asyncio.sleep(4.9)
        assert rang == []
        await asyncio.sleep(10)
        assert not alarm.is_set

    assert ringing(test) == [pytest.approx(5.0)]


def test_the_newest_time_counts(ringing):
    async def test(alarm, rang):
        for at_s in (5.0, 9.0, 3.0, 3.0):
            alarm.set(at_s)
        await asyncio.sleep(4)
        alarm.set(3.0)  # the same again, after it rang: at once
        await asyncio.sleep(0.1)
        alarm.set(8.0)
        alarm.set(inf)
        assert not alarm.is_set
        await asyncio.sleep(10)

    assert ringing(test) == [pytest.approx(3.0), pytest.approx(4.0)]


def test_an_alarm_that_was_stopped_can_be_set_to_the_same_time_again(ringing):
    async def test(alarm, rang):
        alarm.set(2.0)
        alarm.stop()
        alarm.stop()
        assert not alarm.is_set
        alarm.set(2.0)
        await asyncio.sleep(3)

    assert ringing(test) == [pytest.approx(2.0)]
