"""How long work takes, whatever else the machine does at the time: the bench computes with one thread."""

from __future__ import annotations

from heliograph.clock import processor_s

__all__ = ["processor_s"]
