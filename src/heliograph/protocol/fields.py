"""Fields inside a frame: canonical varints, identifiers, UTF-8 text. Every read is checked."""

from __future__ import annotations

from heliograph.errors import FrameDamagedError
from heliograph.protocol.limits import MAX_ID, VARINT_MAX_BYTES


def write_varint(value: int) -> bytes:
    """Unsigned LEB128: seven bits a byte, low bits first, at most four bytes (0 to 2**28 - 1).

    Raises:
        ValueError: the value is outside that range; callers check what they send before.
    """
    if not 0 <= value <= MAX_ID:
        raise ValueError("a varint holds 0 to 2**28 - 1")
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def read_varint(data: bytes | bytearray, position: int) -> tuple[int, int] | None:
    """Value and position behind it, or None where ``data`` ends inside the varint.

    Raises:
        FrameDamagedError: longer than four bytes, or not in its shortest form.
    """
    value = 0
    for count in range(VARINT_MAX_BYTES):
        if position + count >= len(data):
            return None
        byte = data[position + count]
        value |= (byte & 0x7F) << (7 * count)
        if byte < 0x80:
            if byte == 0 and count > 0:
                raise FrameDamagedError
            return value, position + count + 1
    raise FrameDamagedError


def decode_text(data: bytes) -> str:
    """Strict UTF-8.

    Raises:
        FrameDamagedError: not valid UTF-8.
    """
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FrameDamagedError from error


class FieldReader:
    """Reads the fields of one frame body in order; running past the end is a damaged frame."""

    __slots__ = ("_body", "_position")

    def __init__(self, body: bytes) -> None:
        self._body = body
        self._position = 0

    def byte(self) -> int:
        """One byte, 0 to 255."""
        return self.take(1)[0]

    def take(self, count: int) -> bytes:
        """Read exactly ``count`` bytes."""
        end = self._position + count
        if end > len(self._body):
            raise FrameDamagedError
        taken = self._body[self._position : end]
        self._position = end
        return taken

    def varint(self, *, minimum: int = 0, maximum: int = MAX_ID) -> int:
        """A varint within ``minimum`` and ``maximum``, both allowed."""
        found = read_varint(self._body, self._position)
        if found is None or not minimum <= found[0] <= maximum:
            raise FrameDamagedError
        self._position = found[1]
        return found[0]

    def rest(self) -> bytes:
        """Everything that is left."""
        return self.take(len(self._body) - self._position)

    def end(self) -> None:
        """Check that nothing is left."""
        if self._position != len(self._body):
            raise FrameDamagedError
