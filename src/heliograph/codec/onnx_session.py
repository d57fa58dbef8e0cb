"""ONNX Runtime sessions that fit a small device: one thread, no memory arena, no telemetry, quiet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from heliograph.codec.header import write_varint
from heliograph.codec.network_values import check_values
from heliograph.codec.onnx_files import network_damaged
from heliograph.errors import BundleDamagedError, MissingExtraError
from heliograph.reading.files import read_bytes
from heliograph.reasons import BundleFault

if TYPE_CHECKING:
    import onnxruntime

_ERRORS_ONLY = 3
_MAX_BYTES = 2**31 - 1  # of any such message; weights beyond lie in other files
_EXTERNAL = "session.model_external_initializers_file_folder_path"
_GRAPH, _OUTPUT, _NAME = 7, 12, 1
"""Fields of ``onnx.proto3``: a model's graph, a graph's output, an output's name."""


def open_session(path: Path, threads: int = 1, outputs: Sequence[str] = ()) -> onnxruntime.InferenceSession:
    """A CPU session for one ONNX file.

    The arena is off because it keeps the largest working set for ever, which costs more memory than the few
    milliseconds it saves on networks of this size.

    Args:
        path: of the network.
        threads: that one step of it may use.
        outputs: values within the network that it shall give out too, behind its own outputs.

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
    network: str | bytes = str(path)
    if outputs:
        options.add_session_config_entry(_EXTERNAL, str(path.parent))
        network = read_bytes(path, max_bytes=_MAX_BYTES, error=network_damaged, links=False) + _more_outputs(outputs)
    try:
        return onnxruntime.InferenceSession(network, sess_options=options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime raises a dozen classes of its own for damaged files
        raise network_damaged(BundleFault.NOT_NETWORK).noted(f"{path.name}.") from error


def _more_outputs(names: Sequence[str]) -> bytes:
    """What behind a network's bytes makes values within it outputs: messages that follow each other are one message,
    whose lists are joined. So a network need not be exported again to be looked into."""
    named = (_field(_OUTPUT, _field(_NAME, name.encode())) for name in names)
    return _field(_GRAPH, b"".join(named))


def _field(number: int, content: bytes) -> bytes:
    return write_varint(number << 3 | 2) + write_varint(len(content)) + content
