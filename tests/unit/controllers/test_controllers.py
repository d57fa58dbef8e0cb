"""Controllers decide from observations only, and their one target byte survives the wire."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.controllers.base import Enough, Observation, Wait, share_code
from heliograph.controllers.energy import EnergyController
from heliograph.controllers.fixed import FixedController
from heliograph.controllers.level import LevelController
from heliograph.errors import UsageError
from heliograph.registry import CONTROLLERS


@pytest.mark.parametrize("name", CONTROLLERS.names())
@given(target=st.integers(0, 255), received=st.integers(0, 10**7), energy=st.none() | st.floats(0, 1))
def test_a_finished_image_is_always_enough(name, target, received, energy):
    controller = CONTROLLERS.load(name).from_target(target)
    seen = Observation(received, 1, energy, image_finished=True)
    assert controller.decide(seen) == Enough()


@pytest.mark.parametrize("name", CONTROLLERS.names())
@pytest.mark.parametrize("target", [-1, 256, 10**9])
def test_a_target_beyond_one_byte_is_refused(name, target):
    with pytest.raises(UsageError):
        CONTROLLERS.load(name).from_target(target)


def test_fixed_needs_nothing_measured():
    assert FixedController(100).reads() == frozenset()


def test_fixed_waits_below_its_budget_and_stops_at_it():
    controller = FixedController(100)
    assert controller.decide(Observation(99, 3)) == Wait()
    assert controller.decide(Observation(100, 3)) == Enough()


def test_fixed_without_limit_never_stops_early():
    assert FixedController.from_target(0).decide(Observation(10**9, 10**6, 1.0)) == Wait()


def test_energy_waits_below_its_share_and_stops_at_it():
    controller = EnergyController.from_target(204)
    assert controller.decide(Observation(10, 1, 0.79)) == Wait()
    assert controller.decide(Observation(10, 1, 0.80)) == Enough()


def test_energy_unknown_means_wait():
    assert EnergyController.from_target(0).decide(Observation(10**6, 9, None)) == Wait()


def test_level_waits_below_its_share_and_stops_at_it():
    controller = LevelController.from_target(204)
    assert controller.reads() == frozenset({"agreement"})
    assert controller.decide(Observation(10, 1, 0.99, agreement=0.79)) == Wait()
    assert controller.decide(Observation(10, 1, 0.0, agreement=0.80)) == Enough()
    assert LevelController.from_target(0).decide(Observation(10**6, 9, 1.0)) == Wait()  # unknown, as of pixels


@given(st.floats(0, 1))
def test_the_code_of_a_share_never_asks_for_less(share):
    assert EnergyController.from_target(share_code(share)).share >= share - 1e-12


@pytest.mark.parametrize("share", [-0.01, 1.01, float("nan")])
def test_energy_share_outside_0_to_1_is_refused(share):
    with pytest.raises(UsageError):
        share_code(share)
