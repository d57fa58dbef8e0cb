"""The language model behind the visual tokens, for those who put sequences together themselves.

::

    PromptBuilder --head, tail--> ids, mask, positions of the caller's making --read, tokens at their places--> states
    states --logits--> (..., V)

Training packs many questions about a photo into one sequence, and export writes this half down for devices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from heliograph.vlm.generation_rules import GenerationRules
from heliograph.vlm.prompt import PromptBuilder


@dataclass(frozen=True)
class TextModel:
    """A text model of the Idefics3 family: one run of placeholders in a prompt for the tokens of each photo.

    Attributes:
        torch_model: the whole model, with ``model.text_model`` and ``lm_head``.
        prompts: the processor's prompts as head and tail of ids.
        rules: what the generation config does to logits.
    """

    torch_model: Any
    prompts: PromptBuilder
    rules: GenerationRules

    @property
    def says_likeliest(self) -> bool:
        """Whether an answer is made of the most likely tokens alone, whatever the generation config holds.

        Raises:
            ModelUnsupportedError: that config takes ``generate`` itself.
        """
        return self.rules.plain

    def read(
        self, ids: Tensor, tokens: Tensor, mask: Tensor, positions: Tensor, *, every_layer: bool = False
    ) -> tuple[Tensor, tuple[Tensor, ...]]:
        """(B, T, D) states behind the last layer; and with ``every_layer`` those before and behind each, layers + 1.

        Args:
            ids: (B, T) int64, a placeholder for every visual token.
            tokens: (..., D) float, all visual tokens in reading order; gradients flow into them.
            mask: (B, 1, T, T) bool, True where attention is allowed.
            positions: (B, T) int64.
            every_layer: keep them.
        """
        text = self.torch_model.model.text_model
        embedded = text.get_input_embeddings()(ids)  # (B, T, D)
        embedded = embedded.masked_scatter(self.places(ids).unsqueeze(-1), tokens.to(embedded.dtype))
        made = text(
            inputs_embeds=embedded,
            attention_mask=mask,
            position_ids=positions,
            use_cache=False,
            output_hidden_states=every_layer,
        )
        return made.last_hidden_state, tuple(made.hidden_states) if every_layer else ()

    def places(self, ids: Tensor) -> Tensor:
        """Where among ids visual tokens go, bool of their shape."""
        return ids.eq(int(self.torch_model.config.image_token_id))

    def logits(self, states: Tensor) -> Tensor:
        """(..., V) float32 from (..., D)."""
        made: Tensor = self.torch_model.lm_head(states).float()
        return made
