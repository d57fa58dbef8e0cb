"""The Meta AutoEncoder: visual tokens to an ordered list of integer latents of which every prefix restores all tokens.

::

    tokens (B, N, D) --MetaEncoder: K queries read N tokens--> bounded values (B, K, c) --round--> integers
    integers of a prefix + learned masks for the rest --MetaDecoder: N queries read K latents--> tokens (B, N, D)

The idea of learned queries into an ordered latent with random prefix masking is that of arXiv 2604.26508; the latents
here are integers, so that they can be entropy-coded and cut at any byte.
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
        hidden_size: D.
        latents: K.
        channels: c.
        width: of both transformers.
        encoder_layers, decoder_layers: depth.
        heads: attention heads.
        reach: integers lie in -reach..reach.
    """

    rows: int
    columns: int
    hidden_size: int
    latents: int = 64
    channels: int = 8
    width: int = 128
    encoder_layers: int = 2
    decoder_layers: int = 3
    heads: int = 4
    reach: int = 7

    @property
    def tokens(self) -> int:
        """N."""
        return self.rows * self.columns


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
    """Tokens to unrounded latents."""

    mean: Tensor
    scale: Tensor

    def __init__(self, sizes: MetaSizes, mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.sizes = sizes
        self.register_buffer("mean", mean)  # (N, D)
        self.register_buffer("scale", scale)  # (D,)
        self.enter = nn.Linear(sizes.hidden_size, sizes.width)
        self.places = nn.Parameter(0.1 * torch.randn(sizes.tokens, sizes.width))
        self.queries = nn.Parameter(torch.randn(sizes.latents, sizes.width))
        self.blocks = nn.ModuleList(Block(sizes.width, sizes.heads) for _ in range(sizes.encoder_layers))
        self.norm = nn.LayerNorm(sizes.width)
        self.leave = nn.Linear(sizes.width, sizes.channels)
        self.gain = nn.Parameter(torch.full((sizes.latents, sizes.channels), 1.0))

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, N, D) float32 to (B, K, c), bounded by ``reach``."""
        seen = self.enter((tokens - self.mean) / self.scale) + self.places  # (B, N, width)
        latents = self.queries.expand(len(tokens), -1, -1)  # (B, K, width)
        for block in self.blocks:
            latents = block(latents, seen)
        values = self.leave(self.norm(latents)) * self.gain  # (B, K, c)
        reach = self.sizes.reach + 0.49
        return reach * torch.tanh(values / reach)


class MetaDecoder(nn.Module):
    """Integers of a prefix to tokens."""

    mean: Tensor
    scale: Tensor

    def __init__(self, sizes: MetaSizes, mean: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.sizes = sizes
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.enter = nn.Linear(sizes.channels, sizes.width)
        self.ranks = nn.Parameter(0.5 * torch.randn(sizes.latents, sizes.width))
        self.missing = nn.Parameter(0.5 * torch.randn(sizes.latents, sizes.width))
        self.queries = nn.Parameter(torch.randn(sizes.tokens, sizes.width))
        self.blocks = nn.ModuleList(Block(sizes.width, sizes.heads) for _ in range(sizes.decoder_layers))
        self.norm = nn.LayerNorm(sizes.width)
        self.leave = nn.Linear(sizes.width, sizes.hidden_size)

    def forward(self, latents: Tensor, known: Tensor) -> Tensor:
        """Restore all tokens.

        Args:
            latents: (B, K, c) integers as float32; what is not known may hold anything.
            known: (B, K) bool, True for the latents of the prefix.

        Returns:
            (B, N, D) float32.
        """
        given = self.enter(latents) + self.ranks  # (B, K, width)
        memory = torch.where(known[..., None], given, self.missing)
        tokens = self.queries.expand(len(latents), -1, -1)  # (B, N, width)
        for block in self.blocks:
            tokens = block(tokens, memory)
        made: Tensor = self.leave(self.norm(tokens)) * self.scale + self.mean
        return made


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


def rounded(values: Tensor) -> Tensor:
    """Integers whose gradient is that of the values (straight-through)."""
    return values + (values.round() - values).detach()
