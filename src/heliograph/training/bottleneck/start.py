"""Where a bottleneck starts: a linear map of every patch onto what the tower notices most of it, and its inverse.

With e a patch as the tower's first layer makes it, S its covariance, and M the mean of g g', g the gradient of the
tower's tokens (each channel over its deviation, in random directions) with respect to e: the eigenvectors of
M^(1/2) S M^(1/2) are the directions in which equal steps cost equal errors of tokens, so one step fits all of them.
With as many latents as e has channels and fine steps the tokens are the tower's own; training starts from there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from heliograph.training.bottleneck.network import STRIDE, Bottleneck

_SMALLEST_SHARE = 1e-6  # of the largest eigenvalue: what is noticed less is noticed as much
_AT_ONCE = 64
_WIDTHS, _MIN_WIDTH = (0.1, 0.3, 0.8), 0.08


def start_from_patches(bottleneck: Bottleneck, model: Any, pixels: Tensor, variance: Tensor, seed: int = 0) -> None:
    """Set the linear paths of both ends.

    Args:
        bottleneck: whose linear paths are set.
        model: the Idefics3 model.
        pixels: (I, 3, S, S) float32 levels of a few hundred pictures.
        variance: (D,) of the tokens' channels.
        seed: of the directions.
    """
    first = model.model.vision_model.embeddings.patch_embedding
    with torch.no_grad():
        patches = first(pixels / 127.5 - 1.0).flatten(2).transpose(1, 2).flatten(0, 1)  # (I * N, W)
    middle = patches.mean(0)
    covariance = (patches - middle).T @ (patches - middle) / len(patches)
    noticed = _noticed(model, pixels, variance, seed)  # (W, W)
    values, vectors = torch.linalg.eigh(noticed)
    roots = values.clamp(min=_SMALLEST_SHARE * float(values[-1])).sqrt()
    root, inverse = (vectors * roots) @ vectors.T, (vectors / roots) @ vectors.T
    count = bottleneck.sizes.latents
    _, directions = torch.linalg.eigh(root @ covariance @ root)
    main = directions.flip(1)[:, :count]  # (W, C)
    analysis = main.T @ root  # (C, W)
    with torch.no_grad():
        weight = (analysis @ first.weight.flatten(1)).reshape(count, 3, STRIDE, STRIDE)
        _set(bottleneck.encoder.straight, weight, analysis @ (first.bias - middle))
        _set(bottleneck.synthesis.widen, (inverse @ main)[..., None, None], middle)
        _set_prior(bottleneck, pixels)


def _set(layer: nn.Conv2d, weight: Tensor, bias: Tensor) -> None:
    layer.load_state_dict({"weight": weight, "bias": bias})


def _set_prior(bottleneck: Bottleneck, pixels: Tensor) -> None:
    """Mixtures as wide as the latents are."""
    latents = bottleneck.encoder(pixels).transpose(0, 1).flatten(1)  # (C, I * P)
    scaled = latents.std(1) * bottleneck.log_gain.exp()  # (R, C)
    wide = scaled[..., None] * torch.tensor(_WIDTHS) + _MIN_WIDTH
    bottleneck.prior.log_scale.copy_(wide.log())


def _noticed(model: Any, pixels: Tensor, variance: Tensor, seed: int) -> Tensor:
    """(W, W) mean of the squared gradients of the tokens with respect to a patch's embedding."""
    tower, generator = model.model.vision_model, torch.Generator().manual_seed(seed)
    side = pixels.shape[-1] // STRIDE
    total = torch.zeros(tower.config.hidden_size, tower.config.hidden_size)
    for part in torch.split(pixels, _AT_ONCE):
        mask = torch.ones(len(part), side, side, dtype=torch.bool)
        hidden = tower.embeddings(pixel_values=part / 127.5 - 1.0, patch_attention_mask=mask).detach()
        given = hidden.requires_grad_(True)
        for block in tower.encoder.layers:
            hidden = block(hidden, None)
        tokens = model.model.connector(tower.post_layernorm(hidden))
        direction = torch.randn(tokens.shape, generator=generator) / variance.sqrt()
        (gradient,) = torch.autograd.grad((tokens * direction).sum(), given)
        flat = gradient.flatten(0, 1)
        total += flat.T @ flat
    return total / (len(pixels) * side * side)
