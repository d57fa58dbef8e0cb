"""An exchange stays within its bytes, with and without a key."""

from __future__ import annotations

from heliograph.bench.hardening.overhead import measure_overhead


def test_authentication_fits_beside_the_smallest_streams() -> None:
    found = measure_overhead(photos=3)
    assert found.exchanges == 3 * 18
    assert found.plain <= 64
    assert found.authenticated <= 76
    # One tag of the answer, one for the end of the photo (in place of IMAGE_END's two bytes), one half way; and a
    # message that grows beyond 125 bytes gets two more of websocket framing.
    assert 7 <= found.max_added <= 4 + 3 + 5 + 2 * 2
