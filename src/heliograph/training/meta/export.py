"""A trained network as the codec ``meta``: two ONNX graphs, counted integer tables, retained shares."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from heliograph.codec.expectation import ErrorHead
from heliograph.codec.latents import Int, fit_latent_tables
from heliograph.codec.meta import DECODER, ENCODER, SHARE_ONE, WEIGHTS, MetaCodec, MetaTables
from heliograph.training.export.onnx_graphs import trace
from heliograph.training.export.onnx_weights import eight_bit, share_weights
from heliograph.training.meta.data import MetaData, pictures_at_once
from heliograph.training.meta.network import MetaDecoder, MetaEncoder, TokenSpace

_CHUNK = 64
_MARGIN = 1.1


class EncoderHalf(nn.Module):
    """Tokens (T, N, D) to unrounded latents (T, K, c), and the share of the features' energy that the linear path alone
    misses (T,): little on photos like those learned from, much on any other, and cheap to know."""

    def __init__(self, space: TokenSpace, encoder: MetaEncoder, decoder: MetaDecoder) -> None:
        super().__init__()
        self.space, self.encoder = space, encoder
        self.straight, self.log_step = decoder.straight, decoder.log_step

    def forward(self, tokens: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        features = self.space.features(tokens)  # (T, N, R)
        latents: Tensor = self.encoder(features)
        given = (latents.round() * self.log_step.exp()).flatten(1)  # (T, K * c)
        left = features.flatten(1) - given @ self.straight  # (T, N * R)
        return latents, left.square().sum(1) / features.flatten(1).square().sum(1).clamp(min=1e-12)


class DecoderHalf(nn.Module):
    """Integers (T, K, c) float32 and what is known of them (T, K) bool to tokens (T, N, D)."""

    def __init__(self, space: TokenSpace, decoder: MetaDecoder) -> None:
        super().__init__()
        self.space, self.decoder = space, decoder

    def forward(self, latents: Tensor, known: Tensor) -> Tensor:
        """See the class."""
        return self.space.tokens(self.decoder(latents, known))


def export_meta(
    space: TokenSpace,
    encoder: MetaEncoder,
    decoder: MetaDecoder,
    head: ErrorHead,
    train: MetaData,
    dev: MetaData,
    out: Path,
    *,
    eight_bits: bool = True,
) -> MetaCodec:
    """Write the codec folder.

    Args:
        space, encoder, decoder: as trained; see :func:`round_to_shipped`.
        head: learned on prefixes of these networks.
        train: pictures whose integers are counted for the entropy tables.
        dev: pictures on which the retained shares are measured.
        out: codec folder.
        eight_bits: as :func:`round_to_shipped`.
    """
    out.mkdir(parents=True, exist_ok=True)
    round_to_shipped(space, encoder, decoder, eight_bits=eight_bits)
    sizes = encoder.sizes
    half = EncoderHalf(space, encoder, decoder)
    tables = MetaTables(
        grid=train.grid,
        hidden_size=int(train.tokens.shape[2]),
        latents=fit_latent_tables(_integers(space, encoder, train), sizes.reach),
        retained=_retained(space, encoder, decoder, dev),
        head=head,
        most_missed=_most_missed(half, dev),
    )
    tables.check()
    tokens = train.tokens[:2].float()
    latents, known = torch.zeros(2, sizes.latents, sizes.channels), torch.ones(2, sizes.latents, dtype=torch.bool)
    tiles = {0: "tiles"}
    trace(
        half,
        (tokens,),
        out / ENCODER,
        input_names=["tokens"],
        output_names=["latents", "missed"],
        dynamic_axes={"tokens": tiles, "latents": tiles, "missed": tiles},
    )
    trace(
        DecoderHalf(space, decoder),
        (latents, known),
        out / DECODER,
        input_names=["latents", "known"],
        output_names=["tokens"],
        dynamic_axes={"latents": tiles, "known": tiles, "tokens": tiles},
    )
    share_weights((out / ENCODER, out / DECODER), out / WEIGHTS)
    codec = MetaCodec(tables, out)
    codec.save(out)
    return codec


@torch.no_grad()
def round_to_shipped(space: TokenSpace, encoder: MetaEncoder, decoder: MetaDecoder, *, eight_bits: bool = True) -> None:
    """Round all weights to what ships: float16, and int8 for the linear paths, which are two thirds of them all.

    ``eight_bits`` False leaves the linear paths at float16: over hundreds of channels int8 costs answers.
    """
    for module in (space, encoder, decoder):
        module.half().float()
    if not eight_bits:
        return
    for weights, axis in ((encoder.straight, 1), (decoder.straight, 0)):  # a scale per integer of a latent
        weights.copy_(torch.from_numpy(eight_bit(weights.numpy(), axis)))


@torch.no_grad()
def _integers(space: TokenSpace, encoder: MetaEncoder, data: MetaData) -> Int:
    """(tiles, K, c) of all pictures."""
    found = [encoder(space.features(part)).round() for part in _parts(data)]
    return np.asarray(torch.cat(found).numpy().astype(np.int64))


@torch.no_grad()
def _most_missed(half: EncoderHalf, data: MetaData) -> float:
    """A tenth more than the linear path misses of any held-out picture."""
    return _MARGIN * max(float(half(part)[1].max()) for part in _parts(data))


@torch.no_grad()
def _retained(space: TokenSpace, encoder: MetaEncoder, decoder: MetaDecoder, data: MetaData) -> Int:
    """(K + 1,) share of the features' energy that the leading latents restore, made never to fall."""
    latents = encoder.sizes.latents
    left, whole = np.zeros(latents + 1), 0.0
    for part in _parts(data):
        features = space.features(part)  # (B, N, R)
        integers = encoder(features).round()
        whole += float(features.square().sum())
        for count in range(latents + 1):
            known = (torch.arange(latents) < count).expand(len(part), -1)
            left[count] += float((decoder(integers, known) - features).square().sum())
    shares = np.maximum.accumulate(np.clip(1 - left / max(whole, 1e-30), 0, 1))
    return np.asarray(np.rint(shares * SHARE_ONE).astype(np.int64))


def _parts(data: MetaData) -> Iterator[Tensor]:
    """(B, N, D) float32, all tiles in turn."""
    together = pictures_at_once(data.tokens[0].numel(), _CHUNK)
    for start in range(0, len(data.tokens), together):
        yield data.tokens[start : start + together].float()
