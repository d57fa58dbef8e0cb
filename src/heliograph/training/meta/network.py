"""The Meta AutoEncoder: visual tokens to an ordered list of integer latents of which every prefix restores all tokens.

::

    tokens (B, N, D) --TokenSpace--> features (B, N, R)
    features --MetaEncoder: K queries read N tokens, plus a linear path--> bounded values (B, K, c) --round--> integers
    integers of a prefix + learned masks for the rest --MetaDecoder: N queries read K latents, plus a linear path-->
    features (B, N, R) --TokenSpace--> tokens (B, N, D)

The idea of learned queries into an ordered latent with random prefix masking is that of arXiv 2604.26508; the latents
here are integers, so that they can be entropy-coded and cut at any byte. Features are the tokens in the closed-form
codec's channel transform, where equal errors hurt the language model equally. The linear paths begin as principal
components of whole pictures: training starts from a good transform codec and learns what that cannot do, where
attention from random weights had learned next to nothing in the same time (docs/experiments.md).
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class MetaSizes:
    """What fixes the network's shapes.

    Attributes:
        rows, columns: grid of one tile; N = rows x columns.
        features: R.
        latents: K.
        channels: c.
        width: of both transformers.
        encoder_layers, decoder_layers: depth.
        heads: attention heads.
        reach: integers lie in -reach..reach.
    """

    rows: int
    columns: int
    features: int
    latents: int = 56
    channels: int = 8
    width: int = 128
    encoder_layers: int = 2
    decoder_layers: int = 3
    heads: int = 4
    reach: int = 15

    @property
    def tokens(self) -> int:
        """N."""
        return self.rows * self.columns

    @property
    def integers(self) -> int:
        """K x c."""
        return self.latents * self.channels


class TokenSpace(nn.Module):
    """Tokens to features and back, a fixed linear map.

    Args:
        mean: (N, D) mean token at each position.
        analysis: (D, R) to features whose mean square is about 1.
        synthesis: (R, D) back.
        places: (N, N) over the positions of a tile and the same back; None where every position is a row of its own.
    """

    mean: Tensor
    analysis: Tensor
    synthesis: Tensor
    places: Tensor | None
    places_back: Tensor | None

    def __init__(
        self, mean: Tensor, analysis: Tensor, synthesis: Tensor, places: tuple[Tensor, Tensor] | None = None
    ) -> None:
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("analysis", analysis)
        self.register_buffer("synthesis", synthesis)
        self.register_buffer("places", places[0] if places else None)
        self.register_buffer("places_back", places[1] if places else None)

    def features(self, tokens: Tensor) -> Tensor:
        """(B, N, D) to (B, N, R)."""
        features = (tokens - self.mean) @ self.analysis
        return features if self.places is None else self.places @ features

    def tokens(self, features: Tensor) -> Tensor:
        """(B, N, R) to (B, N, D)."""
        return self.mean + self.change(features)

    def change(self, features: Tensor) -> Tensor:
        """(B, N, R) differences of features to (B, N, D) differences of tokens."""
        if self.places_back is not None:
            features = self.places_back @ features
        return features @ self.synthesis


class Block(nn.Module):
    """Queries read a memory, then each other: pre-norm cross-attention, self-attention, MLP."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))
        self.cross = Attention(width, heads)
        self.own = Attention(width, heads)
        self.mlp = nn.Sequential(nn.Linear(width, 3 * width), nn.GELU(), nn.Linear(3 * width, width))

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        """(B, Q, width) and (B, M, width) to (B, Q, width)."""
        queries = queries + self.cross(self.norms[0](queries), self.norms[1](memory))
        own = self.norms[2](queries)
        queries = queries + self.own(own, own)
        return torch.add(queries, self.mlp(self.norms[3](queries)))


class Attention(nn.Module):
    """Multi-head attention from queries to a memory."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query, self.key_value = nn.Linear(width, width), nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def forward(self, queries: Tensor, memory: Tensor) -> Tensor:
        """(B, Q, width) and (B, M, width) to (B, Q, width)."""
        batch, count, width = queries.shape
        split = (batch, -1, self.heads, width // self.heads)
        asked = self.query(queries).reshape(split).transpose(1, 2)  # (B, heads, Q, size)
        keys, values = self.key_value(memory).chunk(2, dim=-1)
        keys, values = keys.reshape(split).transpose(1, 2), values.reshape(split).transpose(1, 2)
        read = nn.functional.scaled_dot_product_attention(asked, keys, values)
        mixed: Tensor = self.out(read.transpose(1, 2).reshape(batch, count, width))
        return mixed


class MetaEncoder(nn.Module):
    """Features to unrounded latents."""

    def __init__(self, sizes: MetaSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.enter = nn.Linear(sizes.features, sizes.width)
        self.places = nn.Parameter(0.1 * torch.randn(sizes.tokens, sizes.width))
        self.queries = nn.Parameter(torch.randn(sizes.latents, sizes.width))
        self.blocks = nn.ModuleList(Block(sizes.width, sizes.heads) for _ in range(sizes.encoder_layers))
        self.norm = nn.LayerNorm(sizes.width)
        self.leave = silent(sizes.width, sizes.channels)
        self.straight = nn.Parameter(torch.zeros(sizes.tokens * sizes.features, sizes.integers))
        self.log_gain = nn.Parameter(torch.zeros(sizes.latents, sizes.channels))  # how finely each integer counts

    def forward(self, features: Tensor) -> Tensor:
        """(B, N, R) float32 to (B, K, c), bounded by ``reach``."""
        seen = self.enter(features) + self.places  # (B, N, width)
        latents = self.queries.expand(features.shape[0], -1, -1)  # (B, K, width); len() would be traced as a constant
        for block in self.blocks:
            latents = block(latents, seen)
        straight = features.flatten(1) @ self.straight  # (B, K * c)
        values = self.leave(self.norm(latents)) + straight.reshape(-1, self.sizes.latents, self.sizes.channels)
        values = values * self.log_gain.exp()
        reach = self.sizes.reach + 0.49
        return reach * torch.tanh(values / reach)


class MetaDecoder(nn.Module):
    """Integers of a prefix to features."""

    def __init__(self, sizes: MetaSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.enter = nn.Linear(sizes.channels, sizes.width)
        self.ranks = nn.Parameter(0.5 * torch.randn(sizes.latents, sizes.width))
        self.missing = nn.Parameter(0.5 * torch.randn(sizes.latents, sizes.width))
        self.queries = nn.Parameter(torch.randn(sizes.tokens, sizes.width))
        self.look = nn.Linear(sizes.features, sizes.width)
        self.blocks = nn.ModuleList(Block(sizes.width, sizes.heads) for _ in range(sizes.decoder_layers))
        self.norm = nn.LayerNorm(sizes.width)
        self.leave = silent(sizes.width, sizes.features)
        self.straight = nn.Parameter(torch.zeros(sizes.integers, sizes.tokens * sizes.features))
        self.log_step = nn.Parameter(torch.zeros(sizes.latents, sizes.channels))

    def forward(self, latents: Tensor, known: Tensor) -> Tensor:
        """Restore all features.

        Args:
            latents: (B, K, c) integers as float32; what is not known may hold any finite value.
            known: (B, K) bool, True for the latents of the prefix.

        Returns:
            (B, N, R) float32.
        """
        latents = latents * self.log_step.exp()
        given = torch.where(known[..., None], latents, 0.0)  # (B, K, c); the linear path's mean is zero
        straight = (given.flatten(1) @ self.straight).reshape(-1, self.sizes.tokens, self.sizes.features)
        memory = torch.where(known[..., None], self.enter(latents) + self.ranks, self.missing)  # (B, K, width)
        tokens = self.queries + self.look(straight)  # (B, N, width)
        for block in self.blocks:
            tokens = block(tokens, memory)
        return torch.add(straight, self.leave(self.norm(tokens)))


def silent(inputs: int, outputs: int) -> nn.Linear:
    """A layer that says nothing before training, so that the linear path beside it is what training starts from."""
    layer = nn.Linear(inputs, outputs)
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer


class RateModel(nn.Module):
    """Bits of integer latents while training: a discretised logistic per latent and channel.

    At export it gives way to counted integer tables with contexts.
    """

    def __init__(self, sizes: MetaSizes) -> None:
        super().__init__()
        self.centre = nn.Parameter(torch.zeros(sizes.latents, sizes.channels))
        self.log_scale = nn.Parameter(torch.zeros(sizes.latents, sizes.channels))

    def forward(self, latents: Tensor) -> Tensor:
        """(B, K, c) integers, or values with uniform noise in their place, to (B, K) bits."""
        scale = torch.exp(self.log_scale.clamp(-4, 4))
        upper = torch.sigmoid((latents + 0.5 - self.centre) / scale)
        lower = torch.sigmoid((latents - 0.5 - self.centre) / scale)
        return -torch.log2((upper - lower).clamp(min=1e-6)).sum(-1)


class Coder(nn.Module):
    """All that is trained, as one module with one call a step: what several devices share gradients of."""

    def __init__(self, sizes: MetaSizes) -> None:
        super().__init__()
        self.encoder, self.decoder, self.rate = MetaEncoder(sizes), MetaDecoder(sizes), RateModel(sizes)

    def forward(self, features: Tensor, noise: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """A prefix of noisy pictures.

        Args:
            features: (B, N, R).
            noise: (B, K, c) uniform, in the place of rounding where bits are counted.
            known: (B, K) bool.

        Returns:
            (B, K) bits and (B, N, R) restored features.
        """
        values = self.encoder(features)  # (B, K, c)
        bits = self.rate(values + noise)  # (B, K)
        return bits, self.decoder(rounded(values), known)


def rounded(values: Tensor) -> Tensor:
    """Integers whose gradient is that of the values (straight-through)."""
    return values + (values.round() - values).detach()
