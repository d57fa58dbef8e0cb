"""An argument that cannot be used is named with what it may be and what it was, wherever a caller gives it."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from heliograph.boxes import WireBox, pixel_box
from heliograph.controllers.base import checked_target, share_code
from heliograph.controllers.bounds import BoundedController
from heliograph.controllers.confidence import signals_of
from heliograph.controllers.planner import Goal
from heliograph.controllers.region.find import find_box, relative_map
from heliograph.errors import UsageError
from heliograph.protocol.authentication import Chain
from heliograph.protocol.codes import bytes_of_code, code_of_bytes
from heliograph.protocol.device import DeviceSession
from heliograph.question import Question
from heliograph.serving.web.gate import checked_host, checked_origin
from heliograph.serving.web.listening import bind_all

MAP = np.ones((4, 4))
SECRET = "do-not-show-this"

CALLS: list[tuple[Callable[[], object], str]] = [
    (lambda: Question("what?", target=256), "target must be 0 to 255, not 256."),
    (lambda: Question("what?", byte_budget=0), "byte_budget must be 1 byte or more, not 0."),
    (lambda: Question("what?", answer_within_s=-0.5), "answer_within_s must be a finite time above 0, not -0.5."),
    (lambda: Question("what?", max_answer_tokens=1025), "max_answer_tokens must be 1 to 1024, not 1025."),
    (lambda: Question("wh\ud800t?"), "the question is no Unicode text: it holds a lone surrogate."),
    (lambda: Question("what?", target=10**5000), "target must be 0 to 255, not a number of thousands of digits."),
    (lambda: checked_target(-1), "target must be 0 to 255, not -1."),
    (lambda: share_code(1.5), "share must be 0 to 1, not 1.5."),
    (lambda: BoundedController.from_target(3), "bounded wraps another controller and cannot be chosen by name."),
    (
        lambda: signals_of((), question="what?", expectation=None, retained_energy=None),
        "drafts must hold at least one draft, not none.",
    ),
    (lambda: Goal(1.25), "quality must be 0 to 1, not 1.25."),
    (lambda: Goal(0.5, 0.0), "answer_within_s must be above 0, up to 86400 seconds, not 0.0."),
    (lambda: relative_map(MAP, MAP, 0.0), "floor must be a finite number above 0, not 0.0."),
    (lambda: find_box(MAP, (0, 9)), "photo_size must be 1 to 1048576 pixels a side, not (0, 9)."),
    (lambda: find_box(MAP, (9, 9), windows=(2.0,)), "windows must be 1 to 16 shares above 0, up to 1, not (2.0,)."),
    (lambda: find_box(MAP, (9, 9), least_side=0), "least_side must be 1 pixel or more, not 0."),
    (lambda: find_box(MAP, (9, 9), covered=(0.5, 2)), "covered must be two shares above 0, up to 1, not (0.5, 2)."),
    (
        lambda: pixel_box(WireBox(5, 5, 5, 9), 10, 10),
        "box must be a box with an area, some of it within the photo, not (5, 5, 5, 9).",
    ),
    (lambda: code_of_bytes(0), "a bound in bytes or milliseconds must be 1 or more, not 0."),
    (lambda: bytes_of_code(256), "code must be 0 to 255, not 256."),
    (lambda: Chain(SECRET.encode()[:5], b"x"), "a key has 16 to 64 bytes; this one has 5."),
    (lambda: DeviceSession(b"1234"), "bundle_hash must have 8 bytes, or none; it has 4."),
    (lambda: DeviceSession(b"", SECRET * 99), "access_token must have 256 bytes at most."),
    (lambda: DeviceSession(b"", f"{SECRET}\ud800"), "the access token is no Unicode text: it holds a lone surrogate."),
    (lambda: DeviceSession(b"", session_token=SECRET.encode() * 2), "session_token must have 16 bytes, or none."),
    (lambda: DeviceSession(b"", nonce=b"12"), "nonce must be 8 bytes with a key, and empty without one; it has 2."),
    (lambda: bind_all("127.0.0.1", 70_000), "port must be 0 to 65535, not 70000."),
    (lambda: checked_host("."), "--allow-host must be a host's name such as cloud.example, not '.'."),
    (lambda: checked_host("a..b"), "--allow-host must be a host's name such as cloud.example, not 'a..b'."),
    (
        lambda: checked_origin("app.example"),
        "--allow-origin must be an origin as browsers send it, such as https://app.example or http://10.0.0.7:8000, "
        "not 'app.example'.",
    ),
]


@pytest.mark.parametrize(("call", "note"), CALLS, ids=[note[:50] for _, note in CALLS])
def test_the_note_names_the_argument(call: Callable[[], object], note: str) -> None:
    with pytest.raises(UsageError) as caught:
        call()
    assert caught.value.__notes__ == [note]
    assert str(caught.value) == UsageError.text  # which is all that a frame or a log may hold
    assert SECRET not in note


def test_a_long_value_is_shortened() -> None:
    (note,) = UsageError.of_argument("name", "short", "x" * 10_000).__notes__
    assert note == f"name must be short, not '{'x' * 58}…."
