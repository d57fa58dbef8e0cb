"""What stops a stream: calibrated chances, chunks on request, byte budgets and times to answer in."""

from __future__ import annotations

from dataclasses import replace
from math import isnan

import pytest

from heliograph.codec.calibration import Calibration, Curve, Signals
from heliograph.codec.expectation import Expectation
from heliograph.controllers.base import EXPECTATION, Enough, More, Observation, Wait, share_code
from heliograph.controllers.bounds import BoundedController, controller_for
from heliograph.controllers.energy import EnergyController
from heliograph.controllers.fixed import FixedController
from heliograph.controllers.foresight import predicted_signals
from heliograph.controllers.pull import PullController, chunk_segments
from heliograph.controllers.push import PushController
from heliograph.errors import UnknownNameError, UsageError
from heliograph.question import Question
from heliograph.registry import CONTROLLERS

SEEN = Observation(received_bytes=50, segments=5, total_segments=20)


def calibration(thresholds: dict[str, tuple[tuple[float, float], ...]] | None = None) -> Calibration:
    """Chances as the model or the error head says them."""
    read = {"min-entropy": "min-entropy", "error-head": "answer-differs"}
    curves = {name: Curve((value,), (0.0,), (1.0,), (1.0,), 0.0) for name, value in read.items()}
    return Calibration(curves, curves, thresholds or {})


def drafted(bits: float) -> Signals:
    return Signals(bits, bits, 0.1, 0.9, 2, 1, None, None, None, 50)


def predicted(differs: float) -> Signals:
    return predicted_signals(Expectation(0.3, differs), 50, "what?")


def push(confidence: str = "min-entropy", quality: float = 0.9) -> PushController:
    made = controller_for(Question("what?", "push", share_code(quality), confidence), calibration())
    assert isinstance(made, PushController)
    return made


def test_push_takes_the_first_draft_that_is_likely_enough() -> None:
    assert push().decide(SEEN) == Wait()
    assert push().decide(replace(SEEN, draft=drafted(0.2))) == Wait()  # chance 0.87
    assert push().decide(replace(SEEN, draft=drafted(0.1))) == Enough(take_draft=True)  # chance 0.93


def test_push_by_the_error_head_needs_no_draft_and_answers_from_what_is_there() -> None:
    controller = push("error-head")
    assert controller.decide(replace(SEEN, draft=drafted(0.0))) == Wait()
    assert controller.decide(replace(SEEN, arrived=predicted(0.2))) == Wait()
    assert controller.decide(replace(SEEN, arrived=predicted(0.05))) == Enough()


def test_push_goes_by_the_error_head_where_no_drafts_are_made() -> None:
    controller = push()
    assert controller.reads() == frozenset()
    assert controller.reads_undrafted() == {EXPECTATION}
    busy = replace(SEEN, drafting=False, draft=drafted(0.1))  # an old draft says nothing of what has come since
    assert controller.decide(busy) == Wait()
    assert controller.decide(replace(busy, arrived=predicted(0.9))) == Wait()
    assert controller.decide(replace(busy, arrived=predicted(0.01))) == Enough()
    assert controller.decide(replace(busy, arrived=predicted(0.01), drafting=True)) == Enough(take_draft=True)
    assert PushController(0.9).reads_undrafted() == frozenset()
    bounded = controller_for(Question("what?", "push", share_code(0.9), "margin", byte_budget=255), calibration())
    assert bounded.reads_undrafted() == {EXPECTATION}


def test_push_stops_where_the_share_was_reached_not_at_the_chance_itself() -> None:
    question = Question("what?", "push", share_code(0.9), "min-entropy")
    wary = controller_for(question, calibration({"min-entropy": ((0.5, 0.5), (0.95, 0.99))}))
    assert wary.decide(replace(SEEN, draft=drafted(0.1))) == Wait()
    assert wary.decide(replace(SEEN, draft=drafted(0.01))) == Enough(take_draft=True)


def test_push_without_calibration_is_energy_as_ever() -> None:
    assert controller_for(Question("what?", "push", 1, "margin"), None) == EnergyController.from_target(230)


def test_pull_asks_for_one_quarter_after_the_other() -> None:
    controller = PullController.from_target(share_code(0.9))
    doubtful = replace(SEEN, arrived=predicted(0.3))
    assert controller.decide(replace(doubtful, segments=4)) == Wait()  # the first quarter comes by itself
    assert controller.decide(doubtful) == More(5)
    assert controller.decide(replace(doubtful, asked_segments=10)) == Wait()
    assert controller.decide(replace(doubtful, segments=10, asked_segments=10)) == More(5)
    assert controller.decide(replace(doubtful, segments=10, asked_segments=10, arrived=predicted(0.05))) == Enough()


def test_pull_looks_at_whole_chunks_only() -> None:
    sure = replace(SEEN, segments=7, asked_segments=10, arrived=predicted(0.0))
    assert PullController.from_target(128).decide(sure) == Wait()


def test_pull_without_error_head_goes_by_energy() -> None:
    controller = PullController.from_target(share_code(0.9))
    assert controller.decide(replace(SEEN, retained_energy=0.91)) == Enough()
    assert controller.decide(replace(SEEN, retained_energy=0.5)) == More(5)


def test_pull_corrects_the_error_head_where_it_can() -> None:
    corrected = controller_for(Question("what?", "pull", share_code(0.6)), calibration())
    assert corrected.decide(replace(SEEN, arrived=predicted(0.45))) == More(5)
    assert corrected.decide(replace(SEEN, arrived=predicted(0.3))) == Enough()


def test_pull_takes_the_corrected_chance_not_the_error_heads_own() -> None:
    """230 / 255 = .902 is asked for. It was reached at .5 + .402 * .49 / .45 = .938, and .93 is less than that."""
    question, likely = Question("what?", "pull", share_code(0.9)), replace(SEEN, arrived=predicted(0.07))
    wary = controller_for(question, calibration({"error-head": ((0.5, 0.5), (0.95, 0.99))}))
    assert wary.decide(likely) == More(5)
    assert controller_for(question, None).decide(likely) == Enough()


def test_pull_has_enough_at_exactly_the_chance_that_is_asked_for() -> None:
    exact = PullController(quality=0.75)
    assert exact.decide(replace(SEEN, arrived=predicted(0.25))) == Enough()
    assert exact.decide(replace(SEEN, arrived=predicted(0.25 + 2**-20))) == More(5)


def test_only_push_judges_answers() -> None:
    """A device sends small messages where the cloud may stop at any of them, and cannot foresee where it will."""
    names = ("push", "pull", "energy", "fixed")
    assert [CONTROLLERS.load(name).judges_answers for name in names] == [True, False, False, False]


@pytest.mark.parametrize(("total", "chunk"), [(0, 1), (1, 1), (4, 1), (17, 5), (20, 5)])
def test_four_chunks_hold_every_segment(total: int, chunk: int) -> None:
    assert chunk_segments(total) == chunk
    assert 4 * chunk >= total


@pytest.mark.parametrize("name", ["push", "pull", "energy", "fixed"])
def test_a_byte_budget_ends_any_controller(name: str) -> None:
    bounded = controller_for(Question("what?", name, 255 if name != "fixed" else 0, byte_budget=64), None)
    assert not isinstance(bounded.decide(replace(SEEN, received_bytes=63)), Enough)
    assert not isinstance(bounded.decide(SEEN), Enough)
    assert bounded.decide(replace(SEEN, received_bytes=64)) == Enough()


def test_a_time_to_answer_in_leaves_time_for_the_answer() -> None:
    bounded = controller_for(Question("what?", "fixed", 0, answer_within_s=2.048), None)
    assert bounded.decide(replace(SEEN, elapsed_s=1.9)) == Wait()
    assert bounded.decide(replace(SEEN, elapsed_s=1.9, answer_s=0.2)) == Enough()


def test_bounds_keep_what_is_read_and_what_is_decided_within_them() -> None:
    bounded = controller_for(Question("what?", "push", share_code(0.9), "error-head", byte_budget=255), calibration())
    assert bounded.reads() == push("error-head").reads()
    assert bounded.decide(replace(SEEN, arrived=predicted(0.01))) == Enough()


def test_an_unknown_controller_is_named() -> None:
    with pytest.raises(UnknownNameError):
        controller_for(Question("what?", "magic", 1), None)


def test_what_is_to_be_measured_of_every_prefix() -> None:
    """Each costs a decoding, so that nothing is measured that nobody reads."""
    assert push("error-head").reads() == {"expectation"}
    assert push("min-entropy").reads() == frozenset()
    assert PullController(0.5).reads() == {"expectation", "energy"}
    assert EnergyController(0.5).reads() == {"energy"}


def test_only_pull_asks_for_every_chunk() -> None:
    assert [CONTROLLERS.load(name).asks for name in ("push", "pull", "energy", "fixed")] == [False, True, False, False]


def test_pull_without_any_knowledge_goes_on_to_the_end() -> None:
    assert PullController(1.0).decide(SEEN) == More(5)
    assert PullController(0.5).decide(Observation(50, 5)) == More(1)  # of how many is not stated
    assert PullController(0.5).decide(Observation(0, 0)) == Wait()


@pytest.mark.parametrize("name", ["push", "pull", "energy"])
def test_a_target_is_a_share_in_255ths(name: str) -> None:
    made = CONTROLLERS.load(name).from_target(51)
    assert (made.share if name == "energy" else made.quality) == 0.2
    assert CONTROLLERS.load("fixed").from_target(121).byte_budget == 1024  # 2 ** (120 / 12)


def test_a_prediction_knows_nothing_of_an_answer() -> None:
    found = predicted(0.25)
    assert [isnan(v) for v in (found.min_entropy_bits, found.first_bits, found.entropy_bits, found.margin)] == [
        True
    ] * 4
    assert (found.answer_tokens, found.stable_drafts, found.stable_bytes, found.received_bytes) == (0, 0, 0, 50)
    assert (found.token_error, found.answer_differs, found.retained_energy, found.question) == (
        0.3,
        0.25,
        None,
        "what?",
    )


def test_a_bounded_controller_cannot_be_asked_for() -> None:
    with pytest.raises(UsageError) as caught:
        BoundedController.from_target(1)
    assert caught.value.__notes__ == ["bounded wraps another controller and cannot be chosen by name."]
    assert controller_for(Question("what?", "fixed", 0), None) == FixedController(None)
    assert controller_for(Question("what?", "fixed", 0, byte_budget=64), None) == BoundedController(
        FixedController(None), 64
    )
