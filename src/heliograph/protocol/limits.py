"""Every bound of the protocol, by name. A peer that exceeds one meets a named error before memory is taken."""

from __future__ import annotations

from heliograph.boxes import REGION_SCALE as REGION_SCALE
from heliograph.question import MAX_ANSWER_TOKENS as MAX_ANSWER_TOKENS
from heliograph.question import MAX_QUESTION_CHARACTERS as MAX_QUESTION_CHARACTERS

PROTOCOL_VERSION = 2

BUNDLE_HASH_BYTES = 8
MAX_ACCESS_TOKEN_BYTES = 256
SESSION_TOKEN_BYTES = 16
"""Length of the token that resumes a session on another connection; nobody guesses 128 bits."""
MAX_MODEL_NAME_BYTES = 128

MAX_ANSWER_CHARACTERS = 4000
MAX_UTF8_BYTES_PER_CHARACTER = 4

MAX_IMAGES = 64
"""Photos that one session holds at a time; FORGET frees one."""
MAX_OPEN_QUESTIONS = 64
MAX_REGIONS_PER_QUESTION = 1
"""Crops of the original photo that the cloud asks for before one final answer."""
MAX_IMAGE_HEADER_BYTES = 16
MAX_SEGMENT_BYTES = 1 << 20
MAX_SEGMENTS_PER_IMAGE = 4096
MAX_IMAGE_PAYLOAD_BYTES = 8 << 20
"""Header and segments of one photo together."""

VARINT_MAX_BYTES = 4
MAX_ID = (1 << 28) - 1
"""Largest image or question id: what a varint of four bytes holds."""

MAX_FRAME_BODY_BYTES = MAX_SEGMENT_BYTES + VARINT_MAX_BYTES
MAX_FRAME_BYTES = 1 + VARINT_MAX_BYTES + MAX_FRAME_BODY_BYTES
MAX_MESSAGE_BYTES = MAX_FRAME_BYTES + (64 << 10)
"""Largest websocket message that either end sends or accepts; a message holds any number of frames."""

MAX_UNSEALED_BYTES = MAX_FRAME_BYTES + (64 << 10)
MAX_UNSEALED_FRAMES = 8192
"""What a cloud holds back until a seal comes, and looks through for it; a device seals in time."""
