"""A strategy of your own: visual tokens as half-precision numbers, as they are.

    python examples/custom_strategy.py

Needs the extra `cloud`. This is what sending tokens costs without any compression: two bytes for each of their values.
Here both ends are in one process; between machines, both need the package that registers it
(docs/howto/add-a-strategy.md).
"""

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from heliograph.errors import StreamDamagedError, StreamTruncatedError
from heliograph.reasons import StreamFault
from heliograph.registry import STRATEGIES
from heliograph.strategies.base import CloudTools, DeviceTools, Kind, Restored, Setting, Strategy, joined
from heliograph.testing import ask_in_process
from heliograph.types import EncodedImage, VisualTokens

if TYPE_CHECKING:
    from PIL.Image import Image


class HalfPrecisionStrategy(Strategy):
    """No header; one segment for each of the N tokens: its D values as float16, little endian."""

    name = "float16"
    wire_id = 97  # of 96 to 127, chosen once and kept
    kind = Kind.TOKENS
    needs_bundle = True
    default_setting: ClassVar[Setting] = {}

    def settings(self) -> tuple[Setting, ...]:
        """There is nothing to choose."""
        return ({},)

    def encode(self, photo: "Image", tools: DeviceTools, setting: Setting) -> EncodedImage:
        """The device's half: all tokens of the photo."""
        self.complete_setting(setting)
        values = tools.encode_tokens(photo).values
        return EncodedImage(self.name, b"", tuple(row.tobytes() for row in values.astype("<f2")))

    def restore(self, encoded: EncodedImage, tools: CloudTools) -> Restored:
        """The cloud's half. What arrives may be anybody's: its length and its values are checked."""
        grid, row_bytes = tools.grid, 2 * tools.hidden_size
        data = joined(encoded.segments, grid.tokens * row_bytes)
        if encoded.header or data is None:
            raise StreamDamagedError(StreamFault.HEADER if encoded.header else StreamFault.LENGTH)
        if len(data) < grid.tokens * row_bytes:
            raise StreamTruncatedError  # wait for more
        values = np.frombuffer(data, dtype="<f2").reshape(grid.tokens, tools.hidden_size).astype(np.float32)
        if not np.isfinite(values).all():
            raise StreamDamagedError(StreamFault.VALUE)
        return Restored(tokens=VisualTokens(values, grid))


def main() -> None:
    """Ask the same question over this strategy and over the best one."""
    STRATEGIES.register("float16", HalfPrecisionStrategy)
    for strategy in ("float16", "meta"):
        report = ask_in_process("what is on the sign?", strategy=strategy)
        print(f"{strategy}: {report.answer} ({report.payload_bytes:,} bytes of photo)")


if __name__ == "__main__":
    main()
