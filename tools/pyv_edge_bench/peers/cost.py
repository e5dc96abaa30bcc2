"""What a program has taken so far: processor time, memory, bytes written. Its children count too.

Processor time is user and system together, by the kernel's clock of each process and not by the
hundredths of a second that it shows elsewhere. Bytes are what it has made the kernel write to
a disk (`write_bytes` of /proc/PID/io), whole pages of it; on a tmpfs that is nothing.
"""

import re
import time
from dataclasses import dataclass
from pathlib import Path

import psutil


@dataclass(frozen=True)
class Cost:
    """The sums over a process and its children, from the start of each."""

    cpu_s: float
    written_bytes: int
    peak_mb: float  # of each process by itself, added up: pages that they share count twice

    @classmethod
    def of(cls, pid: int) -> "Cost":
        """Look at a process that runs. Raises RuntimeError if it has ended."""
        cpu_s, written_bytes, peak_mb = 0.0, 0, 0.0
        try:
            root = psutil.Process(pid)
            for process in (root, *root.children(recursive=True)):
                cpu_s += _cpu_s(process.pid)
                written_bytes += process.io_counters().write_bytes
                peak_mb += _peak_mb(process.pid)
            gone = root.cpu_times()
        except (psutil.NoSuchProcess, ProcessLookupError) as error:
            raise RuntimeError(f"process {pid}, or a child of it, has ended") from error
        return cls(cpu_s + gone.children_user + gone.children_system, written_bytes, peak_mb)


def _cpu_s(pid: int) -> float:
    # As clock_getcpuclockid(3) makes it, which Python has for its own threads only.
    try:
        return time.clock_gettime((~pid << 3) | 2)
    except OSError as error:
        raise ProcessLookupError(pid) from error


def _peak_mb(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0
