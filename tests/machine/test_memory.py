"""Memory limits of control groups: both versions, nested, in containers; none where there is none."""

import os

import pytest

from sluguq.machine.memory import host_memory_bytes

MACHINE = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
V2 = "30 23 0:26 / /sys/fs/cgroup rw shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = (
    "31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755\n"
    "32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n"
    "35 31 0:32 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)
UNLIMITED = "9223372036854771712"


def machine(root, mounts, groups, files):
    """A root folder with what the kernel would show there."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/mountinfo").write_text("22 27 0:21 / /proc rw - proc proc rw\n" + mounts)
    (root / "proc/self/cgroup").write_text(groups)
    for name, text in files.items():
        file = root / "sys/fs/cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n")
    return root


def test_without_control_groups_it_is_the_machine(tmp_path):
    assert host_memory_bytes(tmp_path) == MACHINE
    groups = "0::/user.slice\n"
    assert host_memory_bytes(machine(tmp_path, V2, groups, {"user.slice/memory.max": "max"})) == MACHINE


@pytest.mark.parametrize("holder", ["slurm/job_7/step_0/task_0", "slurm/job_7", "slurm"])
def test_version_2_counts_every_group_above(tmp_path, holder):
    files = {f"{name}/memory.max": "max" for name in ("slurm", "slurm/job_7", "slurm/job_7/step_0")}
    files["other/memory.max"] = "1000"
    root = machine(tmp_path, V2, "0::/slurm/job_7/step_0/task_0\n", {**files, f"{holder}/memory.max": "4096000"})
    assert host_memory_bytes(root) == 4096000


def test_the_smallest_limit_counts(tmp_path):
    files = {"a/memory.max": "3000000", "a/b/memory.max": "5000000"}
    assert host_memory_bytes(machine(tmp_path, V2, "0::/a/b\n", files)) == 3000000


def test_version_1_beside_an_empty_version_2(tmp_path):
    files = {
        "memory/memory.limit_in_bytes": UNLIMITED,
        "memory/slurm/memory.limit_in_bytes": UNLIMITED,
        "memory/slurm/job_7/memory.limit_in_bytes": "8192000",
        "cpu/slurm/memory.limit_in_bytes": "1000",
    }
    groups = "5:memory:/slurm/job_7\n2:cpu,cpuacct:/slurm\n1:name=systemd:/\n0::/\n"
    assert host_memory_bytes(machine(tmp_path, V1, groups, files)) == 8192000


def test_a_container_sees_its_own_group_as_the_top(tmp_path):
    mounts = V1.replace("0:32 / ", "0:32 /docker/abc ")
    groups = "5:memory:/docker/abc\n"
    assert host_memory_bytes(machine(tmp_path, mounts, groups, {"memory/memory.limit_in_bytes": "8192000"})) == 8192000
