"""Wrong input for :mod:`heliograph.bench.hardening.fuzzing`: what the ends say, files and streams, changed at random.

Everything here is made from a random source that the caller seeds, so that every case can be made again.
"""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from heliograph.boxes import WireBox
from heliograph.codec.header import crc8, write_varint
from heliograph.protocol.frames import AnswerFlag
from heliograph.protocol.images import SessionMemory
from heliograph.protocol.session import CloudSession, DeviceSession
from heliograph.question import ALWAYS, PUSH, Question
from heliograph.types import EncodedImage

BUNDLE_HASH = b"bundle-h"
ACCESS_TOKEN = "key"
SESSION_TOKEN = b"0123456789abcdef"

_NUMBERS = ("1e999", "-1e999", "NaN", "Infinity", "1e308", "-1", "0", "0.5", "9" * 40, "18446744073709551616", "-0.0")
_OTHERS = ("null", "true", '""', "[]", "{}", '"\\ud800"', '"../x"', "[[[[[[[[1]]]]]]]]", '{"a":1,"a":2}')
_LITERALS = (*_NUMBERS, *_OTHERS)
_HERE = "\ue000"
_SIDES = (0, 1, 2, 3, 8, 64, 127, 128, 4096, 16383, 16384, 65535, 2_097_151)


# ---- the wire --------------------------------------------------------------------------------------
def device_speech() -> bytes:
    """A whole session of a device, every kind of frame in it."""
    device = DeviceSession(BUNDLE_HASH, ACCESS_TOKEN, session_token=SESSION_TOKEN)
    device.start()
    device.ask(0, 0, Question("what is on the sign?", PUSH, 230, "margin", byte_budget=64, answer_within_s=0.5))
    device.announce_image(0, "klt", b"header", 5)
    for size in (3, 0, 127, 128):
        device.send_segment(0, b"s" * size)
    device.finish_image(0)
    device.send_crop(0, 1)
    device.ask(9, 0, Question("which colour?", region=ALWAYS))
    device.send_crop(9, None)
    device.cancel(9)
    device.forget_image(0)
    return device.bytes_to_send()


def cloud_speech() -> bytes:
    """What a cloud answers, every kind of frame in it."""
    device = asking_device()
    cloud = CloudSession(
        BUNDLE_HASH, frozenset({ACCESS_TOKEN}), "reference", session_token=SESSION_TOKEN, recall=one_photo
    )
    cloud.receive(device.bytes_to_send(), 0.0)
    cloud.send_draft(6, "red", 0.5, 1)
    cloud.send_draft(6, "red ball", 0.7, 2)
    cloud.send_more(6, 3)
    cloud.send_region(6, WireBox(1, 2, 300, 400))
    cloud.send_enough(6)
    cloud.send_final(6, "red ball", 0.9, 3, AnswerFlag.LOOKED)
    return cloud.bytes_to_send()


def one_photo(token: bytes) -> SessionMemory:
    """What a cloud kept of an earlier session: photo 5 of 9 segments."""
    memory = SessionMemory()
    memory.images.add(5, 9)
    return memory


def asking_device() -> DeviceSession:
    """A device that has asked one question and announced its photo."""
    device = DeviceSession(BUNDLE_HASH, ACCESS_TOKEN, session_token=SESSION_TOKEN)
    device.start()
    device.ask(6, 6, "what is on the sign?")
    device.announce_image(6, "klt", b"header")
    return device


# ---- bytes -----------------------------------------------------------------------------------------
def mutated(source: random.Random, speech: bytes) -> bytes:
    """``speech`` with up to three bytes or runs changed, left out, put in or said twice; or noise in its place."""
    if source.random() < 0.2:
        return source.randbytes(source.randint(1, 60))
    data = bytearray(speech)
    for _ in range(source.randint(1, 3)):
        at = source.randrange(len(data))
        kind = source.randrange(4)
        if kind == 0:
            data[at] = source.randrange(256)
        elif kind == 1:
            del data[at : at + source.randint(1, 8)]
        elif kind == 2:
            data[at:at] = source.randbytes(source.randint(1, 8))
        else:
            data[at:at] = data[: source.randint(1, 40)]
        if not data:
            return b"\0"
    return bytes(data)


def cut_or_mutated(source: random.Random, data: bytes, near: int | None = None) -> bytes:
    """``data`` cut, or with some bytes of its first ``near`` (None: of all) changed in place, as a disk damages it."""
    if source.random() < 0.2:
        return data[: source.randrange(len(data) + 1)]
    changed = bytearray(data)
    for _ in range(source.randint(1, 4)):
        changed[source.randrange(min(near or len(data), len(data)))] = source.randrange(256)
    return bytes(changed)


# ---- JSON ------------------------------------------------------------------------------------------
def mutated_json(source: random.Random, value: Any) -> bytes:
    """JSON text of ``value`` with something in it left out, doubled or replaced by what JSON should not be."""
    if source.random() < 0.25:
        return mutated(source, json.dumps(value).encode())
    copy = json.loads(json.dumps(value))
    holder, key = _somewhere(source, copy)
    kind = source.randrange(4)
    if kind == 0:
        del holder[key]
    elif kind == 1 and isinstance(holder, list):
        holder[key:key] = [holder[key]] * source.randint(1, 300)
    else:
        holder[key] = _HERE
    text = json.dumps(copy, ensure_ascii=False)
    return text.replace(f'"{_HERE}"', source.choice(_LITERALS)).encode("utf-8", "surrogatepass")


def _somewhere(source: random.Random, value: Any) -> tuple[Any, Any]:
    """A list or object somewhere in ``value`` and one of its places."""
    holder: Any = value
    while True:
        key = source.choice(list(holder)) if isinstance(holder, dict) else source.randrange(len(holder))
        below = holder[key]
        if not isinstance(below, dict | list) or not below or source.random() < 0.15:
            return holder, key
        holder = below


# ---- streams ---------------------------------------------------------------------------------------
def mutated_stream(source: random.Random, encoded: EncodedImage) -> EncodedImage:
    """A photo's stream with its header or segments changed; half of the headers get a checksum that fits."""
    header, segments = bytearray(encoded.header), list(encoded.segments)
    if source.random() < 0.5 and header:
        header = bytearray(cut_or_mutated(source, bytes(header)))
        if source.random() < 0.5:
            header = bytearray(with_checksum(bytes(header[:-1])))
    for _ in range(source.randint(0, 3)):
        kind = source.randrange(5)
        at = source.randrange(len(segments)) if segments else 0
        if kind == 0 or not segments:
            segments.insert(at, source.randbytes(source.randint(0, 40)))
        elif kind == 1:
            del segments[at]
        elif kind == 2:
            segments[at] = mutated(source, segments[at] or b"\0")
        elif kind == 3:
            segments = segments[:at]
        else:
            segments[at:at] = segments[: source.randint(1, 3)]
    return replace(encoded, header=bytes(header), segments=tuple(segments))


def stated_sizes(source: random.Random, encoded: EncodedImage) -> EncodedImage:
    """A stream of tokens whose header states a grid, a photo's size or both: any that the format can say, and now and
    then one that a model which splits photos into tiles does have."""
    flags = source.randrange(8)
    numbers = [source.choice(_SIDES) if source.random() < 0.7 else source.randrange(1 << 21) for _ in range(5)]
    if source.random() < 0.7:
        numbers[:3] = [source.randint(1, 16), source.randint(1, 16), source.randint(1, 3)]
    if source.random() < 0.2:
        flags, numbers = 3, [8, 8, source.choice((3, 5)), source.randint(1, 900), source.randint(1, 900)]
    stated = (numbers[:3] if flags & 1 else []) + (numbers[3:] if flags & 2 else [])
    extra = source.randbytes(source.randrange(2))
    body = bytes(((3 if extra else 2) << 6 | source.randrange(8) << 3 | flags,)) + b"".join(map(write_varint, stated))
    header = with_checksum(body + extra) if stated else body + extra
    kept: Sequence[bytes] = encoded.segments[: source.randint(0, len(encoded.segments))]
    return replace(encoded, header=header, segments=tuple(kept))


def with_checksum(body: bytes) -> bytes:
    """A header whose last byte is right."""
    return body + bytes((crc8(body),))
