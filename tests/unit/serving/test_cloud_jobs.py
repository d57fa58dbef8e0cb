"""What becomes of one piece of work: restored, answered or looked at; whatever fails is a named error. No sockets."""

from math import inf
from types import SimpleNamespace

import numpy as np
import pytest

from desk_talk import BOX, calibration
from heliograph.codec.expectation import Expectation
from heliograph.controllers.base import ENERGY, EXPECTATION
from heliograph.controllers.confidence import Draft, signals_of
from heliograph.controllers.region.find import Found
from heliograph.controllers.region.policies import Price
from heliograph.errors import (
    AnsweringFailedError,
    BundleMismatchError,
    CodecMissingError,
    ShapeError,
    StreamDamagedError,
    StreamTruncatedError,
)
from heliograph.question import Question
from heliograph.registry import REGION_POLICIES, STRATEGIES
from heliograph.serving import cloud as cloud_module
from heliograph.serving import looking
from heliograph.serving.cloud import Cloud
from heliograph.serving.jobs import UNKNOWN_PRICE, AnswerJob, Purpose
from heliograph.serving.looking import FirstAnswer, region_of
from heliograph.serving.measuring import Measured, measure
from heliograph.strategies.base import Kind, Restored, Strategy
from heliograph.types import Answer, EncodedImage, Grid, VisualTokens

DRAFT = Answer("red", 0.5, 1.25, (7,))
SIGNALS = signals_of([Draft(DRAFT, 4)], expectation=Expectation(0.1, 0.25))


def job(purpose=Purpose.FINAL, segments=(b"x",) * 3, text="what", strategy="klt", **fields):
    encoded = EncodedImage(strategy, b"", tuple(segments))
    known = {"tokens": None, "draft": None, "price": UNKNOWN_PRICE, **fields}
    question = Question(text, region="always", max_answer_tokens=known.pop("most", 64))
    return AnswerJob(0, 0, question, encoded, purpose=purpose, **known)


def tokens(value, photo=(0, 0)):
    return VisualTokens(np.full((4, 2), value, np.float32), Grid(2, 2, photo_width=photo[0], photo_height=photo[1]))


@pytest.fixture
def calibrated(cloud):
    return Cloud(cloud.model, cloud._codecs, cloud.bundle_hash, calibration())


@pytest.fixture
def made_up_time(monkeypatch):
    """Every look at the clock is a quarter of a second after the one before."""
    clock = SimpleNamespace(now=0.0)

    def now_s():
        clock.now += 0.25
        return clock.now

    monkeypatch.setattr(cloud_module, "now_s", now_s)


# ---- answers -----------------------------------------------------------------------------------------------
def test_an_answer_comes_with_what_it_was_made_from_and_how_long_it_took(cloud, made_up_time):
    outcome = cloud.run(job())
    assert (outcome.answer.text, outcome.error, outcome.kept_tokens, outcome.seconds) == (
        "what seen at 3",
        None,
        0,
        0.25,
    )
    assert outcome.tokens.values[0, 0] == 3
    assert (outcome.expectation, outcome.energy, outcome.box) == (None, None, None)


def test_a_calibrated_cloud_measures_what_it_answers_from(calibrated):
    outcome = calibrated.run(job())
    assert outcome.energy == pytest.approx(0.3)
    assert outcome.expectation.answer_differs == pytest.approx(0.7)


def test_restored_tokens_are_not_restored_again(cloud, model):
    assert cloud.run(job(segments=(b"damaged",), tokens=tokens(9.0))).answer.text == "what seen at 9"


def test_a_draft_is_verified(cloud, model):
    outcome = cloud.run(job(draft=DRAFT))
    assert (outcome.answer.text, outcome.kept_tokens, model.verified) == ("what seen at 3", 1, ["red"])


def test_an_answer_has_as_many_tokens_as_the_question_allows(cloud, model, monkeypatch):
    allowed = []
    original = type(model).answer

    def answer(self, question, images, *, max_new_tokens):
        allowed.append(max_new_tokens)
        return original(self, question, images, max_new_tokens=max_new_tokens)

    monkeypatch.setattr(type(model), "answer", answer)
    cloud.run(job(most=5))
    cloud.run(job(most=6, draft=DRAFT))
    assert allowed == [5, 6]


def test_a_second_answer_sees_photo_and_region_and_measures_nothing(calibrated):
    crop = EncodedImage("klt", b"", (b"y",) * 5)
    outcome = calibrated.run(job(Purpose.SECOND, draft=DRAFT, crop=crop))
    assert (outcome.answer.text, outcome.answer.confidence) == ("what seen at 3 and 5", 0.75)
    assert (outcome.energy, outcome.kept_tokens, outcome.tokens.values[0, 0]) == (None, 1, 3)


# ---- what fails --------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("purpose", "failed"), [(Purpose.DRAFT, False), (Purpose.FINAL, True), (Purpose.SECOND, True)])
def test_a_picture_that_is_not_whole_fails_final_answers_alone(cloud, purpose, failed, made_up_time):
    outcome = cloud.run(job(purpose, (b"\xff\xd8\xff",), strategy="jpeg"))
    assert (outcome.answer, outcome.seconds) == (None, 0.25)
    assert isinstance(outcome.error, StreamTruncatedError) is failed
    assert (outcome.error is None) is not failed


def test_damage_is_a_named_error(cloud, made_up_time):
    outcome = cloud.run(job(segments=(b"damaged",)))
    assert (type(outcome.error), outcome.seconds) == (StreamDamagedError, 0.25)


def test_what_was_not_foreseen_is_a_named_error_too(cloud, made_up_time):
    outcome = cloud.run(job(text="explode"))
    assert (type(outcome.error), outcome.answer, outcome.seconds) == (AnsweringFailedError, None, 0.25)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 1e30])
def test_tokens_that_are_no_numbers_of_a_model_are_not_answered_from(cloud, monkeypatch, value):
    monkeypatch.setattr(cloud._codecs["klt"], "decode", lambda header, segments: tokens(value))
    with pytest.raises(AnsweringFailedError):
        cloud.restore(job().encoded)


def test_a_codec_that_the_bundle_lacks_is_a_named_error(cloud, model):
    assert cloud.codec("klt") is cloud._codecs["klt"]
    with pytest.raises(CodecMissingError):
        cloud.codec("meta")
    with pytest.raises(BundleMismatchError):
        Cloud(model).codec("klt")


def test_a_grid_that_no_device_of_the_bundle_sends_is_refused(cloud, model):
    with pytest.raises(ShapeError):
        Cloud(model, cloud._codecs, grids=[Grid(3, 3)]).restore(job().encoded)
    known = Cloud(model, cloud._codecs, grids=[Grid(2, 2), Grid(3, 3)])
    assert known.restore(job().encoded).values[0, 0] == 3
    assert (known.grid, known.hidden_size) == (Grid(2, 2), 2)


def test_pictures_have_no_energy_and_no_expectation(cloud):
    picture = EncodedImage("jpeg", b"", (b"\xff\xd8\xff",))
    assert (cloud.retained_energy(picture), cloud.expect(picture, "what")) == (None, None)


# ---- where to look -----------------------------------------------------------------------------------------
class Noting:
    """A finder and a policy that note what they are given."""

    def __init__(self):
        self.given, self.looks, self.box = [], [], (10, 20, 30, 40)

    def find(self, question, tokens, photo_size):
        self.given.append((question, photo_size))
        return Found((1, 2, 3, 4), 0.7)

    def __call__(self):
        return self

    def decide(self, look):
        self.looks.append(look)
        return self.box


@pytest.fixture
def noting(monkeypatch):
    noting = Noting()
    monkeypatch.setattr(looking, "REGION_POLICIES", SimpleNamespace(load=lambda name: noting))
    return noting


@pytest.mark.parametrize(("text", "doubt_bits"), [("red", 1.25), ("", inf), ("  ", inf)])
def test_a_policy_is_given_all_that_is_known(noting, text, doubt_bits):
    price = Price(1000.0, 99)
    seen = tokens(3.0, (100, 50))
    first = FirstAnswer("what", seen, Answer(text, 0.5, 1.25), SIGNALS, "always", price)
    box = region_of(noting, first, calibration())
    (look,) = noting.looks
    assert noting.given == [("what", (100, 50))]
    assert (look.min_entropy_bits, look.found, look.photo_size, look.price) == (
        doubt_bits,
        Found((1, 2, 3, 4), 0.7),
        (100, 50),
        price,
    )
    assert look.right == calibration().right("combined", SIGNALS)
    assert look.key == b"what" + seen.values.tobytes()
    assert box == (102, 409, 308, 820)  # 10/100, 20/50, 30/100 and 40/50 of 1024, outwards


def test_what_is_not_calibrated_has_no_chance(noting):
    for signals, known in ((None, calibration()), (SIGNALS, None)):
        region_of(noting, FirstAnswer("what", tokens(3.0), DRAFT, signals, "always", Price()), known)
    assert [look.right for look in noting.looks] == [None, None]
    assert [look.photo_size for look in noting.looks] == [(1024, 1024)] * 2  # a photo of unknown size counts as square


def test_nowhere_is_nowhere(noting):
    noting.box = None
    assert region_of(noting, FirstAnswer("what", tokens(3.0), DRAFT, None, "always", Price()), None) is None


def test_a_look_is_the_finders_and_goes_by_the_questions_policy(cloud, model):
    corner = SimpleNamespace(find=lambda question, tokens, size: Found((0, 0, size[0] // 2, size[1] // 2), 0.7))
    region_finder = Cloud(model, cloud._codecs, finder=corner)
    outcome = region_finder.run(job(Purpose.LOOK, draft=DRAFT))
    assert (outcome.box, outcome.answer, outcome.tokens.values[0, 0]) == (BOX, None, 3)
    assert cloud.run(job(Purpose.LOOK, draft=DRAFT)).box is None  # no finder
    assert region_finder.run(job(Purpose.LOOK)).box is None  # nothing to go by
    assert "always" in REGION_POLICIES.names()


def test_the_model_is_asked_to_forget(cloud, model):
    forgotten = []
    model.forget_questions = lambda: forgotten.append(1)
    cloud.forget_questions()
    assert forgotten == [1]


# ---- what is measured ----------------------------------------------------------------------------------------
def test_nothing_is_measured_but_what_is_read(calibrated, monkeypatch):
    asked = []
    monkeypatch.setattr(calibrated, "retained_energy", lambda encoded: asked.append("energy") or 0.5)
    expectation = Expectation(0.1, 0.25)
    answers = {"a": expectation, "b": None}
    monkeypatch.setattr(calibrated, "expect", lambda encoded, text: asked.append(text) or answers[text])
    encoded, questions = job().encoded, {4: "a", 5: "b"}
    assert measure(calibrated, encoded, frozenset({ENERGY}), questions) == Measured(0.5, {})
    assert asked == ["energy"]
    assert measure(calibrated, encoded, frozenset({EXPECTATION}), questions) == Measured(None, {4: expectation})
    assert asked == ["energy", "a", "b"]
    assert measure(calibrated, encoded, frozenset(), questions) == Measured(None, {})
    assert len(asked) == 3


# ---- strategies that hear the question -----------------------------------------------------------------------
class Hearing(Strategy):
    """Restores as many as the question has letters."""

    name, kind, needs_bundle, default_setting, hears, wire_id = "hearing", Kind.TOKENS, False, {}, True, 127

    def settings(self):
        return ({},)

    def encode(self, photo, tools, setting):
        return EncodedImage(self.name, b"", ())

    def restore(self, encoded, tools):
        return Restored(tokens=tokens(len(tools.question)))


@pytest.fixture
def hearing():
    STRATEGIES.register("hearing", Hearing)
    yield
    STRATEGIES._registered.clear()
    STRATEGIES._resolved = None


@pytest.mark.usefixtures("hearing")
def test_what_was_restored_for_one_question_answers_no_other_and_is_kept_by_nobody(cloud):
    kept = tokens(77)  # of whoever asked before
    for text in ("why", "what else"):
        outcome = cloud.run(job(text=text, strategy="hearing", tokens=kept))
        assert outcome.answer.text == f"{text} seen at {len(text)}"
        assert outcome.tokens is None
    crop = EncodedImage("hearing", b"", ())
    second = cloud.run(job(Purpose.SECOND, text="where", draft=DRAFT, crop=crop, tokens=kept))
    assert second.answer.text == "where seen at 77 and 5"
    assert second.tokens is kept


@pytest.mark.usefixtures("hearing")
def test_a_look_of_one_that_hears_sees_what_was_restored_for_its_question(cloud, monkeypatch):
    seen = []
    monkeypatch.setattr(cloud, "look", lambda job, tokens: seen.append(tokens.values[0, 0]))
    outcome = cloud.run(job(Purpose.LOOK, text="where", strategy="hearing", draft=DRAFT))
    assert (seen, outcome.tokens) == ([5], None)
