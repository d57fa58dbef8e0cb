"""Made-up answers at prefixes, whose signals tell more or less what they should."""

from __future__ import annotations

import numpy as np
import pytest

from heliograph.training.calibration.collect import PrefixAnswers

PREFIXES = 6


def make_answers(questions: int = 240, seed: int = 1) -> PrefixAnswers:
    """Easy questions are settled at the first prefix, hard ones at the last; sure answers are mostly right."""
    rng = np.random.default_rng(seed)
    settled_at = rng.integers(0, PREFIXES + 1, questions)
    agrees = np.arange(PREFIXES)[None] >= settled_at[:, None]
    bits = np.where(agrees, 0.2, 1.5) + rng.exponential(0.2, agrees.shape)
    task = np.where(np.arange(questions) % 2, "shape", "colour")
    size = np.tile(10 + 8 * np.arange(PREFIXES), (questions, 1))
    right = agrees & (rng.random(questions) < 0.9)[:, None]
    f32 = lambda values: np.asarray(values, dtype=np.float32)  # noqa: E731
    return PrefixAnswers(
        photo=(np.arange(questions) // 4).astype(np.int32),
        task=task,
        question=np.where(task == "shape", "which shape is red?", "which colour is the star?"),
        whole_right=f32(right.any(axis=1)),
        payload_bytes=size.astype(np.int32),
        answer=np.where(agrees, 0, 1 + np.arange(PREFIXES)).astype(np.int32),
        agrees=f32(agrees),
        right=f32(right),
        min_entropy_bits=f32(bits),
        first_bits=f32(bits),
        entropy_bits=f32(2 * bits),
        margin=f32(2.0 ** (1 - bits) - 1).clip(0),
        answer_tokens=np.ones_like(size).astype(np.int32),
        token_error=f32(1 / size),
        answer_differs=f32(np.full(size.shape, 0.4)) + f32(rng.random(size.shape)) * 0.1,
        retained_energy=f32(size / size.max()),
        level_agreement=f32(size / size.max()),
    )


@pytest.fixture(scope="session")
def answers() -> PrefixAnswers:
    return make_answers()
