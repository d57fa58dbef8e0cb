"""What an exchange costs beyond payload and text, with and without authentication: real sessions, real streams.

The same exchanges as in the reference suite's figure "bytes of an exchange beyond payload and text, open connection":
question, photo and one answer on a connection that is open, websocket framing included, every budget of ``klt``.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from heliograph.bench.definitions import reference_plan
from heliograph.bench.exchange_model import exchange_messages
from heliograph.bench.tasks import scene_items
from heliograph.codec.bundle import Bundle
from heliograph.edge.device import Device
from heliograph.reference.assets import shipped_bundle_folder
from heliograph.types import Answer

_STRATEGY = "klt"
_ANY_KEY = bytes(range(32))


@dataclass(frozen=True)
class Overhead:
    """Bytes beyond payload and text of one exchange on an open connection, both directions.

    Attributes:
        plain: the mean without a key.
        authenticated: the mean with one.
        most_added: the largest difference of the two in one exchange.
        exchanges: how many were counted.
    """

    plain: float
    authenticated: float
    max_added: int
    exchanges: int


def measure_overhead(photos: int | None = None) -> Overhead:
    """Count the bytes of exchanges about the reference suite's scenes.

    Args:
        photos: so many scenes; None for as many as the suite takes.

    Raises:
        BundleDamagedError: the shipped bundle cannot be used.
        DataMissingError: the folder ``benchmarks`` is not there.
    """
    plan, device = reference_plan("reference"), Device(Bundle.load(shipped_bundle_folder()))
    plain: list[int] = []
    keyed: list[int] = []
    scenes = scene_items(plan.seed_start, photos or plan.timed_questions, descriptions=plan.descriptions)
    for item in (item for item in scenes if item.records):
        record = item.records[0]
        answer = Answer(record.answer, 1.0, 0.0)
        whole = device.encode(item.photo, _STRATEGY)
        for encoded in map(whole.prefix, range(len(whole.segments) + 1)):
            for found, key in ((plain, b""), (keyed, _ANY_KEY)):
                messages = exchange_messages(encoded, record.question, answer, key)
                found.append(messages.exchange_bytes - messages.text_bytes - encoded.payload_bytes)
    added = np.subtract(keyed, plain)
    return Overhead(float(np.mean(plain)), float(np.mean(keyed)), int(added.max()), len(plain))
