"""Tags of start-time fair queueing, and how many are remembered."""

import asyncio

import pytest

from heliograph.serving.fair.parties import Parties, Party
from heliograph.serving.fair.shares import MAX_OWING, FairShares
from model_turns import Model, Session, served


def party(number, weight=1.0):
    return Party(str(number).encode(), weight)


def test_what_a_job_took_is_charged_whatever_was_expected():
    shares, one, other = FairShares(), party(1), party(2)
    for guest in (one, other):
        shares.join(guest)
    shares.begin(one, 5.0)
    assert shares.first([one, other]) is other
    shares.settle(one, 5.0, 0.5)
    shares.begin(other, 0.0)
    shares.settle(other, 0.0, 1.0)
    assert shares.first([other, one]) is one


def test_a_job_of_unknown_length_is_charged_though_nothing_else_waits_meanwhile():
    shares, one, other = FairShares(), party(1), party(2)
    shares.join(one)
    shares.join(other)
    shares.begin(one, 0.0)
    shares.leave(one)
    shares.settle(one, 0.0, 3.0)
    shares.join(one)
    assert shares.first([one, other]) is other


def test_going_and_coming_does_not_pay_a_debt():
    shares, one, other = FairShares(), party(1), party(2)
    shares.join(other)
    for _ in range(3):  # a connection for every question
        shares.join(one)
        if shares.first([other, one]) is one:
            shares.begin(one, 1.0)
            shares.settle(one, 1.0, 1.0)
        else:
            shares.begin(other, 1.0)
            shares.settle(other, 1.0, 1.0)
        shares.leave(one)
    shares.join(one)
    turns = []
    for _ in range(4):
        first = shares.first([other, one])
        shares.begin(first, 1.0)
        turns.append(first)
    assert (turns.count(one), turns.count(other)) == (2, 2)


@pytest.mark.parametrize("seconds", [0.0, 1.0])
def test_a_crowd_that_comes_once_is_forgotten(seconds):
    shares = FairShares()
    for number in range(3 * MAX_OWING):
        guest = party(number)
        shares.join(guest)
        shares.begin(guest, 0.0)
        shares.leave(guest)
        shares.settle(guest, 0.0, seconds)
        assert len(shares) <= MAX_OWING
    shares.reset()
    assert len(shares) == 0


def test_who_is_level_with_the_others_is_not_remembered():
    shares, one, other = FairShares(), party(1), party(2)
    for _ in range(2):
        for guest in (one, other):
            shares.join(guest)
            shares.begin(guest, 1.0)
            shares.settle(guest, 1.0, 1.0)
    shares.leave(one)
    shares.begin(other, 1.0)
    shares.settle(other, 1.0, 0.0)
    assert len(shares) == 2  # one is ahead of virtual time by its last job
    shares.begin(other, 0.0)
    shares.leave(other)
    assert len(FairShares()) == 0


def test_after_a_busy_time_nothing_is_remembered():
    model, guests = Model(), [party(number) for number in range(40)]
    scheduler = asyncio.run(served(model, [Session(model, guest, jobs=2) for guest in guests], 1e9))
    assert len(model.done) == 80
    assert (len(scheduler._awaited.shares), len(scheduler._drafts.shares), scheduler.waiting) == (0, 0, ())


# ---- who shares ----------------------------------------------------------------------------------------------
def test_connections_of_one_key_are_one_party_as_long_as_one_of_them_is_there():
    known = Parties({b"heavy": 3.0})
    one, same, other = known.of(b"heavy"), known.of(b"heavy"), known.of(b"light")
    assert one is same
    assert (one.weight, other.weight, len(known)) == (3.0, 1.0, 2)
    del one, same
    assert len(known) == 1
    del other
    assert len(known) == 0
