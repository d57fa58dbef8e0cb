"""What a frozen language model notices of a token's error, for the codec to spend bits where that counts.

Measured by the second moment of the gradient of the model's own answers' log-likelihood with respect to the visual
tokens (an empirical Fisher information), so no labels are needed. The gradient is taken where the codec works: at
tokens that a first, rougher codec has restored from short prefixes. At uncompressed tokens a sure model shows little of
what it would miss.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from heliograph.codec.fitting.fit import fit_klt
from heliograph.codec.klt import KltCodec
from heliograph.errors import CodecNotFittedError
from heliograph.training.progress import Advance, stage
from heliograph.types import Answer, FloatArray, Reporter, VisualTokens
from heliograph.vlm.contract import TorchModel

# A model that is sure has no gradient left: softened, its answers still show what they stand on. On the
# reference model 1 gave 0.73 accuracy at 123 bytes and 4 gave 0.84 (docs/experiments.md).
_TEMPERATURE = 4.0
_FIRST_PICTURES, _MAX_PICTURES = 60, 300  # gradients cost most of the time; tables need more pictures than they do
_MAX_QUICK_PARAMETERS = 50_000_000  # parameters of a model that answers many questions in no time
_FIRST_SLOW, _MAX_SLOW = 12, 48  # pictures for larger ones
_ANSWER_TOKENS = 24  # of an answer at most
_WORKING_SHARE = 0.85  # of the weighted energy: near there the answers become those of the uncompressed tokens
_MAX_CORRELATED_CHANNELS = (
    4096  # channels up to which their correlations are kept; above, each channel's own weight alone
)


def working_sensitivity(
    model: TorchModel, tokens: Sequence[VisualTokens], asked: Sequence[Sequence[str]], progress: Reporter
) -> FloatArray:
    """What the language model notices at the rates where the codec works; (D, D) or, for a large D, (D,) float32."""
    first, most = (_FIRST_PICTURES, _MAX_PICTURES) if _is_quick(model) else (_FIRST_SLOW, _MAX_SLOW)
    few, questions = tokens[:first], asked[:first]
    advance = stage(progress, len(few), "measuring what the language model notices of uncompressed tokens")
    answered = _Answers(model)
    weights = measure_sensitivity(model, few, few, questions, answers=answered, advance=advance)
    rough = fit_klt(  # it says where to look, and its bytes are of no interest
        tokens[:_MAX_PICTURES], sensitivity=weights, modes=("none",), activity=True, contexts=False, restore=False
    )
    some, questions = tokens[:most], asked[:most]
    advance = stage(progress, len(some), "measuring what it notices of short prefixes")
    short = [_working_point(rough, one) for one in some]
    return measure_sensitivity(model, some, short, questions, answers=answered, advance=advance)


class _Answers:
    """The model's own answers about uncompressed tokens, each made once.

    Args:
        model: the frozen VLM.
        most_tokens: of an answer.
    """

    def __init__(self, model: TorchModel, most_tokens: int = _ANSWER_TOKENS) -> None:
        self._model, self._most = model, most_tokens
        self._made: dict[tuple[int, tuple[str, ...]], list[Answer]] = {}

    def about(self, place: int, image: VisualTokens, questions: Sequence[str]) -> list[Answer]:
        """Answers about the picture in one place of a sequence that is always the same."""
        key = place, tuple(questions)
        if key not in self._made:
            asked = [(question, [image]) for question in questions]
            self._made[key] = self._model.answer_many(asked, max_new_tokens=self._most)
        return self._made[key]


def _is_quick(model: TorchModel) -> bool:
    """Whether many questions about every picture cost little; else one each has to do."""
    size = sum(parameter.numel() for parameter in model.torch_model.parameters())
    return model.batches and size <= _MAX_QUICK_PARAMETERS


def _working_point(codec: KltCodec, tokens: VisualTokens) -> VisualTokens:
    """Restored from the shortest prefix that holds ``_WORKING_SHARE`` of the weighted energy."""
    encoded = codec.encode(tokens)
    wanted = bisect_left(encoded.predicted_quality, _WORKING_SHARE) + 1
    return codec.decode(encoded.header, encoded.segments[:wanted])


def measure_sensitivity(
    model: TorchModel,
    exact: Sequence[VisualTokens],
    seen: Sequence[VisualTokens],
    asked: Sequence[Sequence[str]],
    *,
    answer_tokens: int = _ANSWER_TOKENS,
    answers: _Answers | None = None,
    advance: Advance = lambda steps: None,
) -> FloatArray:
    """Second moment over pictures, questions and positions of d log p(answer) / d token.

    (D, D) float32, or its diagonal (D,) where D is above 4,096. The answers are the model's own greedy ones. Scaled to
    a mean diagonal of one.

    Args:
        model: the frozen VLM.
        exact: uncompressed tokens, whose answers are to be kept.
        seen: tokens at which the gradient is taken, one for each of ``exact``.
        asked: questions about each picture.
        answer_tokens: longest answer.
        answers: of ``exact``, as far as they are there already; None to ask everything.
        advance: counts pictures.

    Raises:
        CodecNotFittedError: no gradient, or one that is not finite.
    """
    size = model.hidden_size
    correlated = size <= _MAX_CORRELATED_CHANNELS
    total: npt.NDArray[np.float64] = np.zeros((size, size) if correlated else size)
    for gradient in _gradients(model, exact, seen, asked, answers or _Answers(model, answer_tokens), advance):
        g = gradient.double().numpy()  # (N, D)
        total += g.T @ g if correlated else np.square(g).sum(axis=0)
    mean = float(np.trace(total) if correlated else total.sum()) / size
    if not np.isfinite(mean) or mean <= 0:
        raise CodecNotFittedError().noted("The answers do not depend on the tokens, or the gradients are not finite.")
    return (total / mean).astype(np.float32)


def _gradients(
    model: TorchModel,
    exact: Sequence[VisualTokens],
    seen: Sequence[VisualTokens],
    asked: Sequence[Sequence[str]],
    answers: _Answers,
    advance: Advance,
) -> Iterator[Tensor]:
    """(N, D) for every picture and question that gets an answer; the model's own gradients stay off meanwhile."""
    parameters, quick = list(model.torch_model.parameters()), _is_quick(model)
    wanted = [parameter.requires_grad for parameter in parameters]
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        for place, (image, restored, questions) in enumerate(zip(exact, seen, asked, strict=True)):
            if not quick:  # one question each, in turn
                questions = [questions[place % len(questions)]]
            for question, answer in zip(questions, answers.about(place, image, questions), strict=True):
                if answer.token_ids:
                    yield _gradient(model, restored, question, answer)
            advance(1)
    finally:
        for parameter, flag in zip(parameters, wanted, strict=True):
            parameter.requires_grad_(flag)


def _gradient(model: TorchModel, image: VisualTokens, question: str, answer: Answer) -> Tensor:
    """(N, D) gradient of the answer's log-likelihood over the root of its length, by the visual tokens."""
    visual = torch.from_numpy(image.values).clone().requires_grad_(True)  # (N, D)
    device = model.torch_model.device
    logits = model.answer_logits(question, visual.to(device), image.grid, answer.token_ids)  # (A, V)
    ids = torch.tensor(answer.token_ids, device=logits.device)
    torch.autograd.backward(logits, _slope(logits.detach(), ids))
    assert visual.grad is not None
    return visual.grad


def _slope(logits: Tensor, ids: Tensor) -> Tensor:
    """(A, V) gradient of the softened log-likelihood of (A,) ids over the root of A, by their logits.

    In closed form, row by row: of a large vocabulary the automatic gradient writes many matrices of this size. The root
    keeps a long answer from outweighing many short ones.
    """
    scale = 1 / (_TEMPERATURE * len(ids) ** 0.5)
    slope = torch.empty_like(logits)
    for row, own, wanted in zip(slope, logits, ids.tolist(), strict=True):
        row.copy_(torch.softmax(own.float() / _TEMPERATURE, dim=-1).mul_(-scale))
        row[wanted] += scale
    return slope
