"""What a device asks of its bundle: which codec, with which numbers, and what it does without."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from PIL import Image

from heliograph.codec.expectation import Expectation
from heliograph.edge import device as device_module
from heliograph.edge.device import Device
from heliograph.edge.local import model as model_module
from heliograph.errors import BundleDamagedError
from heliograph.reasons import BundlePart
from heliograph.types import Answer, EncodedImage

STREAM = EncodedImage("klt", b"header", (b"12345", b"678"))
ANSWER = Answer("blue", 0.8, 0.5, (4, 5), 0.7, 0.6, (0.25, 0.75))


class Codec:
    """Expects an error of a tenth and a difference of a fifth, and says that three quarters are retained."""

    def __init__(self) -> None:
        self.asked = list[Any]()

    def expect(self, header: bytes, segments: Sequence[bytes], question: str) -> Expectation:
        self.asked.append((header, tuple(segments), question))
        return Expectation(0.1, 0.2)

    def retained_energy(self, header: bytes, segments: Sequence[bytes]) -> float:
        self.asked.append((header, tuple(segments)))
        return 0.75


def device_with(codec: Any = None, **bundle: Any) -> Device:
    kinds = () if codec is None else ("klt",)
    made: Any = SimpleNamespace(codec_kinds=kinds, codec=lambda kind: {"klt": codec}[kind], **bundle)
    return Device(made)


def test_the_bundles_codec_foresees_an_answer_and_no_other_does() -> None:
    codec = Codec()
    assert device_with(codec).foresee(STREAM, "colour?") == Expectation(0.1, 0.2)
    assert codec.asked == [(b"header", (b"12345", b"678"), "colour?")]
    assert device_with().foresee(STREAM, "colour?") is None
    assert Device(None).foresee(STREAM, "colour?") is None
    assert device_with(codec).foresee(EncodedImage("webp", b"", (b"1",)), "colour?") is None


def test_signals_hold_what_the_codec_says_and_how_much_arrived() -> None:
    """A header of 6 bytes and segments of 5 and 3."""
    codec = Codec()
    signals = device_with(codec).signals(STREAM, "colour?", ANSWER)
    assert (signals.received_bytes, signals.question, signals.min_entropy_bits) == (14, "colour?", 0.5)
    assert (signals.token_error, signals.answer_differs, signals.retained_energy) == (0.1, 0.2, 0.75)
    assert codec.asked == [(b"header", (b"12345", b"678"), "colour?"), (b"header", (b"12345", b"678"))]
    for device in (Device(None), device_with()):
        signals = device.signals(STREAM, "colour?", ANSWER)
        assert (signals.token_error, signals.answer_differs, signals.retained_energy) == (None, None, None)
        assert signals.received_bytes == 14


def test_without_a_calibration_confidence_is_the_models_own() -> None:
    assert Device(None).confidence(STREAM, "colour?", ANSWER) == 0.8
    assert device_with(calibration=None, familiarity=None).confidence(STREAM, "colour?", ANSWER) == 0.8


def test_an_unfamiliar_photo_lowers_it(monkeypatch: pytest.MonkeyPatch) -> None:
    from heliograph.controllers.confidence import UNFAMILIAR_SHARE

    device = device_with(calibration=None, familiarity="ranges")
    monkeypatch.setattr(device_module, "stated_likelihood", lambda encoded, ranges: {"ranges": 0.25}[ranges])
    assert device.likelihood(STREAM) == 0.25
    expected = 0.8 * (0.25 + 0.75 * UNFAMILIAR_SHARE)
    assert device.confidence(STREAM, "colour?", ANSWER) == pytest.approx(expected)


def test_a_device_without_a_bundle_knows_nothing() -> None:
    device = Device(None)
    assert (device.bundle_hash, device.calibration, device.likelihood(STREAM)) == (b"", None, None)
    for ask in (lambda: device.bundle, lambda: device.preferred_strategy, lambda: device.codec("klt")):
        with pytest.raises(BundleDamagedError):
            ask()


def test_what_a_bundle_says_is_passed_on() -> None:
    codec = Codec()
    device = device_with(codec, hash=b"12345678", calibration="curves", preferred_codec="klt")
    assert (device.bundle_hash, device.calibration, device.preferred_strategy) == (b"12345678", "curves", "klt")
    assert device.codec("klt") is codec


def test_the_encoder_and_the_local_model_run_on_as_many_threads_as_were_allowed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked = list[Any]()

    def open_encoder(*how: Any) -> Any:
        asked.append(how)
        return lambda photo: ("tokens of", photo)

    monkeypatch.setattr(device_module, "open_encoder", open_encoder)
    monkeypatch.setattr(device_module, "open_preprocessor", lambda config: f"preprocessor {config}")
    monkeypatch.setattr(device_module, "unsuited", lambda bundle: None)
    monkeypatch.setattr(model_module.LocalModel, "from_bundle", lambda bundle, threads: ("model", threads))
    bundle: Any = SimpleNamespace(file="find", preprocessing="p", grid="grid", hidden_size=5)
    for device, threads in ((Device(bundle, 3), 3), (Device(bundle), 1)):
        assert device.encode_tokens("photo") == ("tokens of", "photo")  # type: ignore[arg-type,comparison-overlap]
        device.encode_tokens("photo")  # type: ignore[arg-type]
        assert asked == [("find", "preprocessor p", "grid", 5, threads)]  # opened once
        assert device.local_model == ("model", threads)  # type: ignore[comparison-overlap]
        asked.clear()


def test_what_was_encoded_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="heliograph"):
        encoded = Device(None).encode(Image.new("RGB", (16, 16)), "webp")
    assert caplog.messages == [f"webp: {encoded.payload_bytes} bytes of payload in {len(encoded.segments)} segments"]


class Sender:
    """A strategy of the codec ``klt`` that tells what it was asked for."""

    codec, needs_bundle = "klt", False
    asked: ClassVar[list[Any]] = []

    def asks(self, setting: Any) -> bool:
        return False

    def encode(self, photo: Any, tools: Any, setting: Any) -> EncodedImage:
        self.asked.append(setting)
        return STREAM

    def encode_towards(self, photo: Any, tools: Any, setting: Any, agreement: float) -> EncodedImage:
        self.asked.append((setting, agreement))
        return STREAM


def test_a_stream_for_a_level_needs_measured_levels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device_module, "STRATEGIES", SimpleNamespace(load=lambda name: {"klt": Sender}[name]))
    photo = Image.new("RGB", (8, 8))
    measured = device_with(SimpleNamespace(levels="curve"))
    assert measured.encode(photo, "klt", {"level": 9}, 0.75) == STREAM
    assert measured.encode(photo, "klt") == STREAM
    assert Sender.asked == [({"level": 9}, 0.75), {}]
    unmeasured = device_with(SimpleNamespace(levels=None))
    assert unmeasured.encode(photo, "klt") == STREAM
    with pytest.raises(BundleDamagedError) as caught:
        unmeasured.encode(photo, "klt", {}, 0.75)
    assert caught.value.part is BundlePart.LEVELS
    assert "heliograph calibrate" in "".join(caught.value.__notes__)
    monkeypatch.setattr(Sender, "codec", "")
    assert Device(None).encode(photo, "klt", {}, 0.75) == STREAM  # pictures have no levels, and are sent whole


def test_a_strategy_that_asks_is_told_the_question(monkeypatch: pytest.MonkeyPatch) -> None:
    told = list[str]()

    class Curious(Sender):
        codec = ""

        def asks(self, setting: Any) -> bool:
            return bool(setting)

        def encode(self, photo: Any, tools: Any, setting: Any) -> EncodedImage:
            told.append(tools.question)
            return STREAM

        def encode_towards(self, photo: Any, tools: Any, setting: Any, agreement: float) -> EncodedImage:
            return self.encode(photo, tools, setting)

    chosen = {"curious": Curious, "klt": Sender}
    monkeypatch.setattr(device_module, "STRATEGIES", SimpleNamespace(load=lambda name: chosen[name]))
    photo = Image.new("RGB", (8, 8))
    device = Device(None)
    device.encode(photo, "curious", {"guide": "question"}, None, "who?")
    device.encode(photo, "curious", {"guide": "question"}, 0.9, "where?")
    device.encode(photo, "curious", {}, None, "when?")
    device.encode(photo, "curious", {"guide": "question"})
    assert told == ["who?", "where?", "", ""]
    seen = list[Any]()
    monkeypatch.setattr(Sender, "encode", lambda self, photo, tools, setting: seen.append(tools) or STREAM)
    device.encode(photo, "klt", {}, None, "who?")
    assert seen == [device]
