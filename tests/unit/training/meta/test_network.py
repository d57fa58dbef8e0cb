"""The Meta AutoEncoder's border: shapes, bounds, and that nothing outside the prefix is read."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from heliograph.codec.fitting.fit import fit_klt
from heliograph.training.meta.network import MetaDecoder, MetaEncoder, MetaSizes, RateModel, TokenSpace, rounded
from heliograph.training.meta.start import start_from_components, token_space
from heliograph.types import Grid, VisualTokens

SIZES = MetaSizes(3, 4, 10, latents=6, channels=2, width=16, encoder_layers=1, decoder_layers=1, heads=2, reach=3)


@pytest.fixture(scope="module")
def pair() -> tuple[MetaEncoder, MetaDecoder]:
    torch.manual_seed(0)
    encoder, decoder = MetaEncoder(SIZES).eval(), MetaDecoder(SIZES).eval()
    for parameter in (encoder.leave.weight, encoder.straight, decoder.leave.weight, decoder.straight):
        torch.nn.init.normal_(parameter, std=0.3)  # as after some training: at first these layers are silent
    return encoder, decoder


def test_latents_are_bounded_whatever_comes_in(pair: tuple[MetaEncoder, MetaDecoder]) -> None:
    for size in (1.0, 1e4):
        latents = pair[0](size * torch.randn(5, 12, 10)).round()
        assert latents.shape == (5, 6, 2)
        assert latents.abs().max() <= SIZES.reach


def test_what_is_not_known_is_not_read(pair: tuple[MetaEncoder, MetaDecoder]) -> None:
    latents = torch.randint(-3, 4, (2, 6, 2)).float()
    other = latents.clone()
    other[:, 4:] = torch.randint(-3, 4, (2, 2, 2)).float() + 9
    known = torch.arange(6).expand(2, -1) < 4
    with torch.no_grad():
        first, second = pair[1](latents, known), pair[1](other, known)
        zeros = latents.clone()
        zeros[:, 4:] = 0
        as_zeros = pair[1](zeros, torch.ones(2, 6, dtype=torch.bool))
    assert first.shape == (2, 12, 10)
    assert torch.equal(first, second)
    assert not torch.allclose(first, as_zeros)  # a missing latent is not a zero


def test_every_prefix_restores_finite_tokens(pair: tuple[MetaEncoder, MetaDecoder]) -> None:
    latents = torch.zeros(7, 6, 2)
    known = torch.arange(6)[None] < torch.arange(7)[:, None]
    with torch.no_grad():
        restored = pair[1](latents, known)
    assert torch.isfinite(restored).all()


def test_rounding_passes_gradients_and_gives_integers() -> None:
    values = torch.tensor([0.2, 1.7, -2.6], requires_grad=True)
    made = rounded(values)
    assert made.tolist() == [0, 2, -3]
    made.sum().backward()  # type: ignore[no-untyped-call]
    assert values.grad is not None
    assert values.grad.tolist() == [1, 1, 1]


def test_rare_integers_cost_more_bits() -> None:
    rate = RateModel(SIZES)
    near, far = torch.zeros(1, 6, 2), torch.full((1, 6, 2), 3.0)
    assert rate(near).shape == (1, 6)
    assert (rate(near) > 0).all()
    assert (rate(far) > rate(near)).all()


def test_components_restore_what_they_span_and_are_ordered() -> None:
    torch.manual_seed(1)
    features = (torch.randn(40, 4) * torch.tensor([20.0, 8.0, 4.0, 2.0]) @ torch.randn(4, 120)).reshape(40, 12, 10)
    encoder, decoder, rate = MetaEncoder(SIZES), MetaDecoder(SIZES), RateModel(SIZES)
    start_from_components(encoder, decoder, rate, features, 0.36)
    small = features / 1000  # where tanh bounds nothing
    with torch.no_grad():
        latents = encoder(small)
        whole = decoder(latents, torch.ones(40, 6, dtype=torch.bool))
        errors = [
            float((decoder(latents, torch.arange(6).expand(40, -1) < k) - small).square().mean()) for k in range(4)
        ]
    torch.testing.assert_close(whole, small, rtol=1e-3, atol=1e-6)
    assert errors[0] > errors[1] > errors[2]
    scales = rate.log_scale.detach()
    assert scales[0, 0] >= scales[1, 1]


def test_features_and_back() -> None:
    mean, basis = torch.randn(12, 5), torch.linalg.qr(torch.randn(5, 5))[0]
    space = TokenSpace(mean, basis * 2, basis.T / 2)
    tokens = torch.randn(3, 12, 5)
    torch.testing.assert_close(space.tokens(space.features(tokens)), tokens)


def test_features_over_channels_and_grid_and_back() -> None:
    mean, basis = torch.randn(12, 5), torch.linalg.qr(torch.randn(5, 5))[0]
    places = torch.linalg.qr(torch.randn(12, 12))[0]
    weights = torch.linspace(1, 3, 12)[:, None]
    space = TokenSpace(mean, basis, basis.T, (weights * places, (places.T / weights.T)))
    tokens = torch.randn(3, 12, 5)
    torch.testing.assert_close(space.tokens(space.features(tokens)), tokens, rtol=1e-4, atol=1e-5)
    first = space.features(mean + torch.randn(5))
    assert not torch.allclose(first[0], first[1])  # positions are mixed: one constant field is no row alike


@pytest.mark.parametrize("mode", ["none", "dct"])
def test_the_start_takes_the_closed_form_transform(mode: str) -> None:
    rng = np.random.default_rng(1)
    sets = [VisualTokens(rng.normal(size=(12, 6)).astype(np.float32), Grid(3, 4)) for _ in range(40)]
    codec = fit_klt(sets, modes=(mode,), restore=False)
    stacked = torch.from_numpy(np.stack([one.values for one in sets]))
    space = token_space(codec, stacked, 6)
    assert (space.places is None) == (mode == "none")
    features = space.features(stacked)
    assert float(features.square().mean()) == pytest.approx(1, rel=1e-4)
    torch.testing.assert_close(space.tokens(features), stacked, rtol=1e-3, atol=1e-3)
