from __future__ import annotations

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
