"""A device, a router and a cloud, each in a network namespace of its own: packets can be dropped below TCP, as a NAT
does that forgets a flow. A proxy in user space cannot show that: it acknowledges what it does not deliver.

Needs Linux, root and iproute2's ``ip``; nothing of this machine's own network is touched::

    device 198.51.100.2 ---- 198.51.100.1 router 198.51.100.5 ---- 198.51.100.6 cloud
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from heliograph.errors import UsageError

DEVICE, ROUTER, CLOUD = "device", "router", "cloud"
CLOUD_HOST = "198.51.100.6"  # TEST-NET-2 (RFC 5737): addresses that nobody has

_CLONE_NEWNET = 0x40000000
_ESTABLISHED = "01"
_WIRING = (
    "link add name eth0 netns {device} type veth peer name eth0 netns {router}",
    "link add name eth0 netns {cloud} type veth peer name eth1 netns {router}",
    "-n {device} link set eth0 address 02:00:00:00:00:01",
    "-n {router} link set eth0 address 02:00:00:00:00:02",
    "-n {router} link set eth1 address 02:00:00:00:00:03",
    "-n {cloud} link set eth0 address 02:00:00:00:00:04",
    "-n {device} addr add 198.51.100.2/30 dev eth0",
    "-n {router} addr add 198.51.100.1/30 dev eth0",
    "-n {router} addr add 198.51.100.5/30 dev eth1",
    "-n {cloud} addr add 198.51.100.6/30 dev eth0",
    "-n {device} link set eth0 up",
    "-n {router} link set eth0 up",
    "-n {router} link set eth1 up",
    "-n {cloud} link set eth0 up",
    "-n {device} neigh add 198.51.100.1 lladdr 02:00:00:00:00:02 dev eth0",  # or ARP would wait behind a slow queue
    "-n {router} neigh add 198.51.100.2 lladdr 02:00:00:00:00:01 dev eth0",
    "-n {router} neigh add 198.51.100.6 lladdr 02:00:00:00:00:04 dev eth1",
    "-n {cloud} neigh add 198.51.100.5 lladdr 02:00:00:00:00:03 dev eth0",
    "-n {device} route add default via 198.51.100.1",
    "-n {cloud} route add default via 198.51.100.5",
)


def why_not() -> str:
    """Why there can be no namespaces here; empty where they can be."""
    if not sys.platform.startswith("linux"):
        return "network namespaces are Linux's"
    if os.geteuid() != 0:
        return "network namespaces need root"
    if shutil.which("ip") is None:
        return "there is no ip command (iproute2)"
    name = f"heliograph-{os.getpid()}-probe"
    probe = ("netns add {0}", "-n {0} rule add ipproto tcp sport 9 blackhole", "netns del {0}")
    try:
        for command in probe:
            _ip(command.format(name))
    except UsageError:
        with contextlib.suppress(UsageError):
            _ip(f"netns del {name}")
        return "this system makes no network namespaces or no rules by port"
    return ""


class RoutedNamespaces:
    """The three namespaces, while the context lasts.

    Raises:
        UsageError: on entering, they cannot be made; :func:`why_not` says why.
    """

    def __init__(self) -> None:
        self._names = {role: f"heliograph-{os.getpid()}-{role}" for role in (DEVICE, ROUTER, CLOUD)}

    def __enter__(self) -> Self:
        try:
            for name in self._names.values():
                _ip(f"netns add {name}")
            for command in _WIRING:
                _ip(command.format_map(self._names))
            with self.inside(ROUTER):
                Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
        except UsageError:
            self._remove()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._remove()

    @contextlib.contextmanager
    def inside(self, role: str) -> Iterator[None]:
        """Sockets and threads that this thread makes meanwhile belong to a namespace."""
        with open("/proc/thread-self/ns/net", "rb") as home, open(f"/run/netns/{self._names[role]}", "rb") as there:
            _enter(there.fileno())
            try:
                yield
            finally:
                _enter(home.fileno())

    def forget_flows(self) -> int:
        """Drop from now on, without a word, every packet of the TCP connections that the device has open.

        Returns:
            How many connections those are.
        """
        with self.inside(DEVICE):
            lines = Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]
        open_ports = [int(f[1].partition(":")[2], 16) for line in lines if (f := line.split())[3] == _ESTABLISHED]
        for port in open_ports:
            for end in ("sport", "dport"):
                _ip(f"-n {self._names[ROUTER]} rule add ipproto tcp {end} {port} blackhole")
        return len(open_ports)

    def _remove(self) -> None:
        for name in self._names.values():
            with contextlib.suppress(UsageError):
                _ip(f"netns del {name}")


def _ip(command: str) -> None:
    _run(f"ip {command}")


def _run(command: str) -> None:
    try:
        subprocess.run(command.split(), check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        raise UsageError().noted("network namespaces need root and the ip command of iproute2.") from error


def _enter(namespace: int) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace, _CLONE_NEWNET) != 0:
        raise UsageError().noted("this process may not enter a network namespace: run it as root.")
