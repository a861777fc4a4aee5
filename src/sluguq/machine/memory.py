"""How much memory this process may take: the machine's, or what its control group allows."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path


def host_memory_bytes(root: str | os.PathLike[str] = "/") -> int:
    """Memory of the machine in bytes, less where a control group (a container, a Slurm job) allows less.

    A group's limit holds for all groups within it, so those from the process's own up to the topmost are asked, of
    version 2 (`memory.max`) and of version 1 (`memory.limit_in_bytes`).

    :param root: folder in which `proc/self` and the control groups are looked for.
    """
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return min([total, *_limits(Path(root))])


def _limits(root: Path) -> Iterator[int]:
    mounts = list(_mounts(root))
    for line in _lines(root / "proc/self/cgroup"):
        _, controllers, group = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        kind, name = ("cgroup", "memory.limit_in_bytes") if controllers else ("cgroup2", "memory.max")
        for mounted, top, folder in mounts:
            if mounted == kind:
                yield from _limits_upwards(root / folder.lstrip("/"), _below(group, top), name)


def _mounts(root: Path) -> Iterator[tuple[str, str, str]]:
    """Kind, topmost group and folder of every mounted hierarchy that may limit memory."""
    for line in _lines(root / "proc/self/mountinfo"):
        place, _, system = line.partition(" - ")
        kind, _, options = system.split(" ", 2)
        if kind == "cgroup2" or (kind == "cgroup" and "memory" in options.split(",")):
            yield kind, place.split(" ")[3], place.split(" ")[4]


def _below(group: str, top: str) -> str:
    """A group's path from the mounted one on; empty where it lies outside, as seen from within some containers."""
    inside = os.path.relpath(group, top)
    return "" if inside == "." or inside.startswith("..") else inside


def _limits_upwards(mount: Path, group: str, name: str) -> Iterator[int]:
    folder = mount / group
    while True:
        for text in _lines(folder / name):
            if text.isdecimal():  # version 2 says "max" where there is no limit, version 1 an enormous number
                yield int(text)
        if folder == mount:
            return
        folder = folder.parent


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError:  # no such file: not Linux, or the topmost group
        return []
