"""What cannot succeed is refused before any job, with the key to change."""

import jax
import pytest

from sluguq.config import ConfigurationError, resolve
from sluguq.preflight import check_experiment, known_counts, weight_count
from sluguq.vae import VAE, VAESettings, split


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
    weights = jax.eval_shape(lambda: split(VAE(settings, seed=None))[0])
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
    with pytest.raises(ConfigurationError, match=r"group 'light' \(FST 1, 2\) has 1 images"):
        check_experiment(experiment(datasets={"skin": options}))
