# SPDX-License-Identifier: Apache-2.0
"""What /proc says of the processes under load."""

import ctypes
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


def settled_kernel_memory(patience=6, look=None):
    """kernel_memory() once it has stopped falling: sockets are freed some time after they are closed."""
    look = look or kernel_memory
    deadline = time.monotonic() + patience
    last = look()
    while time.monotonic() < deadline:
        time.sleep(0.4)
        now = look()
        if now > last - 128 * 1024:
            return now
        last = now
    return last


def kernel_memory():
    """Bytes of the whole machine's slab caches and socket buffers."""
    slab = _meminfo("Slab")
    with open("/proc/net/sockstat") as sockstat:
        for line in sockstat:
            if line.startswith("TCP:"):
                words = line.split()
                return slab + int(words[words.index("mem") + 1]) * _PAGE
    return slab


def _meminfo(field):
    with open("/proc/meminfo") as meminfo:
        for line in meminfo:
            if line.startswith(field + ":"):
                return int(line.split()[1]) * 1024
    raise RuntimeError(f"/proc/meminfo has no {field}")


def _give_back():
    """Has the kernel give back what its caches hold in reserve, so that a difference is what is in use."""
    for cache in os.scandir("/sys/kernel/slab") if os.path.isdir("/sys/kernel/slab") else []:
        if cache.is_symlink():
            continue
        try:
            with open(os.path.join(cache.path, "shrink"), "w") as shrink:
                shrink.write("1")
        except OSError:
            pass
    try:
        with open("/proc/sys/vm/stat_refresh") as refresh:
            refresh.read()
    except OSError:
        pass


def exact_kernel_memory():
    """kernel_memory() without reserves."""
    _give_back()
    return kernel_memory()


def settled_exact_kernel_memory():
    return settled_kernel_memory(patience=10, look=exact_kernel_memory)


_libc = ctypes.CDLL(None, use_errno=True)
_BPF = {"x86_64": 321, "aarch64": 280}[os.uname().machine]
_BPF_OBJ_GET = 7


def map_memory(directory):
    """Bytes that the kernel says each eBPF map takes that is pinned below `directory`, by its name."""
    found = {}
    for path, _, names in os.walk(directory):
        for name in names if os.path.basename(path) != "links" else []:
            pathname = ctypes.create_string_buffer(os.path.join(path, name).encode())
            attributes = (ctypes.c_uint64 * 4)(ctypes.addressof(pathname))
            fd = _libc.syscall(_BPF, _BPF_OBJ_GET, ctypes.byref(attributes), ctypes.sizeof(attributes))
            if fd < 0:
                continue
            try:
                with open(f"/proc/self/fdinfo/{fd}") as info:
                    found[name] = next((int(line.split()[1]) for line in info if line.startswith("memlock:")), 0)
            finally:
                os.close(fd)
    return found
