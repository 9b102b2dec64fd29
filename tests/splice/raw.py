# SPDX-License-Identifier: Apache-2.0
"""TCP segments that no socket would send."""

import socket
import struct

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
TCP_REPAIR, TCP_REPAIR_QUEUE, TCP_QUEUE_SEQ = 19, 20, 21
RECEIVED, SENT = 1, 2
ETH_P_IP = 0x0800


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


def numbers(sock):
    """The sequence number that the socket sends next, and the one that it waits for."""
    found = []
    reuse = sock.getsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR)
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    for which in (SENT, RECEIVED):
        sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR_QUEUE, which)
        found.append(sock.getsockopt(socket.IPPROTO_TCP, TCP_QUEUE_SEQ) & 0xFFFFFFFF)
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, -1)  # without a window probe
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, reuse)  # repair mode has turned it off
    return tuple(found)


def forget(sock):
    """Closes without a word to the other end."""
    sock.setsockopt(socket.IPPROTO_TCP, TCP_REPAIR, 1)
    sock.close()


class Ear:
    """Hears the TCP segments that come to a host."""

    def __init__(self, lab, host):
        self.socket = lab.inside(host, lambda: socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(ETH_P_IP)))
        self.socket.settimeout(0.2)

    def wait_for(self, source, destination, wanted, attempts=25):
        """The first segment that `wanted(sequence, acknowledgment, flags, window)` accepts."""
        for _ in range(attempts):
            try:
                packet = self.socket.recv(65536)
            except TimeoutError:
                continue
            if packet[9] != socket.IPPROTO_TCP:
                continue
            at = (packet[0] & 15) * 4
            ports = struct.unpack("!HH", packet[at:at + 4])
            if (socket.inet_ntoa(packet[12:16]), ports[0]) != source or (socket.inet_ntoa(packet[16:20]), ports[1]) != destination:
                continue
            sequence, acknowledgment, _, flags, window = struct.unpack("!IIBBH", packet[at + 4:at + 16])
            if wanted(sequence, acknowledgment, flags, window):
                return sequence, acknowledgment, flags, window
        return None

    def close(self):
        self.socket.close()
