"""A copy of the checkout, in a path with a space, in which a tiny experiment has run once."""

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.places import ROOT

COPIED = ("Snakefile", "workflow", "profiles", "config", "scripts", "src")

TINY = """
experiment: tiny
datasets:
  skin: {source: phantom, counts: {1: 14, 2: 14, 3: 3, 5: 14, 6: 14}, size: 32}
  other: {source: phantom, counts: {3: 3, 6: 3}, seed: 1, size: 32}
training_dataset: skin
external_datasets: [other]
configurations: {A: {light: 1.0}, B: {light: 0.5, dark: 0.5}}
seeds: 1
images: {size: 32}
split: {train_images: 16, test_images: 6}
model: {width: 4, depth: 2, latent_channels: 4}
training: {epochs: 2, batch_size: 8, perceptual_weight: 0.0, samples: 4, snapshots: 2}
eigenbasis: {rank: 3, batch_size: 8}
score: {probes: 8}
artefacts: {images: 2, kinds: [ruler, patch]}
"""


# Networks this small gain nothing from a second thread; two jobs beside each other do.
SIDE_BY_SIDE = ("--resources", "gpu=2", "--set-threads", "train=1", "eigenbasis=1", "score=1")


# What the tests of S3 need besides.
S3_NEEDS = ("snakemake_storage_plugin_s3", "s3fs", "moto", "flask")


class Checkout:
    """A copy of the checkout and Snakemake in it."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.results = folder / "results" / "tiny"

    def snakemake(self, *arguments: str, check: bool = True, **options) -> subprocess.CompletedProcess:
        run = subprocess.run(
            self.command(*arguments),
            cwd=self.folder,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            **options,
        )
        if check:
            assert run.returncode == 0, run.stdout[-4000:] + run.stderr[-8000:]
        return run

    def command(self, *arguments: str) -> list[str]:
        return [sys.executable, "-m", "snakemake", *arguments, "--cores", "2", "--configfile", "config/tiny.yaml"]

    def planned(self, *arguments: str) -> dict[str, int]:
        """Jobs that a run would start, by rule."""
        out = self.snakemake("--dry-run", *arguments, "--quiet", "host").stdout
        jobs = {}
        if "Job stats:" in out:
            for line in out.split("Job stats:")[1].splitlines()[3:]:
                if not line.strip() or line.startswith("total"):
                    break
                name, count = line.split()
                jobs[name] = int(count)
        return jobs

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))


def environment() -> dict[str, str]:
    """The environment without what would lead to another checkout; one compilation cache for all runs."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "SNAKEMAKE_PROFILE")}
    return {**kept, "JAX_COMPILATION_CACHE_DIR": str(Path.home() / ".cache" / "sluguq-tests")}


def copy_checkout(folder: Path) -> Checkout:
    folder.mkdir(parents=True)
    for name in COPIED:
        source = ROOT / name
        if source.is_dir():
            shutil.copytree(source, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, folder / name)
    (folder / "config" / "tiny.yaml").write_text(TINY)
    return Checkout(folder)


@pytest.fixture(scope="session")
def finished(tmp_path_factory) -> Checkout:
    """A checkout in which the tiny experiment has run to its end; tests must leave it as it is."""
    checkout = copy_checkout(tmp_path_factory.mktemp("work") / "my checkout")
    checkout.snakemake(*SIDE_BY_SIDE)
    return checkout


@pytest.fixture
def copy_of_finished(finished, tmp_path) -> Checkout:
    """A copy of the finished checkout, for tests that change it."""
    shutil.copytree(finished.folder, tmp_path / "copy", symlinks=True)
    return Checkout(tmp_path / "copy")


@pytest.fixture
def bucket(monkeypatch) -> Iterator[str]:
    """Address of an empty bucket on a server on loopback that speaks S3's protocol."""
    lacking = [name for name in S3_NEEDS if importlib.util.find_spec(name) is None]
    if lacking:
        pytest.skip(f"no {', '.join(lacking)}: make plugins")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "anybody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nothing")
    yield "s3://photographs"
    server.stop()
