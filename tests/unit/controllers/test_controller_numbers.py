"""Controllers and policies at the very number where they change their mind; expectations worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from hashlib import blake2b

import pytest

from heliograph.codec.calibration import Calibration, Curve, Signals
from heliograph.controllers.base import Enough, More, Observation, Wait, share_code
from heliograph.controllers.bounds import BoundedController
from heliograph.controllers.fixed import FixedController
from heliograph.controllers.pull import PullController
from heliograph.controllers.push import PushController
from heliograph.controllers.region.find import Found
from heliograph.controllers.region.policies import FirstLook, Price, RegionPolicy, drawn, least_chance
from heliograph.errors import UsageError
from heliograph.registry import REGION_POLICIES

SEEN = Observation(received_bytes=50, segments=5, total_segments=20)
WAITING = FixedController(None)


def test_a_draft_that_was_enough_is_taken_also_where_the_budget_is_spent() -> None:
    calibration = Calibration({"min-entropy": Curve(("min-entropy",), (0.0,), (1.0,), (1.0,), 0.0)}, {}, {})
    inner = PushController(0.5, "min-entropy", calibration)
    sure = replace(SEEN, draft=Signals(0.1, 0.1, 0.1, 0.9, 2, 1, None, None, None, 50))
    assert BoundedController(inner, 10).decide(sure) == Enough(take_draft=True)
    assert BoundedController(inner, 10).decide(SEEN) == Enough()


def test_a_byte_budget_and_a_time_to_answer_in_end_at_the_very_number() -> None:
    budget = BoundedController(WAITING, 50)
    assert budget.decide(SEEN) == Enough()
    assert budget.decide(replace(SEEN, received_bytes=49)) == Wait()
    assert BoundedController(WAITING, 1).decide(replace(SEEN, received_bytes=0)) == Wait()
    assert BoundedController(WAITING).decide(replace(SEEN, elapsed_s=1e9)) == Wait()
    timed = BoundedController(WAITING, None, 1.0)
    assert timed.decide(replace(SEEN, elapsed_s=0.75, answer_s=0.25)) == Enough()
    assert timed.decide(replace(SEEN, elapsed_s=0.75, answer_s=0.125)) == Wait()


@pytest.mark.parametrize(
    ("segments", "asked", "decision"),
    [(4, 0, Wait()), (5, 0, More(5)), (15, 15, More(5)), (18, 18, More(2)), (20, 20, More(1)), (14, 15, Wait())],
)
def test_pull_asks_for_no_more_than_there_is(segments: int, asked: int, decision: More | Wait) -> None:
    seen = replace(SEEN, segments=segments, asked_segments=asked, retained_energy=0.2)
    assert PullController(0.9).decide(seen) == decision


@pytest.mark.parametrize(("share", "code"), [(0.0, 0), (1.0, 255), (0.2, 51), (0.5, 128), (0.001, 1), (0.999, 255)])
def test_shares_are_rounded_up(share: float, code: int) -> None:
    assert share_code(share) == code


@pytest.mark.parametrize(
    ("price", "chance"),
    [
        # 0.4 s and 500 bytes at 1,000 a second: 0.9 s of 8, over 0.8.
        (Price(8000.0, 0.4, 500), 1 - 0.9 / 8 / 0.8),
        (Price(0.0, 0.4, 500), 1 - 0.4 / 8 / 0.8),
        # Half of the share of the budget on top: 500 of 1,000.
        (Price(8000.0, 0.4, 500, 1000), 1 - (0.9 / 8 + 0.25) / 0.8),
        (Price(8000.0, 0.4, 500, 500), 1 - (0.9 / 8 + 0.5) / 0.8),
        # A quarter of the looks is gone.
        (Price(8000.0, 0.4, 500, 1000, 8, 32), 1 - (0.9 / 8 + 0.25) / (0.8 * 0.75)),
        (Price(8000.0, 0.4, 500, 499), 0.0),
        (Price(8000.0, 0.4, 0, 0), 1 - 0.4 / 8 / 0.8),
        (Price(looks=32), 0.0),
        (Price(looks=31), 1.0),
        (Price(rtt_s=6.4), 0.0),
        (Price(rtt_s=6.0), 1 - 6 / 6.4),
    ],
)
def test_what_a_look_asks_for(price: Price, chance: float) -> None:
    assert least_chance(price) == pytest.approx(chance)


@pytest.mark.parametrize("name", ["rate_bit_s", "rtt_s", "region_bytes", "looks", "most_looks"])
def test_every_number_of_a_price_is_checked(name: str) -> None:
    for value in (-1, float("inf"), float("nan")):
        with pytest.raises(UsageError):
            least_chance(Price(**{name: value}))  # type: ignore[arg-type]


FOUND = Found((100, 200, 228, 328), 0.4)


def wants(policy: RegionPolicy, bits: float = 0.0, right: float | None = None, price: Price | None = None) -> bool:
    return policy.decide(FirstLook(bits, right, FOUND, (512, 512), b"key", price or Price())) is not None


def test_policies_at_their_limits() -> None:
    threshold, calibrated = REGION_POLICIES.load("threshold")(), REGION_POLICIES.load("calibrated")()
    assert [wants(threshold, bits) for bits in (0.5, 0.500001)] == [False, True]
    assert [wants(calibrated, right=right) for right in (0.7, 0.699999)] == [False, True]
    assert [wants(calibrated, bits=bits) for bits in (0.5, 0.6)] == [False, True]  # 2 ** -0.5 = 0.707, 2 ** -0.6 = 0.66
    dear = Price(rtt_s=3.2)  # half of all chances at most
    assert [wants(calibrated, right=right, price=dear) for right in (0.51, 0.49)] == [False, True]
    assert [wants(threshold, 9.0, price=Price(looks=n, most_looks=3)) for n in (2, 3)] == [True, False]


def test_draws_are_uniform_numbers_of_their_key_and_purpose() -> None:
    digest = blake2b(b"key", digest_size=6, person=b"rate").digest()
    assert drawn(b"key", b"rate") == int.from_bytes(digest, "big") / 2**48
    random = REGION_POLICIES.load("random")
    limit = drawn(b"key", b"rate")
    assert [wants(random(rate=rate)) for rate in (limit, limit + 1e-9)] == [False, True]
    first = FirstLook(0.0, None, FOUND, (512, 400), b"key")
    left, top, right, bottom = REGION_POLICIES.load("random-box")().decide(first)
    assert (left, top) == (int(drawn(b"key", b"x") * 385), int(drawn(b"key", b"y") * 273))
    assert (right, bottom) == (left + 128, top + 128)


def test_what_is_not_stated_of_an_observation_is_unknown_or_nothing() -> None:
    assert Observation(50, 5) == Observation(50, 5, None, False, None, None, None, -1, 0, 0, 0.0, 0.0)


def test_a_look_that_nothing_is_known_of_is_free_and_a_session_has_32() -> None:
    assert Price() == Price(0.0, 0.0, 0, None, 0, 32)
    assert FirstLook(0.0, None, FOUND, (512, 512), b"key").price == Price()
    assert least_chance(Price(rtt_s=0.8, looks=16)) == pytest.approx(1 - 0.1 / (0.8 * 0.5))


def test_half_of_all_questions_are_looked_at_again_at_random() -> None:
    random = REGION_POLICIES.load("random")()
    for number in range(40):
        first = FirstLook(0.0, None, FOUND, (512, 512), b"%d" % number)
        assert (random.decide(first) is not None) is (drawn(first.key, b"rate") < 0.5)
