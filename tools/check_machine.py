"""Tell at once what is missing on this machine, before anything is installed. Runs on any Python."""

import os
import sys

NEEDED_PYTHON = (3, 11)
NEEDED_DISK_GB = 5
NEEDED_MEMORY_GB = 4
# What a container or a batch job may use: of control groups, version 2 and version 1.
LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")


def memory_gb():
    """Memory that may be used here: that of the machine, or less where something limits it; None if nobody can say."""
    found = []
    try:
        with open("/proc/meminfo") as lines:
            found += [int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal")]
    except (OSError, ValueError):
        pass
    for limit in LIMITS:
        try:
            with open(limit) as file:
                found.append(int(file.read()))
        except (OSError, ValueError):
            pass
    try:
        import resource

        address_space = resource.getrlimit(resource.RLIMIT_AS)[0]
        found += [] if address_space == resource.RLIM_INFINITY else [address_space]
    except ImportError:
        pass
    return min(found) / 1024.0**3 if found else None


def problems():
    """What has to be mended, one sentence each."""
    if sys.version_info < NEEDED_PYTHON:
        return [
            "Python %d.%d is too old, 3.11 or newer is needed: make PYTHON=/path/to/python3.11 demo"
            % sys.version_info[:2]
        ]
    import importlib.util
    import shutil
    from pathlib import Path

    found = []
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        found.append("Python's venv module is missing: install it (Debian and Ubuntu: apt-get install python3-venv)")
    if shutil.which("git") is None:
        found.append("git is missing: install it, stores record the commit they were made with")
    if not os.access(".", os.W_OK):
        found.append("%s cannot be written to: clone into a folder of your own" % Path.cwd())
    free = shutil.disk_usage(".").free / 1e9
    if free < NEEDED_DISK_GB:
        found.append("%.1f GB are free here, the environment and a demo need %d GB" % (free, NEEDED_DISK_GB))
    memory = memory_gb()
    if memory is not None and memory < NEEDED_MEMORY_GB * 0.9:
        found.append("%.1f GB of memory may be used here, the networks need %d GB" % (memory, NEEDED_MEMORY_GB))
    return found


if __name__ == "__main__":
    mended_first = problems()
    for problem in mended_first:
        sys.stderr.write("error: %s\n" % problem)
    sys.exit(1 if mended_first else 0)
