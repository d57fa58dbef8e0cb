"""Many questions about a photo in one sequence of the field model, and what the language model makes of the answers.

::

    head:     <|im_start|>user\\n 25 x <image>                                    once per photo
    branch i: question <|im_end|>\\n<|im_start|>assistant\\n answer <|im_end|>      sees the head and itself only

For the weights each branch is the single-question prompt that the processor builds
(:mod:`heliograph.training.reference.packing`), at a fraction of the cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from heliograph.training.field.checkpoint import IMAGE
from heliograph.training.field.questions import Pair
from heliograph.training.reference.packing import Branch, PackedBatch, pack_branches

START, END, TURN = "<|im_start|>user\n", "<|im_end|>", "<|im_end|>\n<|im_start|>assistant\n"
YES, NO = "yes", "no"
_BLOCKED = -1e9


def has_bfloat16() -> bool:
    """Whether this processor multiplies bfloat16 with instructions of its own."""
    found = torch.cpu.get_capabilities()
    return bool(found.get("avx512_bf16") or found.get("amx_bf16"))


class PackedReader:
    """A field LLaVA as training and judging read it.

    Args:
        model: the LLaVA, with or without low-rank additions.
        tokenizer: its own.
        bfloat16: multiply in bfloat16 where gradients are wanted; what is only looked at is float32 throughout. By
            default where the processor has instructions for it: elsewhere it takes several times as long.
    """

    def __init__(self, model: Any, tokenizer: Any, *, bfloat16: bool | None = None) -> None:
        self.model, self._tokenizer = model, tokenizer
        self._bfloat16 = has_bfloat16() if bfloat16 is None else bfloat16
        self._text = model.model.language_model
        self._image = int(tokenizer.convert_tokens_to_ids(IMAGE))
        self._turn, self._end = self._ids(TURN), self._ids(END)
        self._head = self._ids(START) + [self._image] * model.config.image_seq_length
        self._pad = int(tokenizer.convert_tokens_to_ids(END))
        self._yes_no = [self._ids(one)[0] for one in (YES, NO)]

    def tokens(self, cells: Tensor) -> Tensor:
        """(B, N, 1280) pooled cells of the vision encoder to (B, N, D) visual tokens, as the model's own tower ends."""
        tower = self.model.model.vision_tower
        made: Tensor = self.model.model.multi_modal_projector(tower.norm(cells) + tower.positions)
        return made

    def pack(self, asked: Sequence[Sequence[Pair]]) -> PackedBatch:
        """Sequences of length T for B photos, one question and answer or more about each."""
        branches = [[self._branch(*pair) for pair in pairs] for pairs in asked]
        return pack_branches([self._head] * len(branches), branches, self._pad)

    def pack_answers(self, question: str, answers: Sequence[str]) -> PackedBatch:
        """One sequence for one photo, one question and several answers to it, which is in the sequence once.

        The losses are those of :meth:`pack` with the question before every answer, in half the time for long questions
        and short answers.
        """
        asked = self._ids(question) + self._turn
        branches = [(asked[-1:] + self._ids(answer) + self._end, 1) for answer in answers]  # what precedes the answer
        return pack_branches([self._head + asked[:-1]], [branches], self._pad)

    def losses(self, batch: PackedBatch, visual: Tensor) -> Tensor:
        """(K,) float32 cross-entropy in nats of every answer's every token, in the order of the batch.

        Args:
            batch: of B photos.
            visual: (B, N, D).
        """
        kept = batch.targets != -100
        with torch.autocast("cpu", torch.bfloat16, enabled=self._bfloat16 and torch.is_grad_enabled()):
            hidden = self._hidden(batch, visual)
            logits = (hidden[kept] @ self._text.embed_tokens.weight.T).float()  # (K, V)
        return functional.cross_entropy(logits, batch.targets[kept], reduction="none")

    def lean_to_yes(self, visual: Tensor, questions: Sequence[str]) -> Tensor:
        """(B, Q) float32: logit of yes less that of no as the first token of an answer, to the same questions."""
        batch = self.pack([[(question, YES) for question in questions]] * len(visual))
        hidden = self._hidden(batch, visual)[batch.targets == self._yes_no[0]]  # (B Q, D)
        yes, no = (hidden @ self._text.embed_tokens.weight[self._yes_no].T).T
        lean: Tensor = (yes - no).view(len(visual), len(questions))
        return lean

    def first_logits(self, visual: Tensor, questions: Sequence[str], answers: Sequence[str]) -> Tensor:
        """(B, Q, A) float32 logits of the first tokens of A answers, to the same Q questions about B photos.

        The answers themselves are not in the sequence, which is shorter by them than that of :meth:`pack`.

        Args:
            visual: (B, N, D).
            questions: one or more.
            answers: as the model would say them.
        """
        asked = [self._ids(question) + self._turn for question in questions]
        batch = pack_branches([self._head] * len(visual), [[(one, len(one)) for one in asked]] * len(visual), self._pad)
        ends = [len(self._head) + end - 1 for end in accumulate(map(len, asked))]
        hidden = self._hidden(batch, visual)[:, ends]  # (B, Q, D)
        firsts = [self._ids(answer)[0] for answer in answers]
        made: Tensor = hidden @ self._text.embed_tokens.weight[firsts].T
        return made

    def answer_tokens(self, answer: str) -> int:
        """Targets that an answer has in a batch, its end among them."""
        return len(self._ids(answer)) + len(self._end)

    def _hidden(self, batch: PackedBatch, visual: Tensor) -> Tensor:
        """(B, T, D) last states."""
        embeds = functional.embedding(batch.ids, self._text.embed_tokens.weight)
        places = (batch.ids == self._image).unsqueeze(-1)
        embeds = embeds.masked_scatter(places, visual.reshape(-1, visual.shape[-1]))
        mask = torch.zeros(batch.mask.shape).masked_fill(~batch.mask, _BLOCKED)  # (B, 1, T, T)
        made: Tensor = self._text(
            inputs_embeds=embeds, attention_mask=mask, position_ids=batch.positions, use_cache=False
        ).last_hidden_state
        return made

    def _branch(self, question: str, answer: str) -> Branch:
        asked = self._ids(question) + self._turn
        return asked + self._ids(answer) + self._end, len(asked)

    def _ids(self, text: str) -> list[int]:
        """Special tokens in it are parsed, so only trusted text may come here."""
        made: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return made
