"""Traces of exchanges: one JSON line per event, written by either end, read back, put in order and answered again."""

from heliograph.tracing.reading import Trace, TraceEvent, read_trace
from heliograph.tracing.replaying import Replay, replay
from heliograph.tracing.writing import TraceWriter

__all__ = ["Replay", "Trace", "TraceEvent", "TraceWriter", "read_trace", "replay"]
