"""A Slurm of one node on loopback: munged, slurmctld and slurmd, with GPUs that are only counted.

Needs root and Debian's slurmctld, slurmd, slurm-client and munge. All its files lie in one temporary folder;
besides, three links appear in /etc/slurm while it runs, since the executor plugin clears SLURM_CONF for the steps
of a job.
"""

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel", "sinfo")
SYSTEM = Path("/etc/slurm")
FILES = ("slurm.conf", "gres.conf", "cgroup.conf")


def why_not() -> str:
    """Why no private Slurm can be started here, in words; empty where it can."""
    missing = [program for program in PROGRAMS if shutil.which(program, path=_path()) is None]
    if missing:
        return f"no {', '.join(missing)}: apt-get install slurmctld slurmd slurm-client munge"
    if os.getuid() != 0:
        return "starting slurmctld and slurmd needs root"
    if any((SYSTEM / name).exists() for name in FILES):
        return f"{SYSTEM} is in use: this machine has a Slurm of its own"
    return ""


def _path() -> str:
    return os.environ.get("PATH", "") + ":/usr/sbin:/sbin"


class PrivateSlurm:
    """Use it as a context manager; `scontrol` and its like then speak to this Slurm.

    Args:
        cpus: CPUs that Slurm believes the node to have.
        gpus: GPUs that it hands out.
    """

    def __init__(self, *, cpus: int, gpus: int):
        self._cpus, self._gpus = cpus, gpus
        self._host = socket.gethostname().split(".")[0]

    def __enter__(self) -> "PrivateSlurm":
        # Not pytest's folder: the path of a socket has at most 107 characters.
        self.folder = Path(tempfile.mkdtemp(prefix="slurm-"))
        self.folder.chmod(0o755)
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _start(self) -> None:
        for name in ("state", "spool"):
            (self.folder / name).mkdir()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o600)
        for name, text in zip(FILES, (self._slurm_conf(), self._gres_conf(), self._cgroup_conf()), strict=True):
            (self.folder / name).write_text(text)
            SYSTEM.mkdir(exist_ok=True)
            (SYSTEM / name).symlink_to(self.folder / name)
        at = f"{self.folder}/munge"
        self._run(
            "munged",
            f"--key-file={key}",
            f"--socket={at}.socket",
            f"--pid-file={self.folder}/munged.pid",
            f"--log-file={at}.log",
            f"--seed-file={at}.seed",
        )
        self._run("slurmctld", "-i")
        self._run("slurmd")
        deadline = time.monotonic() + 60
        while self.ask("sinfo", "-h", "-o", "%t") != "idle":
            if time.monotonic() > deadline:
                logs = "\n".join(file.read_text()[-2000:] for file in self.folder.glob("*.log"))
                raise RuntimeError(f"Slurm did not come up:\n{logs}")
            time.sleep(0.2)

    def _stop(self) -> None:
        if (self.folder / "slurmctld.pid").exists():
            self._run("scancel", "--user=root", check=False)
        for program in ("slurmd", "slurmctld", "munged"):
            file = self.folder / f"{program}.pid"
            if not file.exists():
                continue
            process = int(file.read_text())
            os.kill(process, signal.SIGTERM)
            deadline = time.monotonic() + 10
            while Path(f"/proc/{process}").exists() and time.monotonic() < deadline:
                time.sleep(0.1)
        for name in FILES:
            if (SYSTEM / name).is_symlink() and (SYSTEM / name).readlink() == self.folder / name:
                (SYSTEM / name).unlink()
        shutil.rmtree(self.folder, ignore_errors=True)

    def _run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("SLURM_", "SBATCH_"))}
        done = subprocess.run(command, env={**kept, "PATH": _path()}, capture_output=True, text=True, check=False)
        if check and done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stdout}{done.stderr}")
        return done

    def ask(self, *command: str) -> str:
        """What a Slurm command prints, or an empty string where it fails."""
        return self._run(*command, check=False).stdout.strip()

    def jobs(self, rule: str) -> list[str]:
        """Numbers of the running Slurm jobs of a rule."""
        rows = self.ask("squeue", "-h", "-t", "RUNNING", "-o", "%i %k").splitlines()
        return [row.split()[0] for row in rows if re.search(rf"\brule_{rule}(_wildcards|$)", row)]

    def _slurm_conf(self) -> str:
        # Ports that were free a moment ago.
        sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
        controller, node = (opened.getsockname()[1] for opened in sockets)
        for opened in sockets:
            opened.close()
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20
        return f"""
ClusterName=private
SlurmctldHost={self._host}(127.0.0.1)
SlurmctldPort={controller}
SlurmdPort={node}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={self.folder}/munge.socket
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
StateSaveLocation={self.folder}/state
SlurmdSpoolDir={self.folder}/spool
SlurmctldPidFile={self.folder}/slurmctld.pid
SlurmdPidFile={self.folder}/slurmd.pid
SlurmctldLogFile={self.folder}/slurmctld.log
SlurmdLogFile={self.folder}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
KillWait=20
MinJobAge=3600
SchedulerType=sched/backfill
SchedulerParameters=bf_interval=2,sched_interval=2,batch_sched_delay=0
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
AccountingStorageType=accounting_storage/none
GresTypes=gpu
SlurmdParameters=config_overrides
NodeName={self._host} NodeAddr=127.0.0.1 CPUs={self._cpus} RealMemory={memory} Gres=gpu:{self._gpus} State=UNKNOWN
PartitionName=main Nodes={self._host} Default=YES MaxTime=INFINITE State=UP
"""

    def _gres_conf(self) -> str:
        lines = []
        for card in range(self._gpus):
            # A card needs a character device: this one is a /dev/null under another name.
            device = self.folder / f"card{card}"
            os.mknod(device, 0o666 | 0o020000, os.makedev(1, 3))
            lines.append(f"NodeName={self._host} Name=gpu File={device}\n")
        return "".join(lines)

    def _cgroup_conf(self) -> str:
        # Where no cgroup file system is mounted, slurmd before 23.11 dies unless a version is named.
        version = re.search(r"(\d+)\.(\d+)", self._run("slurmd", "-V").stdout)
        assert version
        old = (int(version[1]), int(version[2])) < (23, 11)
        return f"CgroupPlugin={'cgroup/v1' if old else 'disabled'}\n"
