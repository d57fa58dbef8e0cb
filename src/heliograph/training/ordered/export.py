"""Trained registers as the part ``tokens-1d``: two ONNX graphs, codewords put in groups, counted integer tables."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.codec.code_prior import CodePrior, Int, fit_code_prior
from heliograph.codec.question_words import MAX_WORDS
from heliograph.codec.storage import write_arrays
from heliograph.training.export.onnx_graphs import trace
from heliograph.training.export.onnx_weights import eight_bit, share_weights
from heliograph.training.meta.network import TokenSpace
from heliograph.training.ordered.answering import Classroom
from heliograph.training.ordered.network import RegisterCoder
from heliograph.training.ordered.questions import AdapterDevice, QuestionAdapter, SideCloud, SideDecoder
from heliograph.types import Grid

SIDE, ADAPTER = "side.onnx", "adapter.onnx"
ENCODER, DECODER, WEIGHTS, TABLES = "encoder.onnx", "decoder.onnx", "weights.safetensors", "tables"
PRICE = 2.0
"""Squared error of features, a picture's being about N x R, that a bit is worth: what one buys at thirty bytes."""

_PRICE_ROUNDS, _KEPT, _FLAT = 5, 2.0, 0.5  # rounds; pictures that a word's old place and its chance count for
_GROUP_SIZE = 32
_CHUNK = 256


class RegisterDevice(nn.Module):
    """Tokens (T, N, D) to codes (T, K) int64."""

    def __init__(self, space: TokenSpace, coder: RegisterCoder) -> None:
        super().__init__()
        self.space, self.coder = space, coder

    def forward(self, tokens: Tensor) -> Tensor:
        """See the class."""
        encoder, decoder = self.coder.encoder, self.coder.decoder
        codes: Tensor = encoder(self.space.features(tokens), self.coder.books, decoder.tell)[1]
        return codes


class RegisterCloud(nn.Module):
    """Codes (T, K) int64 and what is known of them (T, K) bool to tokens (T, N, D)."""

    def __init__(self, space: TokenSpace, coder: RegisterCoder) -> None:
        super().__init__()
        self.space, self.coder = space, coder

    def forward(self, codes: Tensor, known: Tensor) -> Tensor:
        """See the class."""
        return self.space.tokens(self.coder.decoder(self.coder.words_of(codes), known))


@torch.no_grad()
def export_registers(coder: RegisterCoder, room: Classroom, folder: Path) -> tuple[list[str], dict[str, Any]]:
    """Write networks and tables into a part's folder.

    Returns:
        Names of the files, and figures: bits that flat codes, codes by their own frequency and the prior take.
    """
    folder.mkdir(parents=True, exist_ok=True)
    price_words(coder, room.all_features())
    _round(room.space, coder)
    _group(coder)
    codes, held = _codes(coder, room.space, room.train.tokens), _codes(coder, room.space, room.dev.tokens)
    words = coder.sizes.words
    size = min(_GROUP_SIZE, words)
    prior = fit_code_prior(codes, words // size, size)
    tokens = room.train.tokens[:2].float()
    known = torch.ones(2, coder.sizes.codes, dtype=torch.bool)
    first, tiles = torch.from_numpy(codes[:2]), {0: "tiles"}
    names = {"input_names": ["tokens"], "output_names": ["codes"], "dynamic_axes": {"tokens": tiles, "codes": tiles}}
    trace(RegisterDevice(room.space, coder), (tokens,), folder / ENCODER, **names)
    names = {"input_names": ["codes", "known"], "output_names": ["tokens"]}
    axes = {"codes": tiles, "known": tiles, "tokens": tiles}
    trace(RegisterCloud(room.space, coder), (first, known), folder / DECODER, **names, dynamic_axes=axes)
    share_weights((folder / ENCODER, folder / DECODER), folder / WEIGHTS)
    _write_tables(folder, prior, room.grid, int(tokens.shape[2]))
    flat = coder.sizes.codes * float(np.log2(words))
    figures = {"flat_bits": flat, "prior_bits_held_out": round(float(prior.bits(held).sum(1).mean()), 2)}
    figures["prior_bits_seen"] = round(float(prior.bits(codes).sum(1).mean()), 2)
    return [ENCODER, DECODER, WEIGHTS, f"{TABLES}.safetensors"], figures


@torch.no_grad()
def price_words(coder: RegisterCoder, features: Tensor, price: float = PRICE) -> None:
    """Let the encoder weigh a word's error against its bits, and move words to the means of what then falls to them:
    entropy-constrained vector quantisation (Chou, Lookabaugh and Gray, 1989), some rounds of it.

    Args:
        coder: trained; its codebooks change a little, the decoder not.
        features: (I, N, R) of training pictures.
        price: squared error that a bit is worth.
    """
    books, words = coder.books, coder.sizes.words
    for _ in range(_PRICE_ROUNDS):
        parts = [coder.encoder(part, books, coder.decoder.tell) for part in torch.split(features, _CHUNK)]
        values, codes = torch.cat([part[0] for part in parts]), torch.cat([part[1] for part in parts])
        for rank in range(coder.sizes.codes):
            met = torch.bincount(codes[:, rank], minlength=words).float()  # (C,)
            sums = torch.zeros_like(books.words[rank]).index_add_(0, codes[:, rank], values[:, rank])
            kept = _KEPT * books.words[rank]
            books.words[rank] = torch.where(met[:, None] > 0, (sums + kept) / (met + _KEPT)[:, None], books.words[rank])
            chance = (met + _FLAT) / (met + _FLAT).sum()
            books.prices[rank] = -price * torch.log2(chance)


def export_side(side: SideDecoder, room: Classroom, folder: Path) -> tuple[list[str], dict[str, Any]]:
    """Write the network of ``side-info``; names of the files and no figures."""
    given = room.dev.tokens[:2].float(), torch.ones(2), torch.ones(2, MAX_WORDS, dtype=torch.int64)
    names = ["tokens", "share", "words"]
    return _export_one(SideCloud(room.space, side), given, names, "corrected", folder / SIDE), {}


def export_adapter(adapter: QuestionAdapter, room: Classroom, folder: Path) -> tuple[list[str], dict[str, Any]]:
    """Write the network of ``question-coded``; names of the files and no figures."""
    given = room.dev.tokens[:2].float(), torch.ones(2, MAX_WORDS, dtype=torch.int64)
    return _export_one(AdapterDevice(room.space, adapter), given, ["tokens", "words"], "prepared", folder / ADAPTER), {}


def _export_one(module: nn.Module, given: tuple[Tensor, ...], names: list[str], made: str, path: Path) -> list[str]:
    path.parent.mkdir(parents=True, exist_ok=True)
    module.half().float()
    axes = {name: {0: "tiles"} for name in (*names, made)}
    trace(module, given, path, input_names=names, output_names=[made], dynamic_axes=axes)
    return [path.name]


def _write_tables(folder: Path, prior: CodePrior, grid: Grid, hidden_size: int) -> None:
    facts = {
        "grid": [grid.rows, grid.columns, grid.tiles, grid.photo_width, grid.photo_height],
        "hidden_size": hidden_size,
    }
    write_arrays(folder, TABLES, facts, {name: getattr(prior, name).astype(np.int32) for name in CodePrior.ARRAYS})


@torch.no_grad()
def _round(space: TokenSpace, coder: RegisterCoder) -> None:
    """Weights as they ship: float16, and int8 for the linear paths."""
    for module in (space, coder):
        module.half().float()
    for weights, axis in ((coder.encoder.straight, 1), (coder.decoder.straight, 0)):
        weights.copy_(torch.from_numpy(eight_bit(weights.numpy(), axis)))


@torch.no_grad()
def _group(coder: RegisterCoder) -> None:
    """Number the words of each codebook so that groups of 32 lie together: halved again and again along the direction
    in which they differ most."""
    words = coder.books.words
    for rank in range(len(words)):
        order = _halved(words[rank], torch.arange(words.shape[1]), min(_GROUP_SIZE, words.shape[1]))
        words[rank] = words[rank][order]
        coder.books.counts[rank] = coder.books.counts[rank][order]
        coder.books.prices[rank] = coder.books.prices[rank][order]


def _halved(words: Tensor, chosen: Tensor, size: int) -> Tensor:
    """These of the words, ordered."""
    own = words[chosen]
    _, _, directions = torch.pca_lowrank(own, q=1, niter=4)
    along = own @ directions[:, 0]
    order = chosen[along.argsort(stable=True)]
    if len(chosen) <= size:
        return order
    middle = len(order) // 2
    return torch.cat([_halved(words, order[:middle], size), _halved(words, order[middle:], size)])


def _codes(coder: RegisterCoder, space: TokenSpace, tokens: Tensor) -> Int:
    """(I, K) of all pictures."""
    found = []
    for part in torch.split(tokens, _CHUNK):
        features = space.features(part.float())
        found.append(coder.encoder(features, coder.books, coder.decoder.tell)[1].numpy())
    return np.concatenate(found).astype(np.int64)
