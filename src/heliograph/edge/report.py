"""What one question cost and what came back."""

from __future__ import annotations

from dataclasses import dataclass, field

from heliograph.protocol.frames import NO_FLAGS, AnswerFlag
from heliograph.strategies.base import Setting


@dataclass(frozen=True)
class Draft:
    """A draft answer as it arrived.

    Attributes:
        t_ms: since the question was asked, in ms.
        payload_bytes: header and segments that the draft was made from.
        confidence: 0 to 1.
        text: the draft.
        photo_seen: False where nothing but the header had arrived: a guess that the photo has no part in.
        flags: what the cloud says about a final answer.
    """

    t_ms: float
    payload_bytes: int
    confidence: float
    text: str
    photo_seen: bool = True
    flags: AnswerFlag = NO_FLAGS


@dataclass(frozen=True)
class AskReport:
    """One question from asking to the final answer; all times measured on the device's clock.

    Attributes:
        answer: the final answer's text.
        confidence: 0 to 1; geometric mean of the answer tokens' probabilities.
        strategy: registry name.
        setting: every knob of the strategy.
        payload_bytes: header and segments sent for this question; 0 where the cloud held the photo already.
        wire_bytes_up: everything written to the connection meanwhile, its handshake included where it was opened.
        wire_bytes_down: everything read from the connection meanwhile.
        encode_ms: photo loading and encoding; runs while the connection is opened. 0.0 where it was kept.
        first_draft_ms: to the first text of an answer, be it a draft or the final one.
        final_ms: to the final answer.
        drafts: in order of arrival, without the final answer.
        stopped_early: the cloud had enough before the whole stream was sent.
        photo_seen: False where the answer is a guess without the photo, because nothing but its header was sent.
        regions_sent: crops of the original that the cloud asked for and got.
        looked: the answer is from the whole photo and the region together, and more confident than the first one.
        region_missed: a region was wanted and did not come, or came to nothing; this is the first answer.
        controller_failed: what decides in the cloud failed; this is the answer that was there.
        reconnections: how often the connection broke and the session went on over another one.
        photo_notes: what a user should know about the photo's file, such as a JPEG that ends early.
        cloud_bundle: hash of the bundle that the cloud holds, in hexadecimal; empty where it holds none, and for an
            answer of the device itself.
    """

    answer: str
    confidence: float
    strategy: str
    setting: Setting
    payload_bytes: int
    wire_bytes_up: int
    wire_bytes_down: int
    encode_ms: float
    first_draft_ms: float
    final_ms: float
    drafts: tuple[Draft, ...] = field(default=())
    stopped_early: bool = False
    photo_seen: bool = True
    regions_sent: int = 0
    looked: bool = False
    region_missed: bool = False
    controller_failed: bool = False
    reconnections: int = 0
    photo_notes: tuple[str, ...] = ()
    cloud_bundle: str = ""

    @property
    def wire_bytes(self) -> int:
        """Wire bytes of both directions."""
        return self.wire_bytes_up + self.wire_bytes_down
