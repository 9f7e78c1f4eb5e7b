"""How much memory there is, and how much of it a process may have."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Optional

_CGROUP_LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def limit_memory(size_bytes: int) -> None:
    """Let this process write to no more than so many bytes of memory, where the system can hold it to that."""
    try:
        import resource
    except ImportError:  # not on Windows
        return
    # Not RLIMIT_AS: drivers and thread pools reserve far more addresses than they ever write to.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    wanted = size_bytes if hard == resource.RLIM_INFINITY else min(size_bytes, hard)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_DATA, (wanted, hard))


def peak_bytes() -> Optional[int]:
    """Return the most memory that this process has held so far; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # not on Windows
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def machine_bytes() -> float:
    """Return the memory that this process can have: the machine's, or its container's."""
    sizes = [float(os.sysconf("SC_PAGE_SIZE")) * os.sysconf("SC_PHYS_PAGES")]
    for path in _CGROUP_LIMITS:
        with contextlib.suppress(OSError, ValueError):
            sizes.append(float(Path(path).read_text().strip()))
    return min(sizes)
