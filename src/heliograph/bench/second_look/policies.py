"""Ways to send a photo for reading, played on what was read: legible answers and bytes, question by question."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf

import numpy as np
import numpy.typing as npt

from heliograph.bench.exchange_model import exchange_messages
from heliograph.bench.second_look.pieces import (
    CONTRAST,
    FULL,
    RANDOM,
    TEXT,
    TRUE,
    WHOLE,
    Piece,
    Seen,
    text_key,
    true_key,
    whole_key,
    window_key,
)
from heliograph.bench.second_look.plan import SecondLookPlan, Sent
from heliograph.bench.second_look.questions import Asked, legible
from heliograph.bench.stats import DoubleArray, Interval, clustered_interval, clustered_mean_interval
from heliograph.boxes import PixelBox, wire_box
from heliograph.protocol.frames import CropFrame, RegionFrame, encode_frame
from heliograph.strategies.base import sliced
from heliograph.transport.base import client_message_bytes, server_message_bytes
from heliograph.types import Answer, EncodedImage

_QUESTION, _CROP = 1, 2
_ID_AND_TYPE = 2  # bytes of a REGION frame that are not its box


@dataclass(frozen=True)
class Case:
    """One question and every rendering of its photo."""

    asked: Asked
    seen: Mapping[str, Seen]

    @property
    def photo_size(self) -> tuple[int, int]:
        """Width and height in pixels."""
        box = self.seen[FULL].pieces[0].box
        return box.right, box.bottom


@dataclass(frozen=True)
class Arrived:
    """What one way of sending brings for one question.

    Attributes:
        wholes, crops: pictures of the whole photo and of parts of it.
        device_ms, read_ms: processor time of finding and encoding, and of the cloud's reader.
    """

    wholes: tuple[Piece, ...]
    crops: tuple[Piece, ...]
    device_ms: float
    read_ms: float


@dataclass(frozen=True)
class Outcome:
    """One way of sending at one setting, question by question.

    Attributes:
        name, setting: of the way.
        legible: (Q,) 1 or 0.
        payload_bytes, wire_bytes: (Q,) each question asked by itself.
        device_ms, read_ms: (Q,).
    """

    name: str
    setting: str
    legible: DoubleArray
    payload_bytes: DoubleArray
    wire_bytes: DoubleArray
    device_ms: DoubleArray
    read_ms: DoubleArray

    def where(self, chosen: npt.NDArray[np.bool_], other: Outcome, setting: str) -> Outcome:
        """This one's questions where ``chosen`` (Q,), the other's elsewhere."""
        parts = ("legible", "payload_bytes", "wire_bytes", "device_ms", "read_ms")
        return Outcome(self.name, setting, *(np.where(chosen, getattr(self, p), getattr(other, p)) for p in parts))


class Cases:
    """All questions whose answers can be text, with the intervals that photos as clusters give.

    Args:
        cases: in any order.
    """

    def __init__(self, cases: Sequence[Case]) -> None:
        self.cases = list(cases)
        self.photos = [case.asked.photo for case in cases]
        names, self._number = np.unique(np.asarray(self.photos), return_inverse=True)
        self._count = len(names)
        # Two halves by photo name: every other name.
        self.half = np.asarray(self._number % 2 == 1)

    def outcome(self, name: str, setting: str, sends: Callable[[Case], Arrived]) -> Outcome:
        """Plays one way of sending."""
        rows = []
        for case in self.cases:
            came = sends(case)
            texts = [text for piece in (*came.wholes, *came.crops) for text in piece.texts]
            payload, wire = _bytes(came, case.photo_size)
            rows.append((legible(case.asked.answers, texts), payload, wire, came.device_ms, came.read_ms))
        return Outcome(name, setting, *np.array(rows, dtype=np.float64).T)

    def mean(self, values: DoubleArray, chosen: npt.NDArray[np.bool_] | None = None) -> tuple[float, Interval | None]:
        """Mean over questions, all or the chosen ones, with an interval over resampled photos."""
        which = np.arange(len(values)) if chosen is None else np.nonzero(chosen)[0]
        interval = clustered_mean_interval(values[which].tolist(), [self.photos[place] for place in which])
        return float(values[which].mean()), interval

    def ratio(self, above: DoubleArray, below: DoubleArray) -> tuple[float, Interval | None]:
        """Sum over sum, with an interval over resampled photos."""

        def of(weights: DoubleArray) -> float | None:
            each = weights[self._number]
            total = float(each @ below)
            return float(each @ above) / total if total > 0 else None

        return float(above.sum() / below.sum()), clustered_interval(of, self._count)

    def by_chance(self) -> DoubleArray:
        """(Q,) 1 where an answer is legible in the text of another photo at full size: what matching alone finds."""
        texts = {case.asked.photo: case.seen[FULL].pieces[0].texts for case in self.cases}
        names = sorted(texts)
        other = dict(zip(names, [*names[1:], names[0]], strict=True))
        found = [legible(case.asked.answers, texts[other[case.asked.photo]]) for case in self.cases]
        return np.array(found, dtype=np.float64)


def full_size(cases: Cases) -> Outcome:
    """The photo's own file."""
    return cases.outcome(FULL, "file", lambda case: _whole(case, FULL))


def whole_photos(cases: Cases, plan: SecondLookPlan) -> list[Outcome]:
    """Without a crop: the first stage alone, and larger or finer pictures."""
    return [cases.outcome(WHOLE, sent.label, _sends_whole(sent)) for sent in (plan.first, *plan.whole)]


def text_crops(cases: Cases, plan: SecondLookPlan) -> Iterator[Outcome]:
    """The first stage, or the smallest larger picture in its place, and crops around text within each budget."""
    for first in (plan.first, *plan.whole[:1]):
        for crops in plan.text:
            for budget in (*plan.budgets, None):
                setting = f"first={first.size},{crops.label}" + ("" if budget is None else f",budget={budget}")
                yield cases.outcome(TEXT, setting, _sends_crops(first, text_key(crops), budget))


def other_crops(cases: Cases, plan: SecondLookPlan) -> list[Outcome]:
    """The first stage and one crop: by contrast, anywhere, and of the true place."""
    at = f"window={plan.window:g},quality={plan.crop_quality}"
    return [
        cases.outcome(CONTRAST, at, _sends_crops(plan.first, window_key(CONTRAST, plan), None)),
        cases.outcome(RANDOM, at, _sends_crops(plan.first, window_key(RANDOM, plan), None)),
        cases.outcome(
            TRUE,
            f"quality={plan.crop_quality}",
            lambda case: _sends_crops(plan.first, true_key(case.asked), None)(case),
        ),
    ]


def affordable(pieces: Iterable[Piece], budget: int | None) -> list[Piece]:
    """The pieces, in their order, that still fit where they come."""
    left, found = inf if budget is None else budget, []
    for piece in pieces:
        if piece.payload_bytes <= left:
            found.append(piece)
            left -= piece.payload_bytes
    return found


def _sends_whole(sent: Sent) -> Callable[[Case], Arrived]:
    return lambda case: _whole(case, whole_key(sent))


def _whole(case: Case, key: str) -> Arrived:
    seen = case.seen[key]
    return Arrived(seen.pieces, (), seen.encode_ms, seen.read_ms)


def _sends_crops(first: Sent, key: str, budget: int | None) -> Callable[[Case], Arrived]:
    def sends(case: Case) -> Arrived:
        one, two = case.seen[whole_key(first)], case.seen[key]
        crops = tuple(affordable(two.pieces, budget))
        device_ms = one.encode_ms + two.found_ms + two.encode_ms
        return Arrived(one.pieces, crops, device_ms, one.read_ms + two.read_ms)

    return sends


def _bytes(came: Arrived, photo_size: tuple[int, int]) -> tuple[int, int]:
    """Payload with the crops' boxes, and wire bytes: messages of pictures and boxes, of question and answer none."""
    payload = sum(piece.payload_bytes for piece in (*came.wholes, *came.crops))
    wire = sum(_picture_message(piece.payload_bytes) for piece in (*came.wholes, *came.crops))
    for piece in came.crops:
        box, message = _box_bytes(piece.box, photo_size)
        payload, wire = payload + box, wire + message
    return payload, wire


@lru_cache(maxsize=1 << 16)
def _picture_message(payload_bytes: int) -> int:
    stream = EncodedImage("webp", b"", sliced(bytes(payload_bytes)))
    return sum(exchange_messages(stream, "?", Answer("?", 0.0, 0.0, ())).photo)


def _box_bytes(box: PixelBox, photo_size: tuple[int, int]) -> tuple[int, int]:
    """Bytes of a box alone, and of the two frames that ask for and announce its crop."""
    frame = encode_frame(RegionFrame(_QUESTION, wire_box(box, *photo_size)))
    announced = client_message_bytes(len(encode_frame(CropFrame(_QUESTION, _CROP))))
    return len(frame) - _ID_AND_TYPE, server_message_bytes(len(frame)) + announced
