"""When to look again: every policy on sure and doubtful first answers, and what a look may cost."""

from dataclasses import replace

import pytest

from heliograph.boxes import PixelBox
from heliograph.controllers.region.find import Found
from heliograph.controllers.region.policies import FirstLook, Price, least_chance
from heliograph.errors import UsageError
from heliograph.registry import REGION_POLICIES

FOUND = Found(PixelBox(100, 200, 228, 328), 0.4)


def first(bits=0.0, right=None, key=b"k", **price):
    return FirstLook(bits, right, FOUND, (512, 512), key, Price(**price))


def policy(name, **arguments):
    return REGION_POLICIES.load(name)(**arguments)


SURE, DOUBTFUL = first(0.01, right=0.99), first(3.3, right=0.02)


@pytest.mark.parametrize(
    ("name", "sure", "doubtful"),
    [
        ("never", None, None),
        ("always", FOUND.box, FOUND.box),
        ("threshold", None, FOUND.box),
        ("calibrated", None, FOUND.box),
    ],
)
def test_sure_and_doubtful_answers(name, sure, doubtful):
    assert policy(name).decide(SURE) == sure
    assert policy(name).decide(DOUBTFUL) == doubtful


def test_policies_that_look_at_no_answer():
    assert [policy(name).wants(SURE) for name in ("never", "always", "random-box")] == [False, True, True]


def test_names_are_the_registry_s():
    assert all(policy(name).name == name for name in REGION_POLICIES.names())


def test_a_random_box_has_the_same_size_lies_in_the_photo_and_repeats():
    places = set()
    for number in range(200):
        look = replace(SURE, key=b"photo %d" % number)
        left, top, right, bottom = policy("random-box").decide(look)
        assert (right - left, bottom - top) == (128, 128)
        assert left >= 0
        assert top >= 0
        assert right <= 512
        assert bottom <= 512
        assert policy("random-box").decide(look) == (left, top, right, bottom)
        places.add((left // 128, top // 128))
    assert len(places) >= 9


def test_random_retransmission_keeps_its_rate():
    looks = [replace(SURE, key=b"question %d" % number) for number in range(2000)]
    asked = [policy("random", rate=0.3).decide(look) is not None for look in looks]
    assert sum(asked) / len(asked) == pytest.approx(0.3, abs=0.04)
    assert not any(policy("random", rate=0.0).decide(look) for look in looks)
    assert all(policy("random", rate=1.0).decide(look) for look in looks)


def test_without_a_calibration_min_entropy_decides():
    assert policy("calibrated").decide(first(2.0)) == FOUND.box
    assert policy("calibrated").decide(first(0.0)) is None


def test_the_session_s_cap_holds_for_every_policy():
    spent = replace(DOUBTFUL, price=Price(looks=3, most_looks=3))
    assert all(policy(name).decide(spent) is None for name in REGION_POLICIES.names())


def test_a_free_look_is_worth_any_doubt():
    assert least_chance(Price()) == 1.0


def test_dearer_looks_ask_for_more_doubt():
    cheap = Price(rate_bit_s=1e6, rtt_s=0.05, region_bytes=130)
    dearer = [
        replace(cheap, rate_bit_s=5e3),
        replace(cheap, rtt_s=1.0),
        replace(cheap, region_bytes=100_000),
        replace(cheap, budget_bytes=140),
        replace(cheap, looks=30),
    ]
    assert 0.9 < least_chance(cheap) < 1
    assert all(least_chance(price) < least_chance(cheap) for price in dearer)


def test_what_cannot_be_afforded_is_out_of_the_question():
    assert least_chance(Price(region_bytes=200, budget_bytes=199)) == 0
    assert least_chance(Price(region_bytes=200, budget_bytes=0)) == 0
    assert least_chance(Price(looks=4, most_looks=4)) == 0
    assert least_chance(Price(rtt_s=60.0)) == 0
    assert policy("calibrated").decide(first(9.0, right=0.0, region_bytes=200, budget_bytes=100)) is None


def test_absurd_prices_are_refused():
    bad = (Price(rtt_s=-1.0), Price(rate_bit_s=float("nan")), Price(region_bytes=-1), Price(rtt_s=float("inf")))
    for price in bad:
        with pytest.raises(UsageError):
            least_chance(price)
