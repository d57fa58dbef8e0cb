"""ONNX Runtime sessions that fit a small device: one thread, no memory arena, no telemetry, quiet."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.codec.network_values import check_values
from heliograph.codec.onnx_files import network_damaged
from heliograph.errors import BundleDamagedError, MissingExtraError
from heliograph.reasons import BundleFault

if TYPE_CHECKING:
    import onnxruntime

_ERRORS_ONLY = 3


def open_session(path: Path, threads: int = 1) -> onnxruntime.InferenceSession:
    """A CPU session for one ONNX file.

    The arena is off because it keeps the largest working set for ever, which costs more memory than the few
    milliseconds it saves on networks of this size.

    Raises:
        MissingExtraError: onnxruntime is not installed.
        BundleDamagedError: no file there, no network that this version can run, one that reads files which do not lie
            beside it, or a weight that is no number or absurdly large.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("edge") from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False
    options.log_severity_level = _ERRORS_ONLY
    try:
        check_values(path)
    except BundleDamagedError as error:
        error.add_note(f"{path.name}.")
        raise
    try:
        return onnxruntime.InferenceSession(str(path), sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a dozen classes of its own for damaged files
        raise network_damaged(BundleFault.NOT_NETWORK).noted(f"{path.name}.") from error
