"""The wire between device and cloud, sans-IO: bytes and ``now`` in, events and bytes out. Standard library only."""
