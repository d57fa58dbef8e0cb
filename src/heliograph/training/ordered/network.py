"""The networks of ``tokens-1d``: registers that read a photo's visual tokens, each left with one of C codewords.

::

    tokens (B, N, D) --TokenSpace--> features (B, N, R)
    features --K registers read N tokens--> (B, K, c) --+
    features --linear, S components--> (B, S) less what codes 1..k-1 tell --A_k--> (B, c) --+--> nearest word: code k
    codes 1..k --B_1..B_k, sum--> (B, S) --linear--> features        --+
    codes 1..k, learned masks for the rest --N queries read K--> (B, N, R) --+--> features (B, N, R) --> tokens

Registers and nested dropout are those of FlexTok (arXiv 2502.13967) and One-D-Piece (arXiv 2501.10064) after TiTok
(arXiv 2406.07550). Different here: what is read are the tokens of the vision tower, and beside the registers runs a
linear path on which every code quantises what the codes before it leave. Training starts from its greedy solution.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from heliograph.training.meta.network import Block, silent

_DECAY = 0.995  # of what a codebook remembers, per step
_DEAD = 0.02  # pictures a step, in the memory's mean, below which a codeword is put elsewhere


@dataclass(frozen=True)
class RegisterSizes:
    """What fixes the networks' shapes.

    Attributes:
        rows, columns: grid of one tile; N = rows x columns.
        features: R.
        codes: K.
        words: C, codewords of each register.
        channels: c, of a codeword.
        components: S, of the linear path.
        width: of both transformers.
        encoder_layers, decoder_layers: depth.
        heads: attention heads.
    """

    rows: int
    columns: int
    features: int
    codes: int = 32
    words: int = 1024
    channels: int = 8
    components: int = 160
    width: int = 96
    encoder_layers: int = 2
    decoder_layers: int = 3
    heads: int = 4

    @property
    def tokens(self) -> int:
        """N."""
        return self.rows * self.columns


class Codebooks(nn.Module):
    """K codebooks of C codewords, moved by running means (EMA) and not by gradients."""

    words: Tensor
    counts: Tensor
    prices: Tensor

    def __init__(self, sizes: RegisterSizes) -> None:
        super().__init__()
        self.register_buffer("prices", torch.zeros(sizes.codes, sizes.words), persistent=False)
        self.register_buffer("words", torch.randn(sizes.codes, sizes.words, sizes.channels))
        self.register_buffer("counts", torch.ones(sizes.codes, sizes.words))

    def nearest(self, rank: Tensor, values: Tensor) -> Tensor:
        """(B, c) to (B,) int64 codes of one register: squared distance and the word's price decide, of equals the
        first."""
        book = self.words[rank]  # (C, c)
        return torch.argmin(book.square().sum(1) + self.prices[rank] - 2 * values @ book.T, dim=1)

    @torch.no_grad()
    def follow(self, values: Tensor, codes: Tensor) -> None:
        """Move to the means of what fell to each codeword.

        Args:
            values: (B, K, c) before quantisation.
            codes: (B, K) where each fell.
        """
        ranks = torch.arange(codes.shape[1])[None].expand_as(codes)
        met = torch.zeros_like(self.counts).index_put_((ranks, codes), torch.ones(codes.shape), accumulate=True)
        sums = torch.zeros_like(self.words).index_put_((ranks, codes), values, accumulate=True)
        kept = _DECAY * self.counts  # (K, C)
        counts = kept + (1 - _DECAY) * met
        moved = (kept[..., None] * self.words + (1 - _DECAY) * sums) / counts[..., None]
        self.words.copy_(torch.where(met[..., None] > 0, moved, self.words))
        self.counts.copy_(counts)
        mean = codes.shape[0] / self.counts.shape[1]
        for rank, word in (self.counts < _DEAD * mean).nonzero().tolist()[: codes.shape[0]]:
            self.words[rank, word] = values[(rank * 31 + word) % len(values), rank]
            self.counts[rank, word] = mean


class RegisterEncoder(nn.Module):
    """Features to codes."""

    def __init__(self, sizes: RegisterSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.enter = nn.Linear(sizes.features, sizes.width)
        self.places = nn.Parameter(0.1 * torch.randn(sizes.tokens, sizes.width))
        self.registers = nn.Parameter(torch.randn(sizes.codes, sizes.width))
        self.blocks = nn.ModuleList(Block(sizes.width, sizes.heads) for _ in range(sizes.encoder_layers))
        self.norm = nn.LayerNorm(sizes.width)
        self.leave = silent(sizes.width, sizes.channels)
        self.straight = nn.Parameter(torch.zeros(sizes.tokens * sizes.features, sizes.components))
        self.look = nn.Parameter(torch.zeros(sizes.codes, sizes.components, sizes.channels))  # A

    def forward(self, features: Tensor, books: Codebooks, tell: Tensor) -> tuple[Tensor, Tensor]:
        """Every register in turn.

        Args:
            features: (B, N, R).
            books: codewords.
            tell: (K, c, S), what a codeword tells of the components (B).

        Returns:
            (B, K, c) values before quantisation, and (B, K) int64 codes.
        """
        seen = self.enter(features) + self.places  # (B, N, width)
        registers = self.registers.expand(features.shape[0], -1, -1)  # (B, K, width); len() would be a constant
        for block in self.blocks:
            registers = block(registers, seen)
        read = self.leave(self.norm(registers))  # (B, K, c)
        left = features.flatten(1) @ self.straight  # (B, S)
        values, codes = [], []
        zero = (left[0, 0] * 0).long()  # a rank that tracing cannot know: it would store every slice once more
        for rank in range(self.sizes.codes):
            value = left @ self.look[zero + rank] + read[:, rank]  # (B, c)
            code = books.nearest(zero + rank, value)
            left = left - (books.words[zero + rank][code] @ tell[zero + rank]).detach()
            values.append(value)
            codes.append(code)
        return torch.stack(values, dim=1), torch.stack(codes, dim=1)


class RegisterDecoder(nn.Module):
    """Codewords of a prefix to features."""

    def __init__(self, sizes: RegisterSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.enter = nn.Linear(sizes.channels, sizes.width)
        self.ranks = nn.Parameter(0.5 * torch.randn(sizes.codes, sizes.width))
        self.missing = nn.Parameter(0.5 * torch.randn(sizes.codes, sizes.width))
        self.queries = nn.Parameter(torch.randn(sizes.tokens, sizes.width))
        self.look = nn.Linear(sizes.features, sizes.width)
        self.blocks = nn.ModuleList(Block(sizes.width, sizes.heads) for _ in range(sizes.decoder_layers))
        self.norm = nn.LayerNorm(sizes.width)
        self.leave = silent(sizes.width, sizes.features)
        self.tell = nn.Parameter(torch.zeros(sizes.codes, sizes.channels, sizes.components))  # B
        self.straight = nn.Parameter(torch.zeros(sizes.components, sizes.tokens * sizes.features))

    def forward(self, words: Tensor, known: Tensor) -> Tensor:
        """Restore all features.

        Args:
            words: (B, K, c) codewords; what is not known may hold any finite value.
            known: (B, K) bool, True for the codes of the prefix.

        Returns:
            (B, N, R) float32.
        """
        given = torch.where(known[..., None], words, 0.0)  # (B, K, c); the linear path's mean is zero
        straight = given.flatten(1) @ self.tell.flatten(0, 1) @ self.straight
        straight = straight.reshape(-1, self.sizes.tokens, self.sizes.features)
        memory = torch.where(known[..., None], self.enter(words) + self.ranks, self.missing)  # (B, K, width)
        tokens = self.queries + self.look(straight)  # (B, N, width)
        for block in self.blocks:
            tokens = block(tokens, memory)
        return torch.add(straight, self.leave(self.norm(tokens)))


class RegisterCoder(nn.Module):
    """All that is trained."""

    def __init__(self, sizes: RegisterSizes) -> None:
        super().__init__()
        self.sizes = sizes
        self.encoder, self.decoder = RegisterEncoder(sizes), RegisterDecoder(sizes)
        self.books = Codebooks(sizes)

    def forward(self, features: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """A prefix of every picture.

        Args:
            features: (B, N, R).
            known: (B, K) bool.

        Returns:
            (B, N, R) restored features, whose gradient passes the quantiser straight; (B, K, c) values before it;
            (B, K) codes.
        """
        values, codes = self.encoder(features, self.books, self.decoder.tell)
        words = self.words_of(codes)  # (B, K, c)
        return self.decoder(values + (words - values).detach(), known), values, codes

    def words_of(self, codes: Tensor) -> Tensor:
        """(B, K) codes to (B, K, c) codewords."""
        return self.books.words[torch.arange(self.sizes.codes), codes]
