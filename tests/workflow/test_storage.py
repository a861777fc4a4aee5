"""Results in remote storage, by options alone: in a folder elsewhere and in a bucket, by Snakemake's own plugins."""

import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from sluguq.stores.store import StoreError, open_store
from tests.workflow.conftest import Checkout, copy_checkout

pytestmark = pytest.mark.workflow

SPLIT = "results/tiny/splits/seed-0.csv"


@pytest.fixture
def checkout(tmp_path) -> Checkout:
    return copy_checkout(tmp_path / "my checkout")


def _run(checkout: Checkout, provider: str, prefix: str) -> str:
    """Split the images with all outputs under the prefix; what Snakemake said."""
    # fmt: off
    run = checkout.snakemake(
        SPLIT, "--default-storage-provider", provider, "--default-storage-prefix", prefix,
        "--shared-fs-usage", "persistence", "software-deployment", "sources", "source-cache",
    )
    # fmt: on
    return run.stdout + run.stderr


def _check_images(address: str | Path) -> None:
    """That a store of images is there and can be read in place."""
    images = open_store(address)
    assert images.pixels.shape == (59, 32, 32, 3)
    assert images.pixels[-1].std() > 0
    assert images.attrs["commit"]


@pytest.mark.skipif(shutil.which("rsync") is None, reason="the storage plugin needs rsync: apt-get install rsync")
def test_results_go_to_a_folder_elsewhere_and_are_read_from_there(checkout, tmp_path):
    remote = tmp_path / "remote"
    _run(checkout, "fs", str(remote))
    assert (remote / SPLIT).read_text().startswith("id,role")
    assert not checkout.results.exists()
    assert not (checkout.folder / "data").exists()
    _check_images(remote / "data" / "images" / "skin-32px.zarr")
    assert "Nothing to be done" in _run(checkout, "fs", str(remote))


def test_results_go_to_a_bucket_and_are_read_from_there(checkout, bucket):
    import s3fs

    _run(checkout, "s3", f"{bucket}/of sluguq")
    with s3fs.S3FileSystem().open(f"{bucket}/of sluguq/{SPLIT}", "r") as split:
        assert split.readline() == "id,role\n"
    assert not checkout.results.exists()
    assert not (checkout.folder / "data").exists()
    _check_images(f"{bucket}/of sluguq/data/images/skin-32px.zarr")
    with pytest.raises(StoreError, match=r"there is no store at s3://photographs/other\.zarr"):
        open_store(f"{bucket}/other.zarr")
    assert "Nothing to be done" in _run(checkout, "s3", f"{bucket}/of sluguq")


def test_the_profile_of_kubernetes_plans_the_whole_experiment(checkout, bucket):
    if importlib.util.find_spec("snakemake_executor_plugin_kubernetes") is None:
        pytest.skip("no snakemake_executor_plugin_kubernetes: make plugins")
    jobs = checkout.planned(
        "--workflow-profile", "profiles/kubernetes", "--storage-s3-endpoint-url", os.environ["AWS_ENDPOINT_URL"]
    )
    assert (jobs["acquire"], jobs["train"], jobs["score"]) == (2, 2, 6)
