"""Ports and open files: one process a port from the first moment, and nobody waits unheard."""

import socket

import pytest

from heliograph.errors import PortBusyError, UsageError
from heliograph.serving.limits import Limits
from heliograph.serving.web.listening import allow_open_files, bind, bind_all, listen, turning_away
from heliograph.serving.web.runner import fit_to_open_files, run_server

SEVERAL = ("127.0.0.1", "127.0.0.2")


def has_address(family, address):
    """As the system says it, and not what is tested here."""
    try:
        with socket.socket(family) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


@pytest.fixture
def a_name_with_two_addresses(monkeypatch):
    """As localhost has where there is IPv6: the resolver says 127.0.0.1 and 127.0.0.2."""
    if not has_address(socket.AF_INET, SEVERAL[1]):
        pytest.skip("this machine has no second address on loopback")
    resolve_to(monkeypatch, *SEVERAL)


def resolve_to(monkeypatch, *addresses):
    real = socket.getaddrinfo

    def resolve(host, port, **options):
        return [info for address in addresses for info in real(address, port, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)


@pytest.fixture
def closing():
    opened = []
    yield opened.extend
    for one in opened:
        one.close()


def is_turned_away(address):
    with socket.socket() as device:
        device.settimeout(20)
        try:
            device.connect(address)
            return device.recv(1) == b""
        except ConnectionError:
            return True


def test_a_second_server_is_refused_before_it_loads_a_model():
    (bound,) = bind_all("127.0.0.1", 0)
    with bound, turning_away([bound]), pytest.raises(PortBusyError):
        run_server("127.0.0.1", bound.getsockname()[1], "no-such-model")


def test_two_that_have_only_bound_the_port_do_not_both_listen():
    first = bind("127.0.0.1", 0)
    second = bind("127.0.0.1", first.getsockname()[1])
    with first, second, turning_away([first]), pytest.raises(PortBusyError), turning_away([second]):
        pass


def test_devices_are_turned_away_at_once_while_the_model_loads_and_let_in_afterwards():
    (bound,) = bind_all("127.0.0.1", 0)
    with bound:
        with turning_away([bound]):
            assert all(is_turned_away(bound.getsockname()) for _ in range(200))
        with socket.socket() as device:
            device.connect(bound.getsockname())
            bound.setblocking(True)
            came, _ = bound.accept()
            came.sendall(b"x")
            assert device.recv(1) == b"x"
            came.close()


def test_turning_away_ends_when_loading_fails():
    (bound,) = bind_all("127.0.0.1", 0)
    with bound, pytest.raises(RuntimeError), turning_away([bound]):
        raise RuntimeError
    with bind_all("127.0.0.1", 0)[0] as again:
        listen(again)


@pytest.mark.usefixtures("a_name_with_two_addresses")
def test_a_name_is_bound_at_each_of_its_addresses(closing):
    bound = bind_all("both", 0)
    closing(bound)
    assert [one.getsockname()[0] for one in bound] == list(SEVERAL)
    assert len({one.getsockname()[1] for one in bound}) == 1


@pytest.mark.usefixtures("a_name_with_two_addresses")
@pytest.mark.parametrize("busy", SEVERAL)
def test_a_port_that_is_busy_at_one_address_of_a_name_is_busy(busy, closing):
    taken = socket.socket()
    closing([taken])
    taken.bind((busy, 0))
    listen(taken)
    with pytest.raises(PortBusyError):
        bind_all("both", taken.getsockname()[1])


def test_addresses_that_this_machine_lacks_are_passed_over(monkeypatch, closing):
    resolve_to(monkeypatch, "203.0.113.7", "127.0.0.1", "127.0.0.1")
    bound = bind_all("somewhere", 0)
    closing(bound)
    assert [one.getsockname()[0] for one in bound] == ["127.0.0.1"]


def test_both_protocols_of_localhost_are_served(closing):
    if not has_address(socket.AF_INET6, "::1"):
        pytest.skip("no IPv6 here")
    families = {info[0] for info in socket.getaddrinfo("localhost", 0, type=socket.SOCK_STREAM)}
    bound = bind_all("localhost", 0)
    closing(bound)
    assert {one.family for one in bound} == families


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host", "a" * 300, "x..y"])
def test_a_host_that_is_not_ours_is_named(host):
    for find in (bind, bind_all):
        with pytest.raises(PortBusyError):
            find(host, 0)


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_is_none_is_named(port):
    with pytest.raises(UsageError):
        bind_all("127.0.0.1", port)


@pytest.fixture
def few_files():
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield lambda soft, hard=before[1]: resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def test_the_soft_limit_of_open_files_is_raised_to_what_is_needed(few_files):
    few_files(200)
    assert allow_open_files(300) == 300
    import resource

    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 300 + 128


def test_a_server_bounds_itself_where_the_system_does(monkeypatch):
    monkeypatch.setattr("heliograph.serving.web.runner.allow_open_files", lambda wanted: min(wanted, 100))
    said = []
    limits = fit_to_open_files(Limits(max_sessions=64, max_ungreeted=256), said.append)
    assert (limits.max_sessions, limits.max_ungreeted, len(said)) == (64, 36, 1)
    limits = fit_to_open_files(Limits(max_sessions=500, max_ungreeted=256), said.append)
    assert (limits.max_sessions, limits.max_ungreeted, len(said)) == (75, 25, 2)
    limits = Limits(max_sessions=50, max_ungreeted=50)
    assert fit_to_open_files(limits, said.append) is limits
    assert len(said) == 2
