"""Shares of the model between parties, with a worker and a clock that only count: exact, whatever the machine."""

import asyncio

import pytest

from heliograph.serving.fair.urgency import UNHURRIED_S, Rank, Urgency
from model_turns import Model, Session, had, parties, served


@pytest.mark.parametrize("places", [1, 4])
def test_63_connections_of_one_token_and_1_of_another_get_half_each(places):
    flood, honest = parties(1, 1)
    model = Model(places)
    crowd = [Session(model, flood, f"f{number}") for number in range(63)]
    asyncio.run(served(model, [*crowd, Session(model, honest, "h")], 200))
    assert had(model, flood) + had(model, honest) == len(model.done) >= 200
    # with four places the honest one has one job at a time, and each of its turns waits for the three that are held
    assert had(model, honest) >= (len(model.done) - 2) / 2 if places == 1 else len(model.done) / 4 - 2
    if places == 1:
        assert [job.name[0] for job in model.done[:6]] in (list("fhfhfh"), list("hfhfhf"))


def test_every_connection_of_a_party_has_its_turn():
    (flood,) = parties(1)
    model = Model()
    crowd = [Session(model, flood, number) for number in range(9)]
    asyncio.run(served(model, crowd, 27))
    assert [job.name for job in model.done[:27]] == [*range(9)] * 3


@pytest.mark.parametrize(("light_s", "heavy_s"), [(1.0, 1.0), (0.25, 4.0), (3.0, 0.5)])
def test_weights_share_measured_seconds_not_jobs(light_s, heavy_s):
    light, heavy = parties(1, 3)
    model = Model()
    sessions = [Session(model, light, seconds=light_s), Session(model, heavy, seconds=heavy_s)]
    sessions += [Session(model, heavy, seconds=heavy_s) for _ in range(5)]
    asyncio.run(served(model, sessions, 400))
    assert abs(had(model, light) - had(model, heavy) / 3) <= light_s + heavy_s / 3  # the bound of start-time fairness


def test_who_comes_back_gets_nothing_for_its_absence_and_is_not_punished_for_what_it_had():
    early, late = parties(1, 1)
    model = Model()
    first, second = Session(model, early, "e", jobs=100), Session(model, late, "l")
    again = Session(model, early, "e")
    more = [(150, lambda scheduler: scheduler.ready(again))]
    asyncio.run(served(model, [first], 10))
    assert had(model, early) >= 10  # alone, it has it all
    asyncio.run(served(model, [first, second], 300, more))
    back = next(place for place, job in enumerate(model.done) if job.client is again)
    assert abs(had(model, early, back) - had(model, late, back)) <= 2
    assert abs(len(model.done[back:]) / 2 - had(model, late, back)) <= 1


def test_a_newcomer_waits_for_no_more_than_the_job_at_hand():
    old, new = parties(1, 1)
    model = Model()
    crowd = [Session(model, old, f"o{number}") for number in range(20)]
    guest = Session(model, new, "n", jobs=1)
    asyncio.run(served(model, crowd, 80, [(50, lambda scheduler: scheduler.ready(guest))]))
    place = next(place for place, job in enumerate(model.done) if job.client is guest)
    assert place <= 53


# ---- what goes first -------------------------------------------------------------------------------------------
def test_what_devices_wait_for_goes_before_drafts_of_anybody():
    drafting, asking = parties(100, 1)
    model = Model()
    drafts = [Session(model, drafting, "d", Rank.DRAFT) for _ in range(5)]
    finals = Session(model, asking, "f", jobs=8)
    asyncio.run(served(model, [*drafts, finals], 20))
    assert [job.name for job in model.done[:10]] == [*"ffffffff", "d", "d"]


def test_drafts_that_were_starved_are_not_made_up_for_with_answers():
    one, other = parties(1, 1)
    model = Model()
    drafts = Session(model, one, "d", Rank.DRAFT, jobs=3)
    finals, later = Session(model, other, "f"), Session(model, one, "l")
    asyncio.run(served(model, [drafts, finals], 60, [(30, lambda scheduler: scheduler.ready(later))]))
    begun = next(place for place, job in enumerate(model.done) if job.client is later)
    assert abs(had(model, one, begun) - had(model, other, begun)) <= 2


def test_within_a_party_answers_before_looks_and_looks_before_drafts():
    (party,) = parties(1)
    model = Model()
    ranks = (Rank.DRAFT, Rank.LOOK, Rank.ANSWER)
    asyncio.run(served(model, [Session(model, party, rank, rank, jobs=2) for rank in ranks], 6))
    assert [job.name for job in model.done] == [Rank.ANSWER, Rank.ANSWER, Rank.LOOK, Rank.LOOK, Rank.DRAFT, Rank.DRAFT]


def test_within_a_party_the_earliest_time_goes_first_unless_it_is_over():
    (party,) = parties(1)
    model = Model()
    model.now = 5.0
    times = {"late": 4.0, "second": 9.0, "first": 7.0, "none": float("inf"), "far": 500.0}
    sessions = [Session(model, party, name, jobs=1, due_s=due_s) for name, due_s in times.items()]
    asyncio.run(served(model, sessions, 10))
    assert [job.name for job in model.done] == ["first", "second", "late", "none", "far"]


def test_hurried_questions_hold_up_an_unhurried_one_for_a_bounded_time():
    (party,) = parties(1)
    model = Model()
    hurried = [Session(model, party, "h") for _ in range(4)]
    for session in hurried:
        session.urgency = lambda session=session, usual=session.urgency: _in_3_s(model, usual())
    patient = Session(model, party, "p", jobs=1)
    asyncio.run(served(model, [*hurried, patient], 40))
    place = [job.name for job in model.done].index("p")
    assert 5 < place <= UNHURRIED_S + 1


def _in_3_s(model, urgency):
    return urgency and Urgency(urgency.rank, urgency.since_s, model.now + 3.0)
