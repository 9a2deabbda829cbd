from __future__ import annotations

import errno
import os
import socket

import pytest

from openturret.lab.workbench.errors import PortError
from openturret.lab.workbench.rights import TCP, UDP, Port, check_ports

HOST = "127.0.0.1"


def test_free_ports_are_no_problem() -> None:
    with socket.create_server((HOST, 0)) as taken:
        number = taken.getsockname()[1]
    check_ports(HOST, [Port("HTTPS", TCP, number), Port("TFTP", UDP, number)])


def test_every_taken_port_is_told_with_who_has_it() -> None:
    with (
        socket.create_server((HOST, 0)) as stream,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagram,
    ):
        datagram.bind((HOST, 0))
        ports = [Port("HTTPS", TCP, stream.getsockname()[1]),
                 Port("TFTP", UDP, datagram.getsockname()[1])]  # fmt: skip
        with pytest.raises(PortError) as refused:
            check_ports(HOST, ports)
    lines = str(refused.value).splitlines()
    assert [line.split(" needs ")[0] for line in lines] == ["HTTPS", "TFTP"]
    assert all(f"(process {os.getpid()})" in line for line in lines)


def test_an_address_that_is_not_ours_is_told() -> None:
    with pytest.raises(PortError, match=r"TCP 1024 on 192\.0\.2\.77"):
        check_ports("192.0.2.77", [Port("HTTPS", TCP, 1024)])


def test_what_is_not_allowed_is_told_in_one_sentence_with_the_remedy(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def forbidden(_self: socket.socket, _address: tuple[str, int]) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(socket.socket, "bind", forbidden)
    with pytest.raises(PortError) as refused:
        check_ports(HOST, [Port("TFTP", UDP, 69), Port("HTTPS", TCP, 443)])
    assert str(refused.value).startswith("TFTP needs UDP 69, HTTPS needs TCP 443: CAP_NET_BIND_S")
    assert "sudo" in str(refused.value)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="this machine has no IPv6")
def test_who_listens_on_ipv6_and_ipv4_together_is_found() -> None:
    with socket.create_server(("", 0), family=socket.AF_INET6, dualstack_ipv6=True) as taken:
        port = Port("HTTPS", TCP, taken.getsockname()[1])
        with pytest.raises(PortError, match=rf"process {os.getpid()}\)"):
            check_ports(HOST, [port])
