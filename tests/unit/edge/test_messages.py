"""What a device says of a photo, as sizes: the messages that the bench's real sessions exchange."""

from __future__ import annotations

import pytest

from heliograph.bench.exchange_model import exchange_messages
from heliograph.edge.messages import uplink
from heliograph.errors import QuestionEmptyError
from heliograph.transport.base import client_message_bytes
from heliograph.types import Answer, EncodedImage

PREFIX = EncodedImage("klt", b"\x01\x02", (b"a" * 100, b"b" * 100, b"c" * 100), bundle_hash=b"12345678")


def test_sizes_are_those_of_the_messages_that_two_sessions_exchange():
    alone = uplink(PREFIX, "what is it?")
    both = exchange_messages(PREFIX, "what is it?", Answer("red", 0.9, 0.15))
    assert client_message_bytes(alone.question) == both.question
    assert tuple(map(client_message_bytes, alone.photo)) == both.photo
    assert client_message_bytes(alone.greeting) < both.greeting  # which holds the cloud's WELCOME too
    assert alone.messages == (alone.greeting, alone.question, *alone.photo)
    assert sum(alone.photo) > PREFIX.payload_bytes


def test_a_question_that_cannot_be_asked_is_refused():
    with pytest.raises(QuestionEmptyError):
        uplink(PREFIX, " ")
