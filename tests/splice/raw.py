# SPDX-License-Identifier: Apache-2.0
"""TCP segments that no socket would send."""

import socket
import struct


def segment(source, destination, sequence, flags, acknowledgment=1, data=b""):
    """An IPv4 packet; source and destination are (address, port)."""
    addresses = socket.inet_aton(source[0]) + socket.inet_aton(destination[0])
    head = struct.pack("!HHIIBBHHH", source[1], destination[1], sequence, acknowledgment, 5 << 4, flags, 1000, 0, 0)
    body = addresses + struct.pack("!HH", 6, len(head) + len(data)) + head + data
    body += b"\0" * (len(body) % 2)
    total = sum(struct.unpack(f"!{len(body) // 2}H", body))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    head = head[:16] + struct.pack("!H", ~total & 0xFFFF) + head[18:]
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(head) + len(data), 0, 0x4000, 64, 6, 0) + addresses + head + data


def raw_socket(lab, host):
    return lab.inside(host, lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW))
