"""What a model lacks is said in a note, with the numbers that do not fit."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn

from heliograph.edge.preprocessing.square import Preprocessor
from heliograph.errors import ModelUnsupportedError
from heliograph.vlm.attention import _rows_of
from heliograph.vlm.causes import reason_of
from heliograph.vlm.frame_tap import find_tap
from heliograph.vlm.image_features import layout_of
from heliograph.vlm.tap import NO_PLACE, find_owner

ONE_SEQUENCE = torch.zeros(1, 2, 4, 8)

CALLS: list[tuple[Callable[[], object], str]] = [
    (lambda: find_owner(nn.Linear(1, 1)), NO_PLACE),
    (lambda: find_tap(nn.Linear(1, 1)), NO_PLACE),
    (lambda: layout_of(()), "its image features hold no tensor of tokens."),
    (lambda: Preprocessor.from_config({}), "its preprocessor_config.json splits photos into tiles."),
    (
        lambda: Preprocessor.from_config({"do_image_splitting": False, "do_rescale": False, "do_normalize": False}),
        "its preprocessor_config.json turns off do_rescale, do_normalize.",
    ),
    (
        lambda: _rows_of(1, ONE_SEQUENCE, ONE_SEQUENCE[:, :, :1], None, None, {}),
        "attention is read of one whole sequence in one pass, without a cache.",
    ),
    (
        lambda: _rows_of(1, ONE_SEQUENCE, ONE_SEQUENCE, None, None, {"softcap": 30.0}),
        "its attention bends its scores, which cannot be computed from outside.",
    ),
]


@pytest.mark.parametrize(("call", "note"), CALLS, ids=[note[:50] for _, note in CALLS])
def test_the_note_names_what_does_not_fit(call: Callable[[], object], note: str) -> None:
    with pytest.raises(ModelUnsupportedError) as caught:
        call()
    assert caught.value.__notes__ == [note]
    assert str(caught.value) == ModelUnsupportedError.text


CODE_FAILS = "its own code fails; HELIOGRAPH_DEBUG=1 shows where"
FOREIGN: list[tuple[Exception, str]] = [
    (FileNotFoundError(2, "x", "config.json"), "config.json: No such file or directory"),
    (OSError(28, "x"), "No space left on device"),
    (ModuleNotFoundError("No module named 'timm'", name="timm"), "it needs timm, which is not installed here"),
    (MemoryError(), "there is not enough memory"),
    (RecursionError("maximum recursion depth exceeded"), "it nests too deeply"),
    (KeyError("size"), "the entry 'size' is missing"),
    (AttributeError("'NoneType' object has no attribute 'shape'"), CODE_FAILS),
    (TypeError("forward() got an unexpected keyword argument 'x'"), CODE_FAILS),
    (RuntimeError("the image is too thin"), "the image is too thin"),
]


@pytest.mark.parametrize(("error", "text"), FOREIGN, ids=[type(one).__name__ for one, _ in FOREIGN])
def test_foreign_errors_are_said_without_their_classes_or_names_of_a_program(error: Exception, text: str) -> None:
    assert reason_of(error) == text


def test_what_foreign_code_says_is_one_bounded_line() -> None:
    assert reason_of(ValueError("\nwrong size\nmore")) == "wrong size"
    assert reason_of(KeyError()) == CODE_FAILS
    assert len(reason_of(ValueError("x" * 10_000))) < 300
    outer = ModelUnsupportedError()
    outer.__cause__ = ModelUnsupportedError().noted("its tower fails.")
    assert reason_of(outer) == "its tower fails"
    outer.__cause__ = OSError("no space")
    assert reason_of(outer) == "no space"
    assert reason_of(outer.noted("its processor fails.")) == "its processor fails"
