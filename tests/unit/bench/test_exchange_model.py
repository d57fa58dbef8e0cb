import pytest

from heliograph.bench.exchange_model import Messages, Work, exchange_messages, exchange_times
from heliograph.edge.messages import grouped
from heliograph.serving.patience import DRAFT_PATIENCE as PATIENCE
from heliograph.transport.links import parse_link
from heliograph.types import Answer, EncodedImage

LINK = parse_link("20kbit,200ms")  # 2,500 bytes a second, 0.1 s either way
ANSWER = Answer("red", 0.9, 0.15)


def _messages(photo: tuple[int, ...]) -> Messages:
    return Messages(greeting=40, question=25, photo=photo, answer=20, repeated=10, text_bytes=30)


def test_a_whole_photo_takes_encoding_sending_delay_and_answering() -> None:
    times = exchange_times(_messages((1000, 500)), Work(0.05, 0.01, 0.04, 0.02), LINK, embedded=False)
    expected = 0.05 + 1500 / 2500 + 0.1 + 0.01 + 0.04 + 20 / 2500 + 0.1
    assert times.final_s == pytest.approx(expected)
    assert times.draft_s == times.final_s


def test_the_question_delays_the_photo_only_while_it_is_on_the_link() -> None:
    quick = exchange_times(_messages((100,)), Work(0.0, 0.0, 0.0, 0.0), LINK, embedded=False)
    assert quick.final_s == pytest.approx((25 + 100) / 2500 + 0.1 + 20 / 2500 + 0.1)
    later = exchange_times(_messages((100,)), Work(0.02, 0.0, 0.0, 0.0), LINK, embedded=False)
    assert later.final_s == pytest.approx(0.02 + 100 / 2500 + 0.1 + 20 / 2500 + 0.1)


def test_an_embedded_stream_is_answered_from_its_first_message() -> None:
    work = Work(0.0, 0.0, 0.03, 0.02)
    whole = exchange_times(_messages((500, 500, 500)), work, LINK, embedded=False)
    drafted = exchange_times(_messages((500, 500, 500)), work, LINK, embedded=True)
    assert drafted.draft_s == pytest.approx((25 + 500) / 2500 + 0.1 + PATIENCE * 0.03 + 0.03 + 20 / 2500 + 0.1)
    assert drafted.draft_s < drafted.final_s <= whole.final_s
    # Verifying is quicker than answering, and the repeated answer is shorter.
    assert drafted.final_s == pytest.approx(whole.final_s - 0.01 - 10 / 2500)


def test_a_busy_cloud_delays_the_final_answer() -> None:
    slow = Work(0.0, 0.0, 1.0, 0.5)
    times = exchange_times(_messages((250, 750)), slow, LINK, embedded=True)
    first_arrival = (25 + 250) / 2500 + 0.1 + PATIENCE * 1.0
    assert times.final_s == pytest.approx(first_arrival + 1.0 + 0.5 + 10 / 2500 + 0.1)


def test_no_draft_is_begun_where_the_photo_is_complete_sooner() -> None:
    work = Work(0.0, 0.05, 0.35, 0.1)
    patience_s = PATIENCE * 0.4
    small, large = int(2500 * patience_s * 0.9), int(2500 * patience_s * 1.1)
    for size, drafted in ((small, False), (large, True)):
        times = exchange_times(_messages((250, size)), work, LINK, embedded=True)
        assert (times.draft_s < times.final_s) is drafted
        arrival = (25 + 250 + size) / 2500 + 0.1
        if not drafted:
            assert times.final_s == pytest.approx(arrival + 0.4 + 20 / 2500 + 0.1)


def test_messages_are_what_the_sessions_send() -> None:
    encoded = EncodedImage("klt", b"\x01\x02", (b"a" * 100, b"b" * 100, b"c" * 100), bundle_hash=b"12345678")
    messages = exchange_messages(encoded, "what colour is it?", ANSWER)
    assert len(messages.photo) == 2  # 200 bytes, then the rest
    assert sum(messages.photo) >= encoded.payload_bytes + 6 * len(messages.photo)  # websocket header and mask
    assert messages.text_bytes == len("what colour is it?") + len("red")
    assert messages.repeated < messages.answer
    overhead = messages.exchange_bytes - encoded.payload_bytes - messages.text_bytes
    assert 0 < overhead <= 120


def test_a_stream_without_segments_still_ends() -> None:
    messages = exchange_messages(EncodedImage("klt", b"\x01", (), bundle_hash=b"12345678"), "why?", ANSWER)
    assert len(messages.photo) == 1
    assert exchange_times(messages, Work(0.0, 0.0, 0.0, 0.0), LINK, embedded=True).final_s > 0.2


def test_segments_are_joined_until_a_message_is_large_enough() -> None:
    assert [len(g) for g in grouped([b"x" * 50] * 7)] == [3, 3, 1]
    assert [len(g) for g in grouped([b"x" * 1024] * 2)] == [1, 1]
    assert [len(g) for g in grouped([])] == [0]
