"""What a server fails to give is asked for again by the next plain run, until images are drawn from what there is."""

from __future__ import annotations

import pytest

from sluguq.stores.tables import read_images, read_missing
from tests.datasets.misbehaving import Server, picture
from tests.workflow.conftest import copy_checkout

pytestmark = pytest.mark.workflow

ADAPTER = """
from pathlib import Path

from sluguq.config.sources import Downloads
from sluguq.datasets.base import Acquired
from sluguq.datasets.download import Downloader, Request


def collect(options, raw_folder):
    acquired = Acquired()
    wanted = [
        Request(f"{options['root']}/{number}.jpg", Path(raw_folder) / f"{number}.jpg", picture=True)
        for number in range(12)
    ]
    with Downloader(Downloads(attempts=1, requests_per_second=1000)) as downloader:
        failures = downloader.fetch_all(wanted)
    for number, request in enumerate(wanted):
        if request.target in failures:
            acquired.lose(failures[request.target], id=str(number), url=request.url)
        else:
            acquired.images.append({"id": str(number), "file": str(request.target), "fst": 1 + 4 * (number % 2)})
    return acquired
"""

EXPERIMENT = """
experiment: own
datasets:
  clinic: {{source: own, adapter: clinic.py, options: {{root: "{root}"}}}}
training_dataset: clinic
configurations: {{A: {{light: 0.5, dark: 0.5}}}}
seeds: 1
images: {{size: 32}}
split: {{train_images: 4, test_images: 1}}
model: {{width: 4, depth: 2, latent_channels: 4}}
training: {{epochs: 2, batch_size: 4, perceptual_weight: 0.0}}
eigenbasis: {{rank: 3}}
score: {{probes: 8}}
artefacts: {{images: 0}}
"""

SPLIT = "results/own/splits/seed-0.csv"
IMAGES = "data/raw/clinic/images.csv"


@pytest.fixture
def server():
    server = Server()
    server.files |= {f"/{number}.jpg": picture(number) for number in range(12)}
    yield server
    server.http.shutdown()
    server.http.server_close()


def test_losses_to_a_server_are_asked_for_again_until_images_are_drawn(server, tmp_path):
    checkout = copy_checkout(tmp_path / "checkout")
    (checkout.folder / "clinic.py").write_text(ADAPTER)
    (checkout.folder / "config" / "tiny.yaml").write_text(EXPERIMENT.format(root=server.root))
    raw = checkout.folder / "data/raw/clinic"
    server.always |= {"/1.jpg": "404", "/2.jpg": "503", "/3.jpg": "503"}

    def lost() -> set[str]:
        return set(read_missing(raw / "missing.csv")["id"])

    run = checkout.snakemake("prepared")
    assert lost() == {"1", "2", "3"}
    assert "datasets.clinic: a server failed to give some images" in run.stdout
    assert "the next run asks again" in run.stdout
    # One is healed.
    del server.always["/2.jpg"]
    asked = len(server.requests)
    checkout.snakemake("prepared")
    assert lost() == {"1", "3"}
    assert len(server.requests) == asked + 3, "what was had is not asked for again"
    # Images are drawn from what there is.
    assert checkout.planned(SPLIT)["acquire"] == 1
    run = checkout.snakemake(SPLIT)
    assert f"--forcerun {IMAGES} asks again" in run.stdout
    assert checkout.planned(SPLIT) == {}
    # All is healed, and nobody asks before being told.
    server.always.clear()
    asked = len(server.requests)
    assert "Nothing to be done" in checkout.snakemake(SPLIT).stderr
    assert len(server.requests) == asked
    run = checkout.snakemake(SPLIT, "--forcerun", IMAGES)
    assert lost() == set()
    assert len(read_images(raw / "images.csv")) == 12
    assert "a server failed" not in run.stdout
    assert checkout.planned(SPLIT) == {}
