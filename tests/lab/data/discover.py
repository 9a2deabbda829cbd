"""Sends one DHCPDISCOVER out of eth0 and prints the options of the OFFER as JSON."""

import json
import socket
import struct
import sys

mac = bytes.fromhex(sys.argv[1].replace(":", ""))
header = struct.pack("!BBBBIHH16s", 1, 1, 6, 0, 0x0D15C0, 0, 0x8000, b"")
message = header + mac.ljust(16, b"\0") + bytes(192) + b"\x63\x82\x53\x63"
message += (
    b"\x35\x01\x01" + b"\x3c\x0aOpenTurret" + bytes([55, 7, 3, 6, 15, 43, 66, 67, 150]) + b"\xff"
)

with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    client.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"eth0")
    client.bind(("", 68))
    client.settimeout(5)
    client.sendto(message, ("255.255.255.255", 67))
    reply = client.recv(2048)

options, position = {}, 240
while reply[position] != 255:
    code, length = reply[position], reply[position + 1]
    options[code] = reply[position + 2 : position + 2 + length].hex()
    position += 2 + length
sys.stdout.write(json.dumps({"address": socket.inet_ntoa(reply[16:20]), "options": options}))
