"""Sessions with a key: nothing that was changed, left out, repeated or moved is ever answered from."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from heliograph import errors
from heliograph.protocol import events as ev
from heliograph.protocol.authentication import FROM_CLOUD, FROM_DEVICE, Chain, Nonces
from heliograph.protocol.images import SessionMemory
from heliograph.protocol.limits import MAX_UNSEALED_BYTES
from heliograph.protocol.session import CloudSession, DeviceSession
from heliograph.question import Question

KEY, OTHER_KEY = bytes(range(32)), bytes(range(1, 33))
NONCE = b"8 random"
HASH = bytes(range(8))
TOKEN = bytes(range(16, 32))


def device(key: bytes = KEY, nonce: bytes = NONCE, token: str = "token", **more: object) -> DeviceSession:
    made = DeviceSession(HASH, token, key=key, nonce=nonce if key else b"", **more)  # type: ignore[arg-type]
    made.start()
    return made


def cloud(*keys: bytes, **more: object) -> CloudSession:
    return CloudSession(HASH, frozenset({"token"}), "model", keys=keys, **more)  # type: ignore[arg-type]


def hears(session: CloudSession | DeviceSession, data: bytes) -> list[ev.Event]:
    return session.receive(data, 0.0)


def asked_and_sent(sender: DeviceSession) -> bytes:
    """A question, a photo of four segments with a seal half way, and a second question about it."""
    sender.ask(0, 0, "what?")
    sender.announce_image(0, "klt", b"\xaa\xbb")
    for number in range(4):
        sender.send_segment(0, bytes((number,)) * 9)
        if number == 1:
            sender.seal()
    sender.finish_image(0)
    data = sender.bytes_to_send()
    sender.ask(1, 0, "why?")
    return data + sender.bytes_to_send()


def answered(speaker: CloudSession) -> bytes:
    speaker.send_draft(0, "K52", 0.5, 2)
    speaker.send_final(0, "K52", 0.75, 4)
    speaker.send_error(errors.AnsweringFailedError(), 1)
    return speaker.bytes_to_send()


def told(heard: list[ev.Event]) -> list[ev.Event]:
    """What a session's owner would act on."""
    return [event for event in heard if not isinstance(event, ev.SessionClosed | ev.ErrorReceived)]


def test_tags_are_hmacs_of_all_that_was_said_before() -> None:
    """The right values by the standard library's HMAC alone, as docs/protocol.md tells."""
    sender, receiver = device(), cloud(OTHER_KEY, KEY)
    said = asked_and_sent(sender)
    up = hmac.digest(KEY, b"heliograph 2 device", "sha256")
    hello, rest = said[: 2 + said[1]], said[2 + said[1] :]
    state = hmac.digest(up, hello[:-8], "sha256")
    assert hello[-8:] == state[:8]
    first = rest.index(b"\x00", rest.index(b"\x01" * 9))
    state = hmac.digest(up, state + rest[: first + 1], "sha256")
    assert rest[first + 1 : first + 5] == state[:4]
    second = rest.index(b"\x01", rest.index(b"\x03" * 9))
    state = hmac.digest(up, state + rest[first + 5 : second + 1], "sha256")
    assert rest[second + 1 : second + 5] == state[:4]
    state = hmac.digest(up, state + rest[second + 5 : -4], "sha256")
    assert rest[-5:] == b"\x00" + state[:4]

    hears(receiver, said)
    down, state = hmac.digest(KEY, b"heliograph 2 cloud", "sha256"), hello
    for frame in frames(receiver.bytes_to_send() + answered(receiver)):
        state = hmac.digest(down, state + frame[:-4], "sha256")
        assert frame[-4:] == state[:4]


def frames(data: bytes) -> Iterator[bytes]:
    """The frames of the cloud (all bodies are short here)."""
    while data:
        end = 2 + data[1]
        yield data[:end]
        data = data[end:]


def test_a_keyed_session_says_the_same_as_one_without() -> None:
    heard = {}
    for key in (b"", KEY):
        sender, receiver = device(key), cloud(*([key] if key else []))
        up = hears(receiver, asked_and_sent(sender))
        down = hears(sender, receiver.bytes_to_send() + answered(receiver))
        heard[key] = up, down
    assert heard[b""] == heard[KEY]
    assert len(heard[KEY][0]) == 9


def every_change(data: bytes) -> Iterator[bytes]:
    for place in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[place] ^= 1 << bit
            yield bytes(changed)


def test_no_flipped_bit_from_the_device_is_believed() -> None:
    said = asked_and_sent(device())
    honest = told(hears(cloud(KEY), said))
    for changed in every_change(said):
        heard = hears(cloud(KEY), changed)
        assert told(heard) == honest[: len(told(heard))]
        assert len(told(heard)) < len(honest)


def test_no_flipped_bit_from_the_cloud_is_believed() -> None:
    def exchange(change: Callable[[bytes], bytes]) -> list[ev.Event]:
        sender, receiver = device(), cloud(KEY)
        hears(receiver, asked_and_sent(sender))
        return hears(sender, change(receiver.bytes_to_send() + answered(receiver)))

    honest = exchange(lambda data: data)
    assert [type(e) for e in honest] == [
        ev.WelcomeReceived,
        ev.DraftReceived,
        ev.FinalReceived,
        ev.ErrorReceived,
    ]
    sender, receiver = device(), cloud(KEY)
    hears(receiver, asked_and_sent(sender))
    for changed in every_change(receiver.bytes_to_send() + answered(receiver)):
        heard = exchange(lambda data, changed=changed: changed)  # type: ignore[misc]
        assert told(heard) == told(honest)[: len(told(heard))]
        assert heard != honest


def test_the_same_flips_without_a_key_change_what_is_answered_from() -> None:
    """What the key is for: a checksum of nobody's is no protection."""
    said = asked_and_sent(device(b""))
    honest = told(hears(cloud(), said))
    believed = sum(len(told(hears(cloud(), changed))) == len(honest) for changed in every_change(said))
    assert believed > 300


def pieces(sender: DeviceSession) -> list[bytes]:
    """HELLO, then one sealed piece after the other."""
    made = [sender.bytes_to_send()]
    sender.ask(0, 0, "what?")
    sender.announce_image(0, "klt", b"")
    for number in range(3):
        sender.send_segment(0, bytes((number,)) * 9)
        sender.seal()
        made.append(sender.bytes_to_send())
    return made


@pytest.mark.parametrize(
    "order", [(1, 3), (2, 1, 3), (1, 1), (1, 2, 2, 3), (1, 3, 2), (3,), (1, 2, 3, 1)], ids=lambda order: str(order)
)
def test_left_out_repeated_and_moved_pieces_end_the_session(order: tuple[int, ...]) -> None:
    made = pieces(device())
    heard = hears(cloud(KEY), made[0] + b"".join(made[number] for number in order))
    assert heard[-1] == ev.SessionClosed(errors.StreamForgedError)
    right = next(place for place, number in enumerate(order) if number != place + 1) if order != (1, 2, 3, 1) else 3
    assert sum(isinstance(event, ev.SegmentReceived) for event in heard) == right


def test_segments_of_another_session_are_not_believed() -> None:
    first, second = pieces(device()), pieces(device(nonce=b"another."))
    heard = hears(cloud(KEY), first[0] + second[1])
    assert [type(event) for event in heard] == [ev.HelloReceived, ev.SessionClosed]


def test_a_whole_session_cannot_be_played_again_while_its_nonce_is_known() -> None:
    nonces = Nonces(most=2)
    said = asked_and_sent(device())

    def played() -> list[ev.Event]:
        return hears(cloud(KEY, is_new_nonce=nonces.is_new), said)

    assert len(told(played())) == 9
    assert played() == [ev.SessionClosed(errors.StreamForgedError)]
    for nonce in (b"11111111", b"22222222"):
        assert nonces.is_new(nonce)
    assert len(told(played())) == 9  # forgotten by now: what is remembered is bounded


def test_a_forged_greeting_is_not_remembered() -> None:
    nonces = Nonces(most=1)
    hears(cloud(KEY, is_new_nonce=nonces.is_new), asked_and_sent(device(OTHER_KEY)))
    assert nonces.is_new(NONCE)


@pytest.mark.parametrize(("held", "known"), [(OTHER_KEY, (KEY,)), (b"", (KEY,)), (KEY, ())])
def test_ends_that_do_not_share_a_key_part_with_a_name(held: bytes, known: tuple[bytes, ...]) -> None:
    sender, receiver = device(held), cloud(*known)
    assert hears(receiver, asked_and_sent(sender)) == [ev.SessionClosed(errors.StreamForgedError)]
    heard = hears(sender, receiver.bytes_to_send())
    assert heard[-1] == ev.SessionClosed(errors.StreamForgedError)


def test_the_version_is_judged_before_the_key() -> None:
    said = bytearray(asked_and_sent(device()))
    said[2] = 9
    assert hears(cloud(KEY), bytes(said)) == [ev.SessionClosed(errors.ProtocolVersionError)]


@pytest.mark.parametrize(
    "keys", [{"key": KEY}, {"nonce": NONCE}, {"key": b"short", "nonce": NONCE}, {"key": bytes(65)}]
)
def test_a_key_has_a_nonce_and_sixteen_to_sixty_four_bytes(keys: dict[str, bytes]) -> None:
    with pytest.raises(errors.UsageError):
        DeviceSession(HASH, **keys)  # type: ignore[arg-type]
    with pytest.raises(errors.UsageError):
        CloudSession(HASH, frozenset(), keys=[b"short"])


def test_nothing_is_answered_from_before_its_seal() -> None:
    """Every prefix of the stream tells what is sealed in it and not a segment more."""
    said = asked_and_sent(device())
    honest = hears(cloud(KEY), said)
    seals = {said.index(b"\x01" * 9) + 9 + 5: 4, said.index(b"\x03" * 9) + 9 + 5: 7, len(said): 8}
    for cut in range(len(said) + 1):
        heard = [event for event in hears(cloud(KEY), said[:cut]) if not isinstance(event, ev.SessionClosed)]
        greeted = cut >= 2 + said[1]
        count = max((count for place, count in seals.items() if place <= cut), default=0)
        assert heard == honest[: greeted + count]


def test_a_device_seals_before_the_cloud_counts_too_many_frames() -> None:
    sender, receiver = device(), cloud(KEY)
    for photo in range(5):
        sender.announce_image(photo, "jpeg", b"")
        for _ in range(4096):
            sender.send_segment(photo, b"x")
    sender.seal()
    heard = hears(receiver, sender.bytes_to_send())
    assert sum(isinstance(event, ev.SegmentReceived) for event in heard) == 5 * 4096


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=300), st.integers(0, 200), st.integers(0, 200))
def test_garbage_meets_named_errors_and_nothing_of_it_is_believed(garbage: bytes, start: int, length: int) -> None:
    said = asked_and_sent(device())
    changed = said[:start] + garbage + said[start + length :]
    honest = told(hears(cloud(KEY), said))
    heard = told(hears(cloud(KEY), changed))
    assert heard == honest[: len(heard)]


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=30))
def test_events_do_not_depend_on_how_the_stream_is_cut(sizes: list[int]) -> None:
    said = asked_and_sent(device())
    receiver, heard = cloud(KEY), []
    while said:
        size = sizes.pop() if sizes else len(said)
        heard += hears(receiver, said[:size])
        said = said[size:]
    assert heard == hears(cloud(KEY), asked_and_sent(device()))
    assert receiver.held_bytes == 0


def test_only_authenticated_segments_are_held_when_a_session_goes_on() -> None:
    kept: dict[bytes, SessionMemory] = {}
    sender = device(resumable=True)
    receiver = cloud(KEY, session_token=TOKEN)
    sender.ask(0, 0, "what?")
    sender.announce_image(0, "klt", b"")
    sender.send_segment(0, b"one")
    sender.seal()
    sender.send_segment(0, b"two")  # arrives, but no seal behind it
    hears(receiver, sender.bytes_to_send())
    hears(sender, receiver.bytes_to_send())
    kept[TOKEN] = receiver.memory
    again = device(nonce=b"a second", session_token=TOKEN)
    receiver = cloud(KEY, recall=kept.get)
    hears(receiver, again.bytes_to_send())
    (welcome,) = hears(again, receiver.bytes_to_send())
    assert isinstance(welcome, ev.WelcomeReceived)
    assert welcome.held is not None
    assert [(held.image_id, held.segments) for held in welcome.held] == [(0, 1)]
    again.hold_image(0, 3, 1, finished=False)
    again.ask(1, 0, "what?")
    again.send_segment(0, b"two")
    again.finish_image(0)
    heard = hears(receiver, again.bytes_to_send())
    assert [type(event) for event in heard] == [ev.QuestionAsked, ev.SegmentReceived, ev.ImageFinished]


@pytest.mark.parametrize(
    ("act", "event"),
    [
        (lambda d: d.cancel(0), ev.QuestionCancelled),
        (lambda d: d.forget_image(0), ev.ImageForgotten),
        (lambda d: d.ask(1, 0, "and?"), ev.QuestionAsked),
        (lambda d: d.ask(1, 5, Question("and?", answer_within_s=0.1)), ev.QuestionAsked),
        (lambda d: d.finish_image(0), ev.ImageFinished),
    ],
)
def test_what_must_not_wait_is_sealed_at_once(act: Callable[[DeviceSession], None], event: type) -> None:
    sender, receiver = device(), cloud(KEY)
    sender.ask(0, 0, "what?")
    sender.announce_image(0, "klt", b"")
    sender.seal()
    hears(receiver, sender.bytes_to_send())
    act(sender)
    assert isinstance(hears(receiver, sender.bytes_to_send())[-1], event)


def test_a_question_waits_for_its_photo_without_a_seal_of_its_own() -> None:
    sender = device()
    sender.bytes_to_send()
    sender.ask(0, 0, "what?")
    keyed = sender.bytes_to_send()
    plain = device(b"")
    plain.bytes_to_send()
    plain.ask(0, 0, "what?")
    assert keyed == plain.bytes_to_send()


def test_the_end_of_an_earlier_photo_is_said_by_its_own_frame() -> None:
    sender, receiver = device(), cloud(KEY)
    sender.announce_image(0, "jpeg", b"")
    sender.announce_image(1, "jpeg", b"")
    sender.finish_image(0)
    sender.finish_image(1)
    heard = hears(receiver, sender.bytes_to_send())
    assert heard[-2:] == [ev.ImageFinished(0), ev.ImageFinished(1)]


def test_a_device_seals_before_the_cloud_holds_too_much_back() -> None:
    sender, receiver = device(), cloud(KEY)
    sender.announce_image(0, "jpeg", b"")
    heard: list[ev.Event] = []
    for _ in range(7):
        sender.send_segment(0, bytes(1 << 20))
        heard += hears(receiver, sender.bytes_to_send())
        assert receiver.held_bytes <= MAX_UNSEALED_BYTES
    sender.finish_image(0)
    heard += hears(receiver, sender.bytes_to_send())
    assert sum(isinstance(event, ev.SegmentReceived) for event in heard) == 7


@pytest.mark.parametrize("frames", [b"\x80", b"\xff" + bytes(127)], ids=["many", "large"])
def test_a_stream_that_nobody_seals_is_not_held_for_ever(frames: bytes) -> None:
    receiver = cloud(KEY)
    hears(receiver, device().bytes_to_send())
    heard: list[ev.Event] = []
    for _ in range(40):
        heard += hears(receiver, frames * ((64 << 10) // len(frames)))
        assert receiver.held_bytes <= MAX_UNSEALED_BYTES + (64 << 10)
    assert heard == [ev.SessionClosed(errors.StreamForgedError)]


def test_late_segments_without_a_seal_are_no_broken_stream() -> None:
    sender, receiver = device(), cloud(KEY)
    hears(receiver, asked_and_sent(sender))
    sender.announce_image(1, "klt", b"")
    sender.send_segment(1, b"late")
    hears(receiver, sender.bytes_to_send())
    answered(receiver)
    assert hears(receiver, b"") == [ev.SessionClosed(None)]


def test_errors_that_end_a_session_reach_the_other_end() -> None:
    sender, receiver = device(), cloud(KEY)
    sender.ask(0, 0, "what?")
    hears(receiver, sender.bytes_to_send())
    receiver.send_error(errors.TooManyError(), None)
    assert hears(sender, receiver.bytes_to_send())[-1] == ev.SessionClosed(errors.TooManyError)
    sender, receiver = device(), cloud(KEY)
    hears(receiver, sender.bytes_to_send())
    hears(sender, b"\xff" * 200)
    assert hears(receiver, sender.bytes_to_send())[-1] == ev.SessionClosed(errors.StreamForgedError)


def test_every_purpose_has_a_key_of_its_own() -> None:
    tags = {Chain(KEY, purpose).tag(32) for purpose in (FROM_DEVICE, FROM_CLOUD, b"heliograph hgs 1")}
    assert len(tags) == 3
    derived = hmac.new(KEY, b"heliograph 2 device", hashlib.sha256).digest()
    assert Chain(KEY, FROM_DEVICE).tag(32) == hmac.new(derived, b"", hashlib.sha256).digest()
