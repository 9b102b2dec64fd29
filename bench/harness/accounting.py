# SPDX-License-Identifier: Apache-2.0
"""What /proc says of the processes under load."""

import os
import time

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


def family(pid):
    """The process and all its descendants."""
    members, waiting = [], [pid]
    while waiting:
        current = waiting.pop()
        members.append(current)
        try:
            for task in os.listdir(f"/proc/{current}/task"):
                with open(f"/proc/{current}/task/{task}/children") as children:
                    waiting += [int(child) for child in children.read().split()]
        except FileNotFoundError:
            continue
    return members


def cpu_seconds(pid):
    """utime + stime of the process and all its descendants."""
    total = 0
    for member in family(pid):
        try:
            with open(f"/proc/{member}/stat") as stat:
                fields = stat.read().rpartition(")")[2].split()
        except FileNotFoundError:
            continue
        total += int(fields[11]) + int(fields[12])
    return total / _TICK


def machine_cpu_seconds():
    """CPU seconds that the whole machine has used, those included that its hypervisor gave to others."""
    with open("/proc/stat") as stat:
        user, nice, system, _, _, irq, softirq, steal = (int(word) for word in stat.readline().split()[1:9])
    return (user + nice + system + irq + softirq + steal) / _TICK


def user_memory(pid):
    """(RSS, PSS) in bytes, of the process and all its descendants."""
    rss = pss = 0
    for member in family(pid):
        try:
            with open(f"/proc/{member}/smaps_rollup") as rollup:
                for line in rollup:
                    if line.startswith("Rss:"):
                        rss += int(line.split()[1]) * 1024
                    elif line.startswith("Pss:"):
                        pss += int(line.split()[1]) * 1024
        except FileNotFoundError:
            continue
    return rss, pss


def settled_kernel_memory(patience=6):
    """kernel_memory() once it has stopped falling: sockets are freed some time after they are closed."""
    deadline = time.monotonic() + patience
    last = kernel_memory()
    while time.monotonic() < deadline:
        time.sleep(0.4)
        now = kernel_memory()
        if now > last - 128 * 1024:
            return now
        last = now
    return last


def kernel_memory():
    """Bytes of the whole machine's slab caches and socket buffers."""
    slab = 0
    with open("/proc/meminfo") as meminfo:
        for line in meminfo:
            if line.startswith("Slab:"):
                slab = int(line.split()[1]) * 1024
    with open("/proc/net/sockstat") as sockstat:
        for line in sockstat:
            if line.startswith("TCP:"):
                words = line.split()
                return slab + int(words[words.index("mem") + 1]) * _PAGE
    return slab
