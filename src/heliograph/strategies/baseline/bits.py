"""Bits in bytes, highest first, and exponential Golomb codes."""

from __future__ import annotations


class BitsEndError(Exception):
    """The bits end before the number does, or it is longer than it may be."""


class BitWriter:
    """Gathers numbers bit by bit."""

    def __init__(self) -> None:
        self._bits: list[str] = []

    def number(self, value: int, bits: int) -> None:
        """``bits`` bits, 1 or more."""
        self._bits.append(f"{value:0{bits}b}")

    def unary(self, value: int) -> None:
        """``value`` zeros and a one."""
        self._bits.append("0" * value + "1")

    def exponential_golomb(self, value: int, order: int) -> None:
        """A number, 0 or more, in few bits where it is below ``2**order``."""
        shifted = value + (1 << order)
        bits = shifted.bit_length()
        self._bits.append("0" * (bits - order - 1) + f"{shifted:b}")

    def finished(self) -> bytes:
        """All of it as bytes, the last one filled with zeros."""
        bits = "".join(self._bits)
        count = -(-len(bits) // 8)
        return int(bits.ljust(8 * count, "0"), 2).to_bytes(count, "big") if bits else b""


class BitReader:
    """Reads what :class:`BitWriter` wrote.

    Args:
        data: bytes that hold it.
        position: the byte where it begins.
    """

    def __init__(self, data: bytes, position: int) -> None:
        self._data, self._bit = data, 8 * position

    @property
    def next_byte(self) -> int:
        """The first byte of which nothing was read."""
        return -(-self._bit // 8)

    def number(self, bits: int) -> int:
        """The next ``bits`` bits.

        Raises:
            BitsEndError: there are fewer.
        """
        value = 0
        for _ in range(bits):
            if self._bit >> 3 >= len(self._data):
                raise BitsEndError
            value = value << 1 | self._data[self._bit >> 3] >> (7 - (self._bit & 7)) & 1
            self._bit += 1
        return value

    def unary(self, limit: int) -> int:
        """Zeros before the next one.

        Raises:
            BitsEndError: no one comes, or more zeros than ``limit``.
        """
        for value in range(limit + 1):
            if self.number(1):
                return value
        raise BitsEndError

    def exponential_golomb(self, order: int, limit: int) -> int:
        """A number with at most ``limit`` zeros before it.

        Raises:
            BitsEndError: the bits end, or there are more zeros.
        """
        more = order + self.unary(limit)
        return (1 << more | self.number(more)) - (1 << order)
