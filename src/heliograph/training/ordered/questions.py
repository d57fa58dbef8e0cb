"""Networks that know the question: one restores tokens with it in the cloud, one prepares them with it on the device.

::

    side-info       words (B, L) --mean of embeddings, MLP--> gamma, beta of every block (FiLM)
                    restored features (B, N, R) --blocks--> correction, nothing before training
    question-coded  words (B, L) --embeddings in their order--> memory
                    features (B, N, R) --tokens read the memory and each other--> gain of each token, 0 to 2, and
                    correction; 1 and nothing before training

Side information that only the decoder has is after arXiv 2311.13847; text that only the encoder reads, through
attention whose gain begins at nothing, is after TACO (arXiv 2403.02944).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from heliograph.codec.question_words import BUCKETS, MAX_WORDS, NO_WORD
from heliograph.training.meta.network import Attention, Block, TokenSpace, silent


class FilmBlock(nn.Module):
    """Self-attention and MLP whose normalised inputs are scaled and shifted by what is known."""

    def __init__(self, width: int, heads: int, known: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.film = silent(known, 4 * width)
        self.own = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))

    def forward(self, tokens: Tensor, known: Tensor) -> Tensor:
        """(B, N, width) and (B, known) to (B, N, width)."""
        gain, shift, gain_after, shift_after = self.film(known)[:, None].chunk(4, dim=-1)  # (B, 1, width) each
        seen = self.norms[0](tokens) * (1 + gain) + shift
        tokens = tokens + self.own(seen, seen)
        return torch.add(tokens, self.mlp(self.norms[1](tokens) * (1 + gain_after) + shift_after))


class SideDecoder(nn.Module):
    """Corrects restored features by the question.

    Args:
        tokens, features: N and R.
        hears: whether it is given the question; without, it is what a larger decoder alone would give.
    """

    def __init__(
        self, tokens: int, features: int, *, width: int = 96, heads: int = 4, layers: int = 3, hears: bool = True
    ) -> None:
        super().__init__()
        self.hears = hears
        self.words = nn.Embedding(BUCKETS + 1, width, padding_idx=NO_WORD)
        self.know = nn.Sequential(nn.Linear(width + 2, width), nn.GELU(), nn.Linear(width, width), nn.GELU())
        self.enter = nn.Linear(features, width)
        self.places = nn.Parameter(0.1 * torch.randn(tokens, width))
        self.blocks = nn.ModuleList(FilmBlock(width, heads, width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.leave = silent(width, features)

    def forward(self, features: Tensor, share: Tensor, words: Tensor) -> Tensor:
        """Corrected features.

        Args:
            features: (B, N, R) as restored.
            share: (B,) of the latents known, 0 to 1.
            words: (B, L) int64 of :mod:`heliograph.codec.question_words`.
        """
        here = (words != NO_WORD).to(features.dtype)  # (B, L)
        bag = self.words(words).sum(1) / here.sum(1).clamp(min=1)[:, None]  # (B, width)
        if not self.hears:
            bag = torch.zeros_like(bag)
        known = self.know(torch.cat([bag, share[:, None], share.clamp(min=1e-6).sqrt()[:, None]], dim=1))
        tokens = self.enter(features) + self.places
        for block in self.blocks:
            tokens = block(tokens, known)
        return torch.add(features, self.leave(self.norm(tokens)))


class QuestionAdapter(nn.Module):
    """Prepares features for an encoder, so that it spends its bits on what was asked.

    Args:
        tokens, features: N and R.
    """

    def __init__(self, tokens: int, features: int, *, width: int = 96, heads: int = 4, layers: int = 2) -> None:
        super().__init__()
        self.words = nn.Embedding(BUCKETS + 1, width)
        self.order = nn.Parameter(0.1 * torch.randn(MAX_WORDS, width))
        self.enter = nn.Linear(features, width)
        self.places = nn.Parameter(0.1 * torch.randn(tokens, width))
        self.blocks = nn.ModuleList(Block(width, heads) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.gain, self.leave = silent(width, 1), silent(width, features)

    def forward(self, features: Tensor, words: Tensor) -> Tensor:
        """(B, N, R) features and (B, L) words to (B, N, R) features."""
        memory = self.words(words) + self.order  # (B, L, width)
        tokens = self.enter(features) + self.places
        for block in self.blocks:
            tokens = block(tokens, memory)
        tokens = self.norm(tokens)
        return torch.add(2 * torch.sigmoid(self.gain(tokens)) * features, self.leave(tokens))


class SideCloud(nn.Module):
    """Restored tokens (T, N, D), share (T,), words (T, L) to tokens (T, N, D)."""

    def __init__(self, space: TokenSpace, side: SideDecoder) -> None:
        super().__init__()
        self.space, self.side = space, side

    def forward(self, tokens: Tensor, share: Tensor, words: Tensor) -> Tensor:
        """See the class; what features do not hold of the tokens stays as it is."""
        features = self.space.features(tokens)
        corrected: Tensor = self.side(features, share, words)
        return tokens + self.space.change(corrected - features)


class AdapterDevice(nn.Module):
    """Tokens (T, N, D) and words (T, L) to tokens (T, N, D)."""

    def __init__(self, space: TokenSpace, adapter: QuestionAdapter) -> None:
        super().__init__()
        self.space, self.adapter = space, adapter

    def forward(self, tokens: Tensor, words: Tensor) -> Tensor:
        """See the class; what features do not hold of the tokens stays as it is."""
        features = self.space.features(tokens)
        prepared: Tensor = self.adapter(features, words)
        return tokens + self.space.change(prepared - features)
