"""Times of whole exchanges, worked out by hand: 2,500 bytes a second either way, 0.1 s to travel.

A question of 25 bytes takes 0.01 s on the link, so it is there at 0.11 s. A draft is begun when news has waited for a
quarter of restoring and answering.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from heliograph.bench.exchange_model import (
    Messages,
    PullMessages,
    Times,
    Work,
    exchange_messages,
    exchange_times,
    pull_messages,
    pull_times,
)
from heliograph.edge.messages import grouped
from heliograph.transport.link_model import LinkProfile
from heliograph.transport.links import parse_link
from heliograph.types import Answer, EncodedImage

LINK = parse_link("20kbit,200ms")
ANSWER = Answer("red", 0.9, 0.15)
PULLED = PullMessages(question=25, chunks=((500,), (500,), (300, 200)), more=5, answer=20, repeated=10)
WORK = Work(encode_s=0.05, restore_s=0.01, answer_s=0.04, verify_s=0.02, head_s=0.03)


def close(found: Times, draft_s: float, final_s: float) -> None:
    assert (found.draft_s, found.final_s) == (pytest.approx(draft_s), pytest.approx(final_s))


def test_three_chunks_that_are_asked_for() -> None:
    """Chunk 1 is there at 0.05 + 0.2 + 0.1 = 0.35. The head has seen it at 0.38, and its request is there at 0.482.
    Meanwhile, from 0.3625, a draft is made until 0.4125 and heard at 0.4125 + 0.008 + 0.1 = 0.5205.
    Chunk 2 is there at 0.482 + 0.3 = 0.782, the next request at 0.812 + 0.102 = 0.914.
    Chunk 3 is there at 0.914 + 0.12 + 0.08 + 0.1 = 1.214, seen at 1.244, restored at 1.254, verified at 1.274, and the
    answer of 10 bytes heard at 1.378.
    """
    close(pull_times(PULLED, WORK, LINK), 0.5205, 1.378)


def test_a_request_for_the_first_chunk_too() -> None:
    """It goes out at 0.11 and is there at 0.212 instead of 0.05: everything is 0.162 s later."""
    close(pull_times(PULLED, WORK, LINK, first_is_asked_for=True), 0.6825, 1.54)
    late = replace(WORK, encode_s=0.25)  # or as soon as the device has encoded
    close(pull_times(PULLED, late, LINK, first_is_asked_for=True), 0.7205, 1.578)


def test_one_chunk_has_no_draft() -> None:
    """There at 0.35, seen at 0.38, restored and answered at 0.43, heard 0.108 s later."""
    close(pull_times(replace(PULLED, chunks=((500,),)), WORK, LINK), 0.538, 0.538)


def test_no_draft_is_begun_where_the_next_chunk_comes_sooner() -> None:
    """Chunk 1 is there at 0.31, its request at 0.412, chunk 2 could be there from 0.512; patience lasts until 0.81.
    So chunk 2, there at 0.712, is answered at 2.712 and heard at 2.82."""
    slow = Work(encode_s=0.0, restore_s=0.0, answer_s=2.0, verify_s=1.0)
    close(pull_times(replace(PULLED, chunks=((500,), (500,))), slow, LINK), 2.82, 2.82)


def test_a_final_answer_waits_for_the_draft_that_is_being_made() -> None:
    """Chunk 1 is there at 0.31, its request at 0.61 + 0.102 = 0.712. The draft is made from 0.55 to 1.51.
    Chunk 2 is there at 1.012 and seen at 1.312; the model is free at 1.51, has restored at 1.53, verified at 1.63."""
    slow = Work(encode_s=0.0, restore_s=0.02, answer_s=0.94, verify_s=0.1, head_s=0.3)
    close(pull_times(replace(PULLED, chunks=((500,), (500,))), slow, LINK), 1.51 + 0.108, 1.63 + 0.104)


def test_later_drafts_are_verified_and_the_final_answer_waits_for_them() -> None:
    """Drafts are begun when chunks have waited 0.075 s: from 0.385 to 0.685, answered; from 0.787 to 1.787, verified.
    Chunk 3 is there at 0.994 already. Verified at 2.787, heard at 2.891."""
    slow = Work(encode_s=0.0, restore_s=0.0, answer_s=0.3, verify_s=1.0)
    close(pull_times(replace(PULLED, chunks=((500,), (500,), (200,))), slow, LINK), 0.793, 2.891)


def test_a_quicker_downlink_makes_requests_and_answers_quicker() -> None:
    """5,000 bytes a second down: a request takes 0.001 s to send, an answer 0.004, a repeated one 0.002.
    The chunks are there at 0.35, 0.781 and 1.212."""
    link = parse_link("20kbit,200ms,down=40kbit")
    close(pull_times(PULLED, WORK, link), 0.5165, 1.374)
    close(exchange_times(messages(500, 500, 500, 500), Work(0.0, 0.0, 0.04, 0.02), link, embedded=True), 0.464, 1.032)


def messages(*photo: int) -> Messages:
    return Messages(greeting=40, question=25, photo=photo, answer=20, repeated=10, text_bytes=30)


def test_every_message_is_drafted_from_where_the_model_is_quick() -> None:
    """There at 0.31, 0.51, 0.71 and 0.91; the first draft is begun at 0.32, made at 0.36; later ones are verified
    before the next message. The last is verified at 0.93."""
    close(exchange_times(messages(500, 500, 500, 500), Work(0.0, 0.0, 0.04, 0.02), LINK, embedded=True), 0.468, 1.034)


def test_messages_that_come_meanwhile_are_drafted_from_together() -> None:
    """Begun at 0.385, made at 0.685. By then the second message is there and has waited: verified from 0.685 to 0.935.
    By then all is there: verified once more until 1.185."""
    close(exchange_times(messages(500, 500, 500, 500), Work(0.0, 0.0, 0.3, 0.25), LINK, embedded=True), 0.793, 1.289)


def test_restoring_counts_for_every_draft() -> None:
    """Patience 0.0125. Begun at 0.3225, restored and answered at 0.3725. The last message is there at 0.51, restored
    and verified at 0.54."""
    close(exchange_times(messages(500, 500), Work(0.0, 0.01, 0.04, 0.02), LINK, embedded=True), 0.4805, 0.644)


def test_an_exchange_is_question_photo_and_one_answer() -> None:
    assert messages(500, 300).exchange_bytes == 25 + 800 + 20


STREAM = EncodedImage("klt", b"\x01\x02", tuple(bytes([n]) * 100 for n in range(8)), bundle_hash=b"12345678")


def test_messages_of_a_session_with_a_key_are_longer_by_its_seals() -> None:
    """Two seals of 9 bytes on the photo, of which one lies half way; the question has none of its own."""
    plain, sealed = (exchange_messages(STREAM, "what colour is it?", ANSWER, key) for key in (b"", bytes(range(32))))
    assert len(plain.photo) == len(sealed.photo) == 4  # of 200 bytes each
    longer = [with_key - without for with_key, without in zip(sealed.photo, plain.photo, strict=True)]
    assert sum(extra > 0 for extra in longer) == 2
    assert longer[1] > 0
    assert longer[3] > 0
    assert sealed.greeting > plain.greeting
    assert sealed.answer > plain.answer
    assert plain.text_bytes == sealed.text_bytes == 21


def test_chunks_are_quarters_and_the_first_holds_the_announcement() -> None:
    found = pull_messages(STREAM, "what colour is it?", ANSWER, 243, 4)
    assert [len(chunk) for chunk in found.chunks] == [1, 1, 1, 1]
    first, second, third, last = (chunk[0] for chunk in found.chunks)
    assert second == third
    assert first > second
    assert last > second  # it ends the photo
    assert 0 < found.more < 20
    whole = exchange_messages(STREAM, "what colour is it?", ANSWER)
    assert (found.answer - whole.answer, found.repeated - whole.repeated) == (0, 0)
    fewer = pull_messages(STREAM, "what colour is it?", ANSWER, 243, 2)
    assert fewer.chunks == found.chunks[:2]
    assert fewer.more == found.more  # the greeting is not counted among the requests
    assert pull_messages(STREAM, "what colour is it?", ANSWER, 243, 1).more == 0


EXACT = LinkProfile(8192.0, 8192.0, 0.5)
"""1,024 bytes a second: times below are sums of powers of two, so that "at the same moment" means just that."""


def test_a_draft_is_not_begun_where_the_next_chunk_can_be_there_at_that_moment() -> None:
    """Chunk 1 is there at 1.5, its request at 2.5, chunk 2 from 3.0 on: so long does patience of 1.5 last, and that of
    1.46875 less. Chunk 2 is there at 3.5."""
    pulled = PullMessages(question=512, chunks=((512,), (512,)), more=512, answer=512, repeated=256)
    assert pull_times(pulled, Work(0.0, 0.0, 6.0, 1.0), EXACT) == Times(10.5, 10.5)
    assert pull_times(pulled, Work(0.0, 0.0, 5.875, 1.0), EXACT) == Times(9.84375, 10.59375)


def test_a_draft_is_not_begun_at_the_moment_at_which_the_photo_is_whole() -> None:
    """There at 1.5 and 2.0: so long does patience of 0.5 last, and that of 0.4375 less."""
    sent = Messages(greeting=0, question=512, photo=(512, 512), answer=512, repeated=256, text_bytes=0)
    assert exchange_times(sent, Work(0.0, 0.0, 2.0, 0.5), EXACT, embedded=True) == Times(5.0, 5.0)
    earlier = exchange_times(sent, Work(0.0, 0.0, 1.75, 0.5), EXACT, embedded=True)
    assert earlier == Times(1.9375 + 1.75 + 1.0, 1.9375 + 1.75 + 0.5 + 0.5 + 0.25)  # the link is busy until 4.1875


def test_what_arrives_as_a_draft_is_begun_is_seen_by_it() -> None:
    """There at 1.5, 2.125, 2.25 and 2.75. Drafts are begun at 1.625 and, of the second and third message, at 2.25; that
    one is verified at 2.6875, and the whole photo from 2.75 to 3.1875."""
    sent = Messages(greeting=0, question=512, photo=(512, 640, 128, 512), answer=512, repeated=256, text_bytes=0)
    assert exchange_times(sent, Work(0.0, 0.0, 0.5, 0.4375), EXACT, embedded=True) == Times(3.125, 3.9375)


def test_a_message_is_large_enough_at_128_bytes() -> None:
    assert [len(group) for group in grouped([b"x" * 64] * 3)] == [2, 1]
    assert [len(group) for group in grouped([b"x" * 127] + [b"x"] * 2)] == [2, 1]
