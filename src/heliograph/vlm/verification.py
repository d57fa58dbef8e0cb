"""Draft verification: one pass over prompt and draft tells how much of the draft greedy decoding would say again.

Speculative decoding with the previous answer as the draft model: position i of the pass gives the token that greedy
decoding would choose after the draft's first i tokens, so the longest agreeing prefix is kept. What follows the first
change is generated again on the same cache, and there too the rest of the draft is tried before every new token: a
refined picture often changes a word in the middle and nothing after it. The result equals greedy decoding from scratch.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import takewhile

import torch
from torch import Tensor

from heliograph.types import Answer
from heliograph.vlm.contract import Verification
from heliograph.vlm.decoding import Decoder, Feature, Step, best_steps, steps_of
from heliograph.vlm.generation_rules import RowRules
from heliograph.vlm.prompt import FrameInputs, Prompt

_TRIED = 16  # tokens of the draft's rest in one pass; a wrong guess costs little beside the pass itself


def verify_steps(
    decoder: Decoder,
    prompt: Prompt,
    frames: FrameInputs,
    features: Sequence[Feature],
    draft: Sequence[int],
    limit: int,
) -> tuple[list[Step], int]:
    """Greedy steps (end token included when reached) and the number of draft tokens kept.

    Args:
        decoder: the model's forward passes.
        prompt: head and tail ids.
        frames: pixel inputs of one prompt.
        features: per image, tokens (N, D), fewer that stand for them, or None.
        draft: ids of the draft answer, without end token; may be empty.
        limit: most tokens of the answer.
    """
    walk = DraftWalk(draft, decoder.end_ids, limit, decoder.rules.row(prompt.head + prompt.tail, limit))
    ids = torch.tensor([[*prompt.head, *prompt.tail, *walk.guess]])
    logits, cache = decoder.prefill(ids, frames, features, keep=len(walk.guess) + 1)
    while True:
        rejected = walk.take(walk.chosen(logits[0]))
        if walk.done:
            return walk.steps, walk.kept
        if rejected:
            cache.crop(-rejected)
        logits = decoder.extend_all(torch.tensor([walk.feed]), cache)


def verification_of(answer: Answer, draft: Answer | None) -> Verification:
    """An answer that was made anew, and how many of a draft's first tokens are in it."""
    drafted = () if draft is None else draft.token_ids
    return Verification(answer, _agreement(drafted[: len(answer.token_ids)], answer.token_ids))


class DraftWalk:
    """One answer on its way, with a draft or without: what is to be read next, and what the logits there make of it.

    Args:
        draft: ids of the draft answer; may be empty.
        end_ids: tokens that end an answer.
        limit: most tokens of the answer.
        rules: of this row; None where nothing changes the logits.
        ahead: whether the draft is read together with the prompt.

    Attributes:
        steps: of the answer so far, end token included when reached.
        kept: of the draft's first tokens, how many are in the answer.
        guess: what follows in the draft and is read before it is known to be right.
        feed: ids to read next, those of ``guess`` last; at the beginning they follow the prompt.
        done: whether the answer is complete.
    """

    def __init__(
        self,
        draft: Sequence[int],
        end_ids: frozenset[int],
        limit: int,
        rules: RowRules | None = None,
        *,
        ahead: bool = True,
    ) -> None:
        self._end_ids, self._limit, self.rules = end_ids, limit, rules
        self._draft = list(takewhile(lambda token: token not in end_ids, draft[:limit]))
        self.guess = self._draft if ahead else []
        self.feed = self.guess
        self.steps: list[Step] = []
        self.kept = 0
        self.done = False
        self._rest: _Rest | None = None

    def chosen(self, logits: Tensor) -> list[Step]:
        """What greedy decoding says after each of the ``guess``, from ``logits`` (1 + guess, V) of the last positions;
        with rules, which depend on what was said, no further than to the first token that is another one."""
        return best_steps(logits) if self.rules is None else _chosen(logits, self.guess, self.rules)

    def take(self, chosen: Sequence[Step]) -> int:
        """Go on by what :meth:`chosen` found; how many of the last ids that were read are to be forgotten."""
        agreed = _agreement(self.guess, [step.token_id for step in chosen])
        rejected = len(self.guess) - agreed
        self.steps.extend(chosen[:agreed])
        if self._rest is None:
            self.kept, self._rest = agreed, _Rest(self._draft, agreed)
            self.done = agreed == self._limit
        else:
            self._rest.agreed(agreed)
        if not self.done:
            self._say(chosen[agreed], self._rest)
        return rejected

    def _say(self, newest: Step, rest: _Rest) -> None:
        self.steps.append(newest)
        self.done = newest.token_id in self._end_ids or len(self.steps) == self._limit
        if not self.done:
            most = self._limit - len(self.steps) - 1
            self.guess = list(rest.after(newest.token_id)[:most]) if self._draft else []
            self.feed = [newest.token_id, *self.guess]


class _Rest:
    """What of the draft may still come.

    Args:
        draft: its ids.
        place: of the token that was another one.
    """

    def __init__(self, draft: Sequence[int], place: int) -> None:
        self._draft, self._place, self._came_true = draft, place, True

    def after(self, token: int) -> Sequence[int]:
        """At most so many ids as are tried at once: what follows if ``token`` stands in the place of another one; where
        the last try failed, what followed it at its nearest place in the draft."""
        places = [] if self._came_true else [i for i, drafted in enumerate(self._draft) if drafted == token]
        self._place = 1 + min(places, key=lambda i: abs(i - self._place), default=self._place)
        return self._draft[self._place : self._place + _TRIED]

    def agreed(self, count: int) -> None:
        """Note that so many of them came true."""
        self._place += count
        self._came_true = count > 0


def _chosen(logits: Tensor, guess: Sequence[int], rules: RowRules) -> list[Step]:
    chosen: list[int] = []
    for place, own in enumerate(logits):
        chosen.append(rules.choose(own))
        if place < len(guess) and chosen[place] != guess[place]:
            break
    return steps_of(logits[: len(chosen)], chosen)


def _agreement(guess: Sequence[int], chosen: Sequence[int]) -> int:
    for position, (guessed, now) in enumerate(zip(guess, chosen, strict=False)):
        if guessed != now:
            return position
    return len(guess)
