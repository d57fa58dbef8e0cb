"""The two ends of a session, one import for both."""

from __future__ import annotations

from heliograph.protocol.cloud import CloudSession
from heliograph.protocol.device import DeviceSession

__all__ = ["CloudSession", "DeviceSession"]
