"""When a device seals, and what a cloud holds back until then: the borders, counted."""

from __future__ import annotations

import pytest

from heliograph.errors import FrameDamagedError, StreamForgedError, UsageError
from heliograph.protocol.authentication import FROM_CLOUD, FROM_DEVICE, NONCE_BYTES, Chain
from heliograph.protocol.frames import (
    ErrorFrame,
    FrameType,
    HelloFrame,
    IdFrame,
    ImageFrame,
    LastImageEndFrame,
    SegmentFrame,
    encode_frame,
)
from heliograph.protocol.limits import MAX_UNSEALED_BYTES, MAX_UNSEALED_FRAMES
from heliograph.protocol.sealed_buffer import SealedFrameBuffer, TaggedFrameBuffer
from heliograph.protocol.sealing import CloudSeals, DeviceSeals
from heliograph.reasons import ForgedFault

KEY = bytes(range(16))
SMALL = SegmentFrame(None, b"x")
WIRE = encode_frame(SMALL)
CANCEL = IdFrame(FrameType.CANCEL, 0)
SEAL_BYTES = 5  # a byte that says so, and a tag of four


def seals() -> DeviceSeals:
    made = DeviceSeals(KEY, bytes(NONCE_BYTES))
    made.greet(HelloFrame(bytes(8), "token"))
    return made


def carry(device: DeviceSeals, count: int, size: int = len(WIRE)) -> list[int]:
    """Bytes before each of so many segments of ``size`` bytes on the wire."""
    return [len(device.carried(SMALL, bytes(size))) - size for _ in range(count)]


@pytest.mark.parametrize(("length", "fits"), [(0, False), (15, False), (16, True), (64, True), (65, False)])
def test_keys_have_sixteen_to_sixty_four_bytes(length: int, fits: bool) -> None:
    if fits:
        assert len(Chain(bytes(length), FROM_DEVICE).tag()) == SEAL_BYTES - 1
        return
    with pytest.raises(UsageError) as caught:
        Chain(bytes(length), FROM_DEVICE)
    assert f"a key has 16 to 64 bytes; this one has {length}." in " ".join(caught.value.__notes__)


@pytest.mark.parametrize("nonce", [b"", bytes(7), bytes(9)])
def test_a_key_wants_a_nonce_of_eight_bytes(nonce: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        DeviceSeals(KEY, nonce)
    assert f"nonce must be 8 bytes with a key, and empty without one; it has {len(nonce)}." in caught.value.__notes__[0]


def test_a_seal_comes_before_the_frame_that_would_be_one_too_many() -> None:
    """8,192 frames lie unsealed at most, after each seal anew."""
    device = seals()
    assert not any(carry(device, MAX_UNSEALED_FRAMES))
    assert carry(device, 2) == [SEAL_BYTES, 0]
    assert not any(carry(device, MAX_UNSEALED_FRAMES - 2))
    assert carry(device, 1) == [SEAL_BYTES]


def test_a_seal_comes_before_the_byte_that_would_be_one_too_many() -> None:
    device = seals()
    assert carry(device, 1, MAX_UNSEALED_BYTES - 1) == [0]
    assert carry(device, 2, 1) == [0, SEAL_BYTES]
    assert carry(device, 2, MAX_UNSEALED_BYTES - 1) == [0, SEAL_BYTES]


def test_nothing_is_sealed_twice_and_only_what_must_not_wait_is_due() -> None:
    device = seals()
    assert device.seal() == device.seal_due() == b""
    carry(device, 1)
    device.carried(ImageFrame(0, "klt", b""), b"abc")
    assert device.seal_due() == b""  # more of the photo follows
    device.carried(CANCEL, b"abc")
    carry(device, 1)
    assert len(device.seal_due()) == SEAL_BYTES
    assert device.seal_due() == device.seal() == b""
    carry(device, 1)
    assert device.seal_due() == b""
    assert [len(device.seal()), len(device.seal())] == [SEAL_BYTES, 0]


def test_without_a_key_frames_go_as_they_are() -> None:
    device = DeviceSeals(b"", b"")
    hello = HelloFrame(bytes(8), "token")
    assert device.greet(hello)[0] == encode_frame(hello)
    assert (device.carried(CANCEL, b"abc"), device.seal_due(), device.seal(), device.seal_and_end()) == (
        b"abc",
        b"",
        b"",
        None,
    )
    assert not device.has_key
    cloud = CloudSeals((), lambda nonce: True)
    cloud.check(hello)
    assert cloud.carried(CANCEL, b"abc") == b"abc"


def held(frames: int) -> tuple[SealedFrameBuffer, Chain]:
    """A cloud's buffer that has heard so many frames, and the chain of who sent them."""
    buffer, chain = SealedFrameBuffer(), Chain(KEY, FROM_DEVICE)
    buffer.require_seals(Chain(KEY, FROM_DEVICE))
    assert not list(buffer.feed(WIRE * frames))
    chain.update(WIRE * frames)
    return buffer, chain


def sealed(chain: Chain, kind: int = 0) -> bytes:
    chain.update(bytes((kind,)))
    return bytes((kind,)) + chain.tag()


def test_a_cloud_holds_as_many_frames_as_a_device_leaves_unsealed_and_not_one_more() -> None:
    buffer, chain = held(MAX_UNSEALED_FRAMES)
    assert list(buffer.feed(sealed(chain))) == [SMALL] * MAX_UNSEALED_FRAMES
    assert not list(buffer.feed(WIRE * MAX_UNSEALED_FRAMES))  # counted anew behind a seal
    with pytest.raises(StreamForgedError):
        list(buffer.feed(WIRE))


def test_what_is_unfinished_is_what_lies_behind_the_last_whole_frame() -> None:
    buffer, chain = held(3)
    assert (buffer.held_bytes, buffer.unfinished_bytes) == (3 * len(WIRE), 0)
    assert not list(buffer.feed(WIRE[:1]))
    assert (buffer.held_bytes, buffer.unfinished_bytes, buffer.missing_bytes) == (3 * len(WIRE) + 1, 1, 1)
    chain.update(WIRE)
    end = sealed(chain, 1)
    assert not list(buffer.feed(WIRE[1:] + end[:-1]))
    assert buffer.unfinished_bytes == SEAL_BYTES - 1
    assert list(buffer.feed(end[-1:])) == [SMALL] * 4 + [LastImageEndFrame()]
    assert (buffer.held_bytes, buffer.unfinished_bytes) == (0, 0)


def test_a_cleared_buffer_holds_nothing() -> None:
    buffer, _ = held(3)
    buffer.clear()
    assert (buffer.held_bytes, buffer.unfinished_bytes) == (0, 0)


def test_a_first_byte_below_the_smallest_type_is_a_seal_or_damage() -> None:
    buffer, _ = held(0)
    with pytest.raises(FrameDamagedError):
        list(buffer.feed(b"\x02" + bytes(SEAL_BYTES - 1)))


def test_a_wrong_seal_yields_nothing() -> None:
    buffer, chain = held(2)
    forged = bytearray(sealed(chain))
    forged[-1] ^= 1
    with pytest.raises(StreamForgedError):
        list(buffer.feed(bytes(forged)))


def test_a_cloud_holds_1114121_bytes_without_a_seal_and_not_one_more() -> None:
    frames = [SegmentFrame(0, bytes(1 << 20)), SegmentFrame(0, bytes((1 << 16) + 1))]
    data = b"".join(map(encode_frame, frames))  # heads of four bytes: a type, and a length of three
    assert len(data) == MAX_UNSEALED_BYTES == 1_114_121
    for behind_a_seal in (False, True):
        buffer, chain = held(1)
        if behind_a_seal:
            assert list(buffer.feed(sealed(chain))) == [SMALL]
        else:
            buffer, chain = held(0)
        assert not list(buffer.feed(data))
        chain.update(data)
        assert list(buffer.feed(sealed(chain))) == frames
        with pytest.raises(StreamForgedError) as caught:
            list(buffer.feed(data + WIRE[:1]))
        assert caught.value.reason == ForgedFault.UNSEALED.value


def test_frames_of_the_smallest_type_are_no_seals() -> None:
    buffer, chain = held(0)
    hello = encode_frame(HelloFrame(b"", "token"))
    assert hello[0] == 8
    assert not list(buffer.feed(hello))
    chain.update(hello)
    assert list(buffer.feed(sealed(chain))) == [HelloFrame(b"", "token")]


def test_many_seals_may_come_at_once_and_be_heard_one_by_one() -> None:
    buffer, chain = held(0)
    data = b""
    for kind in (0, 1, 0, 0):
        chain.update(WIRE)
        data += WIRE + sealed(chain, kind)
    frames = buffer.feed(data + WIRE)
    assert [next(frames) for _ in range(5)] == [SMALL, SMALL, LastImageEndFrame(), SMALL, SMALL]
    assert not list(frames)
    assert (buffer.held_bytes, buffer.unfinished_bytes) == (len(WIRE), 0)
    chain.update(WIRE)
    assert list(buffer.feed(sealed(chain))) == [SMALL]
    assert buffer.held_bytes == 0


def keyed() -> tuple[CloudSeals, Chain]:
    """A cloud that has heard HELLO with a key, and the chain that its frames are to carry."""
    device = DeviceSeals(KEY, bytes(NONCE_BYTES))
    data, _ = device.greet(HelloFrame(bytes(8), "token"))
    cloud, chain = CloudSeals((bytes(17), KEY), lambda nonce: nonce == bytes(NONCE_BYTES)), Chain(KEY, FROM_CLOUD)
    (hello,) = SealedFrameBuffer().feed(data)
    assert isinstance(hello, HelloFrame)
    cloud.check(hello)
    chain.update(data)
    return cloud, chain


def test_only_the_error_that_ends_a_session_has_no_tag() -> None:
    cloud, chain = keyed()
    for frame, tagged in ((ErrorFrame(53, 0), True), (ErrorFrame(53, None), False), (CANCEL, True)):
        data = encode_frame(frame)
        longer = data[:1] + bytes((data[1] + 4,)) + data[2:]
        chain.update(longer if tagged else b"")
        assert cloud.carried(frame, data) == (longer + chain.tag() if tagged else data)


def test_a_frame_may_consist_of_its_tag_and_not_of_less() -> None:
    buffer, chain = TaggedFrameBuffer(Chain(KEY, FROM_CLOUD)), Chain(KEY, FROM_CLOUD)
    chain.update(b"\x58\x04")
    assert list(buffer.feed(b"\x58\x04" + chain.tag())) == [IdFrame(FrameType.ENOUGH, 0)]
    with pytest.raises(StreamForgedError) as caught:
        list(buffer.feed(b"\x58\x03abc"))
    assert caught.value.reason == ForgedFault.UNSEALED.value
    assert list(TaggedFrameBuffer(Chain(KEY, FROM_CLOUD)).feed(b"\x70\x01\x35")) == [ErrorFrame(53, None)]


def test_a_key_at_one_end_and_a_nonce_that_was_seen_have_their_reasons() -> None:
    plain, unkeyed = CloudSeals((), lambda nonce: True), HelloFrame(bytes(8), "token")
    with_key = HelloFrame(bytes(8), "token", nonce=bytes(8), tag=bytes(8))
    cases = [
        (plain, with_key, ForgedFault.ONE_END),
        (CloudSeals((KEY,), lambda nonce: True), unkeyed, ForgedFault.ONE_END),
    ]
    cases.append((CloudSeals((KEY,), lambda nonce: True), with_key, ForgedFault.OTHER_KEY))
    (hello,) = SealedFrameBuffer().feed(seals_of_hello())
    assert isinstance(hello, HelloFrame)
    cases.append((CloudSeals((KEY,), lambda nonce: False), hello, ForgedFault.REPLAYED))
    for cloud, frame, reason in cases:
        with pytest.raises(StreamForgedError) as caught:
            cloud.check(frame)
        assert caught.value.reason == reason.value


def seals_of_hello() -> bytes:
    return DeviceSeals(KEY, bytes(NONCE_BYTES)).greet(HelloFrame(bytes(8), "token"))[0]
