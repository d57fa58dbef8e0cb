"""Addresses of clouds as they may be shown. Standard library only."""

from __future__ import annotations


def without_secrets(url: str) -> str:
    """An address as it may be shown: without a user's name and password."""
    scheme, sign, rest = url.rpartition("://")
    return scheme + sign + rest.rpartition("@")[2]
