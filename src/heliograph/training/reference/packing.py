"""Many questions about one picture in one sequence: the picture is read once, each question sees it alone.

::

    head:     <|im_start|>User:<fake><global-img> 64 x <image> <fake>      once per picture
    branch i: question <end> \\n Assistant: answer <end>                    sees the head and itself only

Every branch's positions start right after the head, so for the weights it is exactly the single-question
prompt that the processor builds, at a fraction of the cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from heliograph.reference.recipe import END, FAKE_IMAGE, GLOBAL_IMAGE, IMAGE, PAD, START, VISUAL_TOKENS

DESCRIPTION_WEIGHT = 0.35
_DESCRIPTION_TOKENS = 16

Ids = npt.NDArray[np.int64]
Branch = tuple[list[int], int]
"""Ids of a question and its answer, and how many of them belong to the question."""

PackedRow = tuple[Ids, Ids, Ids, Ids, npt.NDArray[np.float32]]
"""Ids, positions, branch numbers (0 for the head), targets and weights of one picture's sequence."""


class PromptPieces:
    """Token ids of prompt parts, remembered per text: the same questions return millions of times."""

    def __init__(self, tokenizer: Any) -> None:
        self._tokenizer = tokenizer
        self._known: dict[str, list[int]] = {}
        self.pad = int(tokenizer.convert_tokens_to_ids(PAD))
        self.image = int(tokenizer.convert_tokens_to_ids(IMAGE))
        self._picture = FAKE_IMAGE + GLOBAL_IMAGE + IMAGE * VISUAL_TOKENS + FAKE_IMAGE

    def ids(self, text: str) -> list[int]:
        """Token ids of ``text``; special tokens in it are parsed, so only trusted text may come here."""
        known = self._known.get(text)
        if known is None:
            known = self._tokenizer(text, add_special_tokens=False)["input_ids"]
            self._known[text] = known
        return known

    def head(self, pictures: int) -> list[int]:
        """Ids from the start of the turn through the pictures."""
        return self.ids(f"{START}User:" + self._picture * pictures)

    def branch(self, question: str, answer: str) -> Branch:
        """Ids of question and answer, and how many of them belong to the question."""
        ask = self.ids(f"{question}{END}\nAssistant:")
        return ask + self.ids(f" {answer}{END}"), len(ask)


@dataclass(frozen=True)
class PackedBatch:
    """Sequences of length T for B pictures.

    Attributes:
        ids: (B, T) int64; <image> where visual tokens go.
        positions: (B, T) int64 rotary positions.
        mask: (B, 1, T, T) bool, True where attention is allowed.
        targets: (B, T) int64, the id that position t must predict, -100 elsewhere.
        weights: (B, T) float32 of each target.
    """

    ids: Tensor
    positions: Tensor
    mask: Tensor
    targets: Tensor
    weights: Tensor


def pack(pieces: PromptPieces, samples: Sequence[tuple[int, Sequence[tuple[str, str]]]]) -> PackedBatch:
    """Pack samples of (number of pictures, [(question, answer), ...]), padded on the right.

    All samples of a batch may hold different numbers of pictures; lengths are padded to the longest.
    """
    heads = [pieces.head(pictures) for pictures, _ in samples]
    branches = [[pieces.branch(*pair) for pair in pairs] for _, pairs in samples]
    return pack_branches(heads, branches, pieces.pad)


def pack_branches(heads: Sequence[list[int]], branches: Sequence[Sequence[Branch]], pad: int) -> PackedBatch:
    """One head and its branches per picture, padded on the right with ``pad``."""
    rows = [_pack_one(head, own) for head, own in zip(heads, branches, strict=True)]
    return _padded(rows, pad)


def _padded(rows: Sequence[PackedRow], pad: int) -> PackedBatch:
    length = max(len(row[0]) for row in rows)
    size = len(rows)
    ids = np.full((size, length), pad, np.int64)
    positions = np.zeros((size, length), np.int64)
    branches = np.full((size, length), -1, np.int64)
    targets = np.full((size, length), -100, np.int64)
    weights = np.zeros((size, length), np.float32)
    for i, row in enumerate(rows):
        n = len(row[0])
        ids[i, :n], positions[i, :n], branches[i, :n], targets[i, :n], weights[i, :n] = row
    same = branches[:, :, None] == branches[:, None, :]
    allowed = (same | (branches[:, None, :] == 0)) & np.tri(length, dtype=bool)
    allowed |= np.eye(length, dtype=bool)  # padding sees itself: a row of nothing would be nan
    return PackedBatch(
        torch.from_numpy(ids),
        torch.from_numpy(positions),
        torch.from_numpy(allowed[:, None]),
        torch.from_numpy(targets),
        torch.from_numpy(weights),
    )


def _pack_one(head: list[int], own: Sequence[Branch]) -> PackedRow:
    ids, positions, branches = list(head), list(range(len(head))), [0] * len(head)
    targets, weights = [-100] * len(head), [0.0] * len(head)
    for number, (branch, asked) in enumerate(own, start=1):
        answered = len(branch) - asked
        weight = DESCRIPTION_WEIGHT if answered > _DESCRIPTION_TOKENS else 1.0
        ids += branch
        positions += range(len(head), len(head) + len(branch))
        branches += [number] * len(branch)
        targets += [-100] * (asked - 1) + branch[asked:] + [-100]
        weights += [0.0] * (asked - 1) + [weight] * answered + [0.0]
    return (
        np.asarray(ids),
        np.asarray(positions),
        np.asarray(branches),
        np.asarray(targets),
        np.asarray(weights, np.float32),
    )


def answer_loss(model: Any, batch: PackedBatch, visual: Tensor) -> Tensor:
    """Weighted cross-entropy of the answers.

    Args:
        model: the Idefics3 model.
        batch: packed questions.
        visual: (total <image> positions, D) visual tokens in reading order.
    """
    text = model.model.text_model
    embeds = text.get_input_embeddings()(batch.ids)  # (B, T, D)
    places = (batch.ids == model.config.image_token_id).unsqueeze(-1)
    embeds = embeds.masked_scatter(places, visual.to(embeds.dtype))
    with torch.autocast(embeds.device.type, dtype=torch.bfloat16):
        hidden = text(
            inputs_embeds=embeds,
            attention_mask=batch.mask,
            position_ids=batch.positions,
            use_cache=False,
        ).last_hidden_state
    keep = batch.targets != -100
    logits = model.lm_head(hidden[keep].float())  # (answers, V)
    losses = torch.nn.functional.cross_entropy(logits, batch.targets[keep], reduction="none")
    return (losses * batch.weights[keep]).sum() / batch.weights[keep].sum()
