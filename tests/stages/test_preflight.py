"""What cannot succeed is refused before any job, with the key to change."""

import shutil

import jax
import pytest

from sluguq.config import ConfigurationError, resolve
from sluguq.networks.vae import VAE, VAESettings
from sluguq.stages.preflight import check_disk, check_experiment, known_counts, weight_count


def experiment(**changes):
    base = {
        "experiment": "test",
        "datasets": {"skin": {"source": "phantom", "counts": {1: 20, 2: 20, 5: 20, 6: 20}}},
        "training_dataset": "skin",
        "images": {"size": 32},
        "split": {"train_images": 20, "test_images": 10},
        "model": {"width": 4, "depth": 2, "latent_channels": 4},
        "training": {"batch_size": 8},
    }
    return resolve({**base, **changes})


def test_a_possible_experiment_passes():
    check_experiment(experiment())


def test_groups_too_small_are_told_with_numbers():
    with pytest.raises(ConfigurationError, match=r"group 'dark' \(FST 5, 6\) has 40 images.*need 45"):
        check_experiment(experiment(split={"train_images": 35, "test_images": 10}))
    check_experiment(experiment(split={"train_images": 35, "test_images": 10, "replacement": True}))
    check_experiment(experiment(split={"train_images": 35, "test_images": 10, "shortage": "repeat"}))


def test_a_rank_beyond_the_weights_is_refused():
    weights = weight_count(experiment().model)["all"]
    check_experiment(experiment(eigenbasis={"rank": weights}))
    with pytest.raises(ConfigurationError, match=rf"eigenbasis.rank: {weights + 1} exceeds the {weights:,} weights"):
        check_experiment(experiment(eigenbasis={"rank": weights + 1}))


def test_a_sketch_shorter_than_the_run_of_lanczos_is_refused():
    sketched = {"method": "sketched", "rank": 20}
    check_experiment(experiment(eigenbasis={**sketched, "sketch_size": 50}))
    with pytest.raises(ConfigurationError, match=r"eigenbasis.sketch_size: 49 is too short.*at least 50"):
        check_experiment(experiment(eigenbasis={**sketched, "sketch_size": 49}))
    check_experiment(experiment(eigenbasis={"rank": 20, "sketch_size": 49}))


FULL_SIZE = {"images": {"size": 128}, "model": {"width": 64, "depth": 4, "latent_channels": 64}}


@pytest.mark.parametrize(
    ("keep", "kept", "removed", "gigabytes"),
    # A model's store and its vectors in a file are 5.0 GB each, two files of 110 Lanczos vectors 44.4 GB.
    [("all", 30, 0, 200.75), ("first_seed", 3, 27, 69.61), ("until_scored", 0, 30, 54.47), ("all", 0, 0, 0)],
)
def test_a_disk_that_cannot_hold_all_eigenbases_is_refused(monkeypatch, tmp_path, keep, kept, removed, gigabytes):
    wanted = experiment(eigenbasis={"rank": 50, "dtype": "bfloat16", "keep": keep}, **FULL_SIZE)
    free = 0
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: type("Usage", (), {"free": free}))

    def check():
        return check_disk(wanted, tmp_path / "results" / "not there yet", kept=kept, removed=removed)

    if not kept + removed:
        assert check() == ""
        return
    free = int((gigabytes + 0.01) * 1e9)
    assert f"{kept * 5.04396:.1f} GB stay for {kept} models (eigenbasis.keep: {keep})" in check()
    free = int((gigabytes - 0.01) * 1e9)
    with pytest.raises(ConfigurationError, match="cannot hold the eigenbases"):
        check()


def test_the_disk_of_interrupted_runs_counts_as_free(monkeypatch, tmp_path):
    wanted = experiment(eigenbasis={"rank": 3})
    # Two files of 40 Lanczos vectors, and three vectors in the store, all float32.
    needed = (2 * 40 + 3) * 4 * weight_count(wanted.model)["all"]
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: type("Usage", (), {"free": 0}))
    with pytest.raises(ConfigurationError):
        check_disk(wanted, tmp_path, kept=1, removed=0)
    state = tmp_path / "eigenbases" / "A" / ".seed-0-0123456789ab" / "lanczos.npz"
    state.parent.mkdir(parents=True)
    state.write_bytes(bytes(range(256)) * (needed // 512))
    with pytest.raises(ConfigurationError):
        check_disk(wanted, tmp_path, kept=1, removed=0)
    state.write_bytes(bytes(range(256)) * (needed // 256 + 1))
    assert check_disk(wanted, tmp_path, kept=1, removed=0) == ""


@pytest.mark.parametrize(
    "model",
    [
        {"width": 4, "depth": 2, "latent_channels": 4},
        {"width": 6, "depth": 3, "latent_channels": 5, "normalisation": "group", "bottleneck_blocks": 2},
        {"width": 4, "depth": 1, "latent_channels": 3, "normalisation": "none", "bottleneck_blocks": 0},
        {"width": 64, "depth": 4, "latent_channels": 64},
    ],
)
def test_counted_weights_are_those_of_the_network(model):
    settings = VAESettings(image_size=64, **model)
    weights = jax.eval_shape(lambda: VAE(settings, seed=None).split()[0])
    counted = {name: sum(leaf.size for leaf in jax.tree.leaves(part)) for name, part in weights.items()}
    expected = {"all": sum(counted.values()), "decoder": counted["decoder"]}
    assert weight_count(experiment(images={"size": 64}, model=model).model) == expected


def test_counts_of_a_folder_come_from_its_table(tmp_path):
    (tmp_path / "labels.csv").write_text("file;skin\na.jpg;II\nb.jpg;5.0\nc.jpg;\nd.jpg;pink\n")
    options = {
        "source": "folder",
        "folder": str(tmp_path),
        "separator": ";",
        "columns": {"file": "file", "fst": "skin"},
    }
    counts = known_counts(experiment(datasets={"skin": options}).datasets["skin"])
    assert dict(counts) == {2: 1, 5: 1, -1: 1}
    with pytest.raises(ConfigurationError, match=r"group 'light' \(FST 1, 2\) has 1 image,") as error:
        check_experiment(experiment(datasets={"skin": options}))
    assert "1 rows of its table have no skin type that can be read, the first: row 5 of labels.csv: 'pink'" in str(
        error.value
    )
