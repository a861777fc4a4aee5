"""Results in a remote store, by options alone: here a folder through Snakemake's file system plugin."""

import shutil

import pytest
from tests.workflow.conftest import copy_checkout

from sluguq.store import open_store

pytestmark = [
    pytest.mark.workflow,
    pytest.mark.skipif(shutil.which("rsync") is None, reason="the storage plugin needs rsync: apt-get install rsync"),
]


def test_results_go_to_the_store_and_are_read_from_there(tmp_path):
    checkout = copy_checkout(tmp_path / "my checkout")
    remote = tmp_path / "remote"
    # fmt: off
    options = (
        "--default-storage-provider", "fs", "--default-storage-prefix", str(remote),
        "--shared-fs-usage", "persistence", "software-deployment", "sources", "source-cache",
    )
    # fmt: on
    checkout.snakemake("results/tiny/splits/seed-0.csv", *options)
    split = remote / "results" / "tiny" / "splits" / "seed-0.csv"
    assert split.read_text().startswith("id,role")
    assert not checkout.results.exists()
    assert not (checkout.folder / "data").exists()
    images = open_store(remote / "data" / "images" / "skin-32px.zarr")
    assert images.pixels.shape == (59, 32, 32, 3)
    assert images.attrs["commit"]
    run = checkout.snakemake("results/tiny/splits/seed-0.csv", *options)
    assert "Nothing to be done" in run.stdout + run.stderr
