"""Processes of this machine: which live, whose they are, what they use.

Read from /proc, with the standard library alone.
"""
import os
import socket
from pathlib import Path
from typing import Optional


def machine() -> str:
    """What tells apart places that number their processes on their own.

    Returns:
        str: Boot of the machine and name space of its processes, which a
        container has for itself; the name of the host where /proc is absent.
    """
    try:
        boot = Path('/proc/sys/kernel/random/boot_id').read_text().strip()
        return f'{boot} {os.readlink("/proc/self/ns/pid")}'
    except OSError:
        return socket.gethostname()


def process_start(pid: int) -> Optional[int]:
    """When a process of this machine started.

    Args:
        pid (int): Its number, which the kernel uses again for others.

    Returns:
        int | None: Ticks since the boot, None if there is no such process.
    """
    try:
        stat = Path(f'/proc/{pid}/stat').read_bytes()
    except OSError:
        return None
    fields = stat.rpartition(b')')[2].split()
    # A zombie does nothing any more.
    return None if fields[0] == b'Z' else int(fields[19])


def _family(root: int) -> list[int]:
    """A process, its descendants, and all of its session."""
    parents: dict[int, int] = {}
    found = {root}
    for entry in os.scandir('/proc'):
        if not entry.name.isdigit():
            continue
        try:
            stat = Path(entry.path, 'stat').read_bytes()
        except OSError:
            continue
        fields = stat.rpartition(b')')[2].split()
        pid = int(entry.name)
        parents[pid] = int(fields[1])
        if int(fields[3]) == root:
            found.add(pid)
    grown = True
    while grown:
        more = {pid for pid, parent in parents.items() if parent in found}
        grown = not more <= found
        found |= more
    return sorted(found & parents.keys())


def end_processes(root: int, number: int) -> None:
    """Send a signal to a process, its descendants and its session.

    Ranks of a distributed training and loader workers may have sessions of
    their own.

    Args:
        root (int): The process, leader of a session.
        number (int): The signal.
    """
    for pid in _family(root):
        try:
            os.kill(pid, number)
        except OSError:
            continue


def memory_of(root: int) -> int:
    """Main memory of a process, its descendants and its session.

    Args:
        root (int): The process.

    Returns:
        int: Bytes. Pages that several of them share count once.
    """
    total = 0
    for pid in _family(root):
        try:
            text = Path(f'/proc/{pid}/smaps_rollup').read_text()
        except OSError:
            continue
        total += sum(int(line.split()[1]) * 1024
                     for line in text.splitlines() if line.startswith('Pss:'))
    return total
