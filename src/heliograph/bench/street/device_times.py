"""What a photo costs the device's processor: preprocessing, the exported encoder and codec, beside one JPEG file."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from functools import partial

import numpy as np
from PIL import Image

from heliograph.bench.bytes.times import median_interval
from heliograph.bench.results import Figure
from heliograph.bench.timing import processor_s
from heliograph.codec.bundle import Bundle
from heliograph.codec.klt import KltCodec
from heliograph.codec.meta import MetaCodec
from heliograph.edge.device import Device

PHOTOS, _ROUNDS, QUALITY = 24, 3, 75


def device_times(
    bundle: Bundle, codec: KltCodec | MetaCodec, level: int, photos: Sequence[Image.Image]
) -> tuple[list[Figure], dict[str, float]]:
    """Figures, and medians in milliseconds: ``preprocess``, ``encoder``, ``codec``, ``device`` (all three), ``jpeg``.

    JPEG is one sequential file of the photo at the model's own size, the cheapest that a library makes. Both begin with
    the decoded photo.

    Args:
        bundle: of the device.
        codec: encodes.
        level: where its streams end.
        photos: the first ones are timed.
    """
    device = Device(bundle)
    side = device.input_size
    rows = []
    for photo in photos[:PHOTOS]:
        tokens = device.encode_tokens(photo)  # in memory and warm
        rows.append(
            [
                _least_ms(partial(device.preprocessor, photo)),
                _least_ms(partial(device.encode_tokens, photo)),
                _least_ms(partial(codec.encode, tokens, level=level)),
                _least_ms(partial(_jpeg, photo, side)),
            ]
        )
    preprocess, tokens_ms, codec_ms, jpeg = np.asarray(rows).T
    device_ms = tokens_ms + codec_ms
    ratio = device_ms / jpeg
    name = "whole device (preprocess, encoder int8, codec) processor ms / JPEG-encoding the photo at the model's size"
    columns = {
        "preprocess": preprocess,
        "encoder": tokens_ms - preprocess,
        "codec": codec_ms,
        "device": device_ms,
        "jpeg": jpeg,
    }
    medians = {what: float(np.median(values)) for what, values in columns.items()}
    named = {"codec": f"codec ({codec.kind})", "device": "whole device", "jpeg": f"one JPEG of {side} pixels"}
    return [
        Figure(name, float(np.median(ratio)), median_interval(ratio)),
        *(
            Figure(f"processor ms, {named.get(what, what)}", medians[what], median_interval(v))
            for what, v in columns.items()
        ),
    ], medians


def _least_ms(step: Callable[[], object]) -> float:
    """The quickest of a few rounds: what the work itself takes."""
    found = []
    for _ in range(_ROUNDS):
        started = processor_s()
        step()
        found.append(1000 * (processor_s() - started))
    return min(found)


def _jpeg(photo: Image.Image, side: int) -> bytes:
    out = io.BytesIO()
    photo.resize((side, side), Image.Resampling.BICUBIC).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()
