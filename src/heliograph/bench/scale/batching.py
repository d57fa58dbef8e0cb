"""``python -m heliograph.bench.scale.batching``: answers side by side against one by one, in turns within one run.

::

    questions --one by one-->     answers, processor seconds  \\
              --open_batch-->     answers, processor seconds   > ratios of the same turn --> median over turns
              --answer_many-->    answers, processor seconds  /

On standard output, a table for the reference model; two for SmolVLM-256M's true shapes with random weights, in float32
and bfloat16 (``--true-shapes``); and how many of mixed requests in random order with drops (``--mixed 2000``) get the
answer that they get alone.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
import torch

from heliograph.bench.device.true_shapes import smolvlm_config
from heliograph.bench.numbers import number_text
from heliograph.bench.scale.mixed_requests import compare_mixed, photos_of, questions_of
from heliograph.bench.timing import processor_s
from heliograph.reference.recipe import build_processor
from heliograph.training.progress import Progress
from heliograph.types import Answer, VisualTokens
from heliograph.vlm.contract import BatchRequest
from heliograph.vlm.model import VisionLanguageModel

SHORT, LONG = 12, 64
_SMOLVLM_SIDE, _SMOLVLM_TOKENS = 512, 64
_ROWS, _TRUE_ROWS, _TRUE_LIMIT = 32, 8, 48
_ROOMY = 1 << 20
_DESCRIBE = "describe the picture."


@dataclass(frozen=True)
class Speed:
    """One row.

    Attributes:
        name: of the case.
        tokens: of all answers.
        alone_s, batch_s, offline_s: processor seconds per turn.
        equal: whether all texts and ids were the same in every turn.
    """

    name: str
    tokens: int
    alone_s: tuple[float, ...]
    batch_s: tuple[float, ...]
    offline_s: tuple[float, ...]
    equal: bool

    @property
    def ratio(self) -> float:
        """One by one / side by side, the median of turns."""
        return median(alone / batch for alone, batch in zip(self.alone_s, self.batch_s, strict=True))

    def __str__(self) -> str:
        """The row of a Markdown table."""
        alone, batch = median(self.alone_s), median(self.batch_s)
        offline = median(off / batch for off, batch in zip(self.offline_s, self.batch_s, strict=True))
        cells = [self.name, f"{1e3 * alone:.1f}", f"{1e3 * batch:.1f}", f"{self.ratio:.2f}", f"{offline:.2f}"]
        cells += [f"{self.tokens / alone:.1f}", f"{self.tokens / batch:.1f}", "yes" if self.equal else "no"]
        return "| " + " | ".join(cells) + " |"


_HEAD = (
    "| case | one by one ms | side by side ms | ratio | offline / side by side | tokens/s | side by side tokens/s "
    "| same |\n| --- | --- | --- | --- | --- | --- | --- | --- |"
)


def measure(model: VisionLanguageModel, name: str, requests: Sequence[BatchRequest], turns: int) -> Speed:
    """Answer the same requests in every way, in turns, after a turn that does not count."""
    batch = model.open_batch(_ROOMY)
    if batch is None:
        raise AssertionError(model.one_at_a_time)

    def side_by_side() -> list[Answer]:
        for one in requests:
            batch.admit(one)
        made: dict[BatchRequest, Answer] = {}
        while len(batch):
            made |= {one.request: one.verified.answer for one in batch.step() if one.verified is not None}
        return [made[one] for one in requests]

    def one_by_one() -> list[Answer]:
        return [model.answer(one.question, one.images, max_new_tokens=one.max_new_tokens) for one in requests]

    def offline() -> list[Answer]:
        asked = [(one.question, one.images) for one in requests]
        return model.answer_many(asked, max_new_tokens=requests[0].max_new_tokens)

    times: dict[Callable[[], list[Answer]], list[float]] = {one_by_one: [], side_by_side: [], offline: []}
    equal, tokens = True, 0
    for turn in range(turns + 1):
        answered = []
        for way, taken in times.items():
            batch.forget()  # of the turn before
            started = processor_s()
            answers = way()
            if turn:
                taken.append(processor_s() - started)
            answered.append([(one.text, one.token_ids) for one in answers])
        equal = equal and answered[0] == answered[1]
        tokens = sum(len(ids) for _, ids in answered[0])
    alone_s, batch_s, offline_s = (tuple(taken) for taken in times.values())
    return Speed(name, tokens, alone_s, batch_s, offline_s, equal)


def reference_cases(model: VisionLanguageModel) -> dict[str, list[BatchRequest]]:
    """32 requests of each kind, and a lone one."""
    photos, questions = photos_of(model, _ROWS), [one for one in questions_of(8) if one != _DESCRIBE]

    def short(photo: Callable[[int], VisualTokens]) -> list[BatchRequest]:
        return [BatchRequest(questions[i], [photo(i)], None, SHORT) for i in range(_ROWS)]

    return {
        "32 short, a photo each": short(lambda i: photos[i]),
        "32 short, 4 questions a photo": short(lambda i: photos[i // 4]),
        "32 short, one photo": short(lambda i: photos[0]),
        "32 descriptions": [BatchRequest(_DESCRIBE, [one], None, LONG) for one in photos],
        "8 descriptions": [BatchRequest(_DESCRIBE, [one], None, LONG) for one in photos[:8]],
        "1 short": short(lambda i: photos[i])[:1],
        "1 description": [BatchRequest(_DESCRIBE, photos[:1], None, LONG)],
    }


def smolvlm(dtype: torch.dtype, seed: int = 0) -> VisionLanguageModel:
    """SmolVLM-256M's shapes, random weights, one frame a photo, so that no photo is split."""
    from transformers import Idefics3ForConditionalGeneration

    processor = build_processor()
    images: Any = processor.image_processor
    images.size = images.max_image_size = {"longest_edge": _SMOLVLM_SIDE}
    images.do_image_splitting = False
    processor.image_seq_len = _SMOLVLM_TOKENS
    torch.manual_seed(seed)
    model = Idefics3ForConditionalGeneration(smolvlm_config(processor)).eval().to(dtype)
    return VisionLanguageModel("SmolVLM-256M's shapes", model, processor)


def true_cases(model: VisionLanguageModel) -> dict[str, list[BatchRequest]]:
    """8 requests about random tokens; the model has no end that it would say, so all answers have the limit."""
    rng = np.random.default_rng(0)
    shape = model.grid.tokens, model.hidden_size
    photos = [VisualTokens(rng.standard_normal(shape).astype(np.float32), model.grid) for _ in range(_TRUE_ROWS)]
    return {
        f"{_TRUE_ROWS} answers of {_TRUE_LIMIT} tokens, a photo each": [
            BatchRequest(_DESCRIBE, [one], None, _TRUE_LIMIT) for one in photos
        ],
        f"{_TRUE_ROWS} answers of {_TRUE_LIMIT} tokens, one photo": [
            BatchRequest(question, photos[:1], None, _TRUE_LIMIT) for question in questions_of(2)[:_TRUE_ROWS]
        ],
    }


def _speeds(model: VisionLanguageModel, cases: dict[str, list[BatchRequest]], turns: int, progress: Progress) -> None:
    print(_HEAD)
    for name, requests in cases.items():
        progress.say(name)
        print(measure(model, name, requests, turns), flush=True)


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--true-shapes", action="store_true", help="SmolVLM-256M's shapes with random weights, too")
    parser.add_argument("--mixed", type=int, default=0, metavar="N", help="so many mixed requests, compared")
    parser.add_argument("--seed", type=int, default=20)
    given = parser.parse_args()
    torch.set_num_threads(1)
    with Progress() as progress:
        reference = VisionLanguageModel.load("reference")
        print("\n## The reference model, float32, one thread\n")
        _speeds(reference, reference_cases(reference), given.turns, progress)
        if given.true_shapes:
            for dtype in (torch.float32, torch.bfloat16):
                print(f"\n## SmolVLM-256M's true shapes, random weights, {dtype}, one thread\n")
                model = smolvlm(dtype)
                _speeds(model, true_cases(model), min(2, given.turns), progress)
        if given.mixed:
            print("\n## Mixed requests in random order, with drops\n")
            for dtype in (torch.float32, torch.bfloat16):
                progress.say(f"{given.mixed} mixed requests, {dtype}")
                model = VisionLanguageModel.load("reference")
                model = VisionLanguageModel("reference", model.torch_model.to(dtype), model.processor)
                found = compare_mixed(model, given.mixed, given.seed, progress)
                share = number_text(100 * found.equal / found.ended)
                print(f"{dtype}: {share} % equal; {json.dumps(vars(found))}", flush=True)


if __name__ == "__main__":
    main()
