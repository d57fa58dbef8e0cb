"""Ask-and-wait as arithmetic, against hand-made numbers; ends and ratios on streams that tell what to expect."""

from __future__ import annotations

import pytest

from heliograph.bench.exchange_model import (
    Messages,
    PullMessages,
    Work,
    exchange_messages,
    exchange_times,
    pull_messages,
    pull_times,
)
from heliograph.bench.loop.cases import chunks_sent
from heliograph.transport.links import parse_link
from heliograph.types import Answer, EncodedImage

LINK = parse_link("20kbit,200ms")  # 2,500 bytes a second, 0.1 s either way
ANSWER = Answer("red", 0.9, 0.15)
STREAM = EncodedImage("klt", b"\x01\x02", (b"a" * 8,) * 20, bundle_hash=b"12345678")
IDLE = Work(0.0, 0.0, 0.0, 0.0)


def pulled(chunks: int) -> PullMessages:
    return PullMessages(question=25, chunks=((250,),) * chunks, more=5, answer=20, repeated=10)


def test_every_further_chunk_costs_a_round_trip() -> None:
    one, two, three = (pull_times(pulled(chunks), IDLE, LINK).final_s for chunks in (1, 2, 3))
    assert one == pytest.approx((25 + 250) / 2500 + 0.1 + 20 / 2500 + 0.1)
    assert three - two == pytest.approx(0.2 + 250 / 2500 + 5 / 2500, abs=0.01)
    assert two - one == pytest.approx(0.2 + 250 / 2500 + 5 / 2500, abs=0.01)


def test_the_error_head_delays_the_request_and_a_draft_does_not() -> None:
    slow_head = Work(0.0, 0.0, 0.0, 0.0, head_s=0.05)
    # once before each of the two requests, once before the answer
    assert pull_times(pulled(3), slow_head, LINK).final_s - pull_times(pulled(3), IDLE, LINK).final_s == pytest.approx(
        0.15, abs=0.01
    )
    drafting = Work(0.0, 0.0, 0.1, 0.02)
    times = pull_times(pulled(3), drafting, LINK)
    assert times.draft_s < times.final_s
    assert times.final_s - pull_times(pulled(3), IDLE, LINK).final_s == pytest.approx(0.02, abs=0.01)


def test_asking_for_the_first_chunk_too_waits_for_the_question_to_cross() -> None:
    later = pull_times(pulled(1), IDLE, LINK, first_is_asked_for=True).final_s
    assert later - pull_times(pulled(1), IDLE, LINK).final_s == pytest.approx(0.2 + 5 / 2500, abs=0.02)


def test_messages_of_pull_are_what_the_sessions_send() -> None:
    messages = pull_messages(STREAM, "what colour?", ANSWER, 243, 3)
    assert [len(chunk) for chunk in messages.chunks] == [1, 1, 1]
    framed = 5 * 9 + 6  # five segments with their heads, in one websocket message
    assert [chunk[0] for chunk in messages.chunks[1:]] == [framed, framed]
    assert messages.chunks[0][0] > framed  # and IMAGE
    assert 0 < messages.more < 8
    whole = pull_messages(STREAM, "what colour?", ANSWER, 243, 4)
    assert whole.chunks[3][0] == framed + 2  # and IMAGE_END


def test_the_same_prefix_is_no_quicker_when_it_is_asked_for() -> None:
    for chunks in (1, 2, 3, 4):
        prefix = STREAM.prefix(5 * chunks)
        pushed = exchange_times(exchange_messages(prefix, "what?", ANSWER), IDLE, LINK, embedded=True)
        asked = pull_times(pull_messages(STREAM, "what?", ANSWER, 243, chunks), IDLE, LINK)
        assert pushed.final_s <= asked.final_s + 0.01
        if chunks > 1:
            assert asked.final_s - pushed.final_s > 0.2 * (chunks - 1)


def test_chunks_of_a_prefix_are_counted() -> None:
    assert [chunks_sent(STREAM, end) for end in (5, 10, 15, 20)] == [1, 2, 3, 4]
    assert chunks_sent(STREAM.prefix(3), 3) == 3  # chunks of one segment


def test_messages_have_the_fields_of_both_policies() -> None:
    assert Messages(1, 2, (3,), 4, 5, 6).exchange_bytes == 9
