"""Stage one of the reference model: the tower learns what each visual token shows.

Dense labels teach in minutes what answers alone would teach in days. Attribute logits are products of a
visual token with the language model's own word embeddings ("red", "star", "top"): so the projector's output
already speaks the language model's vocabulary, and binding an attribute to an object is a look-up.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from heliograph.reference.labels import CHARACTERS, IGNORE
from heliograph.reference.recipe import HIDDEN_SIZE
from heliograph.reference.scenes import COLOURS, COLUMN_WORDS, ROW_WORDS, SHAPES

SHAPE_WORDS = ("nothing", *SHAPES, "large", "small")
EASY_SHAPES = ("circle", "rectangle", "triangle")
EASY_COLOURS = ("red", "green", "blue", "black", "gray", "teal", "brown", "yellow")
_LOGIT_SCALE = 6.0


class DenseHeads(nn.Module):
    """Logits of every dense label from visual tokens (B, N, D); used in training only."""

    def __init__(self, tokenizer: Any, embeddings: Tensor) -> None:
        super().__init__()
        for group, words in {
            "shape": SHAPE_WORDS,
            "colour": tuple(COLOURS),
            "row": ROW_WORDS,
            "column": COLUMN_WORDS,
            "easy_shape": EASY_SHAPES,
            "easy_colour": EASY_COLOURS,
        }.items():
            ids = tokenizer.convert_tokens_to_ids([f"Ġ{word}" for word in words])
            self.register_buffer(f"{group}_rows", embeddings[ids].detach().clone())  # (words, D)
        self.centre = nn.Linear(HIDDEN_SIZE, 2)
        self.characters = nn.Linear(HIDDEN_SIZE, 3 * len(CHARACTERS))
        self.local_characters = nn.Linear(HIDDEN_SIZE, len(CHARACTERS))

    def words(self, tokens: Tensor, group: str) -> Tensor:
        """(B, N, D) -> (B, N, words of the group)."""
        rows: Tensor = getattr(self, f"{group}_rows")
        return _LOGIT_SCALE * tokens @ rows.T

    def loss(self, tokens: Tensor, labels: dict[str, Tensor]) -> Tensor:
        """Sum of cross-entropies; each label (B, N) int64 with -100 for "does not apply".

        Args:
            tokens: (B, N, D) visual tokens, float32.
            labels: ``shape``, ``colour``, ``row``, ``column``, ``centre`` (B, N) and ``characters`` (B, 3, N).
        """
        total = functional.cross_entropy(self.centre(tokens).flatten(0, 1), labels["centre"].flatten())
        for group in ("shape", "colour", "row", "column"):
            total = total + _masked_cross_entropy(self.words(tokens, group), labels[group])
        # Most tokens are background: what the others show would drown in one mean over all.
        things = labels["shape"].masked_fill(labels["shape"] == 0, IGNORE)
        total = total + _masked_cross_entropy(self.words(tokens, "shape"), things)
        total = total + _masked_cross_entropy(self.local_characters(tokens), labels["local_characters"])
        characters = self.characters(tokens).unflatten(-1, (3, len(CHARACTERS))).transpose(1, 2)  # (B, 3, N, C)
        return total + _masked_cross_entropy(characters, labels["characters"])

    def easy_loss(self, tokens: Tensor, shape: Tensor, colour: Tensor) -> Tensor:
        """easy-VQA knows only what a picture holds, not where: pool logits over tokens. Labels (B,) int64."""
        total = tokens.new_zeros(())
        for group, target in (("easy_shape", shape), ("easy_colour", colour)):
            pooled = torch.logsumexp(self.words(tokens, group), dim=1)  # (B, words)
            total = total + functional.cross_entropy(pooled, target)
        return total

    def accuracy(self, tokens: Tensor, labels: dict[str, Tensor]) -> dict[str, float]:
        """Share of right tokens per label, over the tokens that have it (objects only for ``shape``)."""
        out: dict[str, float] = {}
        for group in ("shape", "colour", "row", "column"):
            target = labels[group]
            keep = target > 0 if group == "shape" else target != IGNORE
            out[group] = _share(self.words(tokens, group).argmax(-1)[keep] == target[keep])
        characters = self.characters(tokens).unflatten(-1, (3, len(CHARACTERS))).transpose(1, 2).argmax(-1)
        keep = labels["characters"] != IGNORE
        out["characters"] = _share(characters[keep] == labels["characters"][keep])
        keep = labels["local_characters"] != IGNORE
        out["local"] = _share(self.local_characters(tokens).argmax(-1)[keep] == labels["local_characters"][keep])
        out["centre"] = _share(self.centre(tokens).argmax(-1) == labels["centre"])
        return out


def _share(right: Tensor) -> float:
    return float(right.float().mean()) if right.numel() else float("nan")


def _masked_cross_entropy(logits: Tensor, target: Tensor) -> Tensor:
    """Mean over applicable positions; zero, not nan, where a batch has none."""
    flat = target.reshape(-1)
    losses = functional.cross_entropy(logits.reshape(flat.shape[0], -1), flat, ignore_index=IGNORE, reduction="sum")
    return losses / (flat != IGNORE).sum().clamp(min=1)


def tower_tokens(model: Any, pixels: Tensor) -> Tensor:
    """Visual tokens of a batch, through the model's own tower and projector.

    Args:
        model: the Idefics3 model.
        pixels: (B, 128, 128, 3) uint8.

    Returns:
        (B, 64, D) float32.
    """
    values = pixels.permute(0, 3, 1, 2).float() / 127.5 - 1.0  # (B, 3, 128, 128)
    patches = values.shape[-1] // model.config.vision_config.patch_size
    mask = torch.ones(values.shape[0], patches, patches, dtype=torch.bool, device=values.device)
    hidden = model.model.vision_model(pixel_values=values, patch_attention_mask=mask).last_hidden_state
    tokens: Tensor = model.model.connector(hidden)
    return tokens.float()
