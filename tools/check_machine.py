"""Tell at once what is missing on this machine, before anything is installed. Runs on any Python 3."""

import importlib.util
import shutil
import sys

NEEDED_PYTHON = (3, 11)
NEEDED_DISK_GB = 5
NEEDED_MEMORY_GB = 4


def memory_gb():
    """Memory of this machine, or None where it cannot be told."""
    try:
        with open("/proc/meminfo") as lines:
            return next(int(line.split()[1]) for line in lines if line.startswith("MemTotal")) / 1024**2
    except (OSError, StopIteration):
        return None


def problems():
    """What has to be mended, one sentence each."""
    found = []
    if sys.version_info < NEEDED_PYTHON:
        found.append(
            "Python %d.%d is too old, 3.11 or newer is needed: make PYTHON=/path/to/python3.11 demo"
            % sys.version_info[:2]
        )
    if importlib.util.find_spec("venv") is None or importlib.util.find_spec("ensurepip") is None:
        found.append("Python's venv module is missing: install it (Debian and Ubuntu: apt-get install python3-venv)")
    if shutil.which("git") is None:
        found.append("git is missing: install it, stores record the commit they were made with")
    free = shutil.disk_usage(".").free / 1e9
    if free < NEEDED_DISK_GB:
        found.append("%.1f GB are free here, the environment and a demo need %d GB" % (free, NEEDED_DISK_GB))
    memory = memory_gb()
    if memory is not None and memory < NEEDED_MEMORY_GB * 0.9:
        found.append("this machine has %.1f GB of memory, the networks need %d GB" % (memory, NEEDED_MEMORY_GB))
    return found


if __name__ == "__main__":
    for problem in problems():
        sys.stderr.write("error: %s\n" % problem)
    sys.exit(1 if problems() else 0)
