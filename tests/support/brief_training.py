"""Fits, trainings and exports in seconds: fewer questions and photos, shorter answers, fewer steps.

What is done with them stays as it is. Tests that look at how many there are, or how well something was learned, leave
this alone.
"""

from __future__ import annotations

from functools import partial

import pytest

PHOTOS = 4
"""On which an export is compared with its model."""

QUESTIONS = 2
"""About a generated scene; one about any other photo."""

_ANSWER_TOKENS = 3


def make_brief(patch: pytest.MonkeyPatch) -> None:
    """From here to the end of ``patch``."""
    from heliograph.training.export import parity, parity_answers
    from heliograph.training.fitting import fit_codec, sensitivity
    from heliograph.training.meta import error_head, general_teacher, teacher, train

    questions, generic = fit_codec.scene_questions, fit_codec.GENERIC_QUESTIONS[:1]
    for module in (fit_codec, parity, train):
        patch.setattr(module, "scene_questions", lambda plan, **which: questions(plan, **which)[:QUESTIONS])
    for module in (fit_codec, parity):
        patch.setattr(module, "GENERIC_QUESTIONS", generic)
    for module in (parity_answers, teacher, general_teacher):
        patch.setattr(module, "_ANSWER_TOKENS", _ANSWER_TOKENS)
    patch.setattr(parity, "_PHOTOS", PHOTOS)
    patch.setattr(parity_answers, "_RATES", (64, 4096))
    measure = partial(sensitivity.measure_sensitivity, answer_tokens=_ANSWER_TOKENS)
    patch.setattr(sensitivity, "measure_sensitivity", measure)
    patch.setattr(error_head, "_STEPS", 40)
    patch.setattr(error_head, "_CUTS", 2)
