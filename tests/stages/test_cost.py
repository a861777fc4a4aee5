"""What an experiment will take: arithmetic that agrees with XLA's count, from the configuration alone."""

import json
import subprocess
import sys

import jax
import jax.numpy as jnp
import pytest

from sluguq.__main__ import main
from sluguq.config import load_experiment, resolve
from sluguq.config.experiment import Model, Perceptual
from sluguq.networks.network import reconstruction_function
from sluguq.networks.perceptual.features import load_perceptual
from sluguq.networks.vae import VAE, VAESettings
from sluguq.stages.arithmetic import forward_flop, perceptual_flop
from sluguq.stages.cost import DEVICES, cost_of, passes_for, rates_of, table_of
from tests.places import ROOT

SMALL = {
    "experiment": "small",
    "datasets": {
        "skin": {"source": "phantom", "counts": {1: 40, 6: 40}},
        "other": {"source": "phantom", "counts": {6: 30}},
    },
    "training_dataset": "skin",
    "external_datasets": ["other"],
    "seeds": 2,
    "images": {"size": 32},
    "split": {"train_images": 16, "test_images": 6},
    "model": {"width": 4, "depth": 2, "latent_channels": 4},
    "training": {"epochs": 3, "batch_size": 8, "perceptual_weight": 0.0},
    "eigenbasis": {"rank": 4},
    "score": {"probes": 8},
    "artefacts": {"images": 0},
}


@pytest.mark.parametrize(("size", "width", "depth", "blocks"), [(32, 4, 2, 1), (64, 3, 3, 1), (48, 6, 2, 0)])
def test_a_forward_pass_is_what_xla_counts(size, width, depth, blocks):
    """With up-sampling in four phases, as this few channels have it on every device."""
    settings = {"width": width, "depth": depth, "latent_channels": 8, "bottleneck_blocks": blocks}
    apply, params = reconstruction_function(VAE(VAESettings(image_size=size, **settings)))
    images = jnp.zeros((1, size, size, 3), jnp.uint8)
    counted = jax.jit(apply).lower(params, images).cost_analysis()["flops"]
    stated = forward_flop(Model(**settings), size)
    # XLA counts normalisation and activations, too.
    assert stated < counted < 1.35 * stated


@pytest.mark.parametrize("network", ["squeezenet1_1", "vgg19"])
def test_the_perceptual_network_is_what_its_layers_take(network):
    from sluguq.networks.perceptual.features import features

    loaded = load_perceptual(network, None, weights="random")
    images = jnp.zeros((1, 64, 64, 3))
    counted = jax.jit(lambda x: list(features(loaded, x))).lower(images).cost_analysis()["flops"]
    stated = perceptual_flop(Perceptual(network=network), 64)
    assert 0.97 * stated < counted < 1.15 * stated


def test_every_part_is_multiplied_out():
    cost = cost_of(resolve(SMALL))
    forward = forward_flop(Model(**SMALL["model"]), 32) / 1e15
    stages = {(stage.stage, stage.work): stage for stage in cost.stages}
    assert cost.training_pflop == pytest.approx(6 * 3 * 2 * 8 * 3 * forward)
    assert stages["eigenbasis", "7 products of 16 images each"].pflop == pytest.approx(6 * 16 * 7 * 5 * forward)
    assert stages["score", "30 images of other"].pflop == pytest.approx(6 * 30 * (2 + 2 * (8 + 8)) * forward)
    assert stages["score", "12 images of skin"].jobs == 6
    assert cost.as_dict()["hours"] is None


def test_rivals_are_planned_but_are_no_part_of_the_uncertainty():
    rivals = {"last_layer": "decoder/conv_out/*", "tenth": 0.1}
    without, with_them = (
        cost_of(resolve({**SMALL, "score": {"probes": 8, **more}})) for more in ({}, {"rivals": rivals})
    )
    forward = forward_flop(Model(**SMALL["model"]), 32) / 1e15
    [stage] = [stage for stage in with_them.stages if stage.stage == "rivals"]
    assert stage.pflop == pytest.approx(6 * (3 * 16 * 7 * 5 + 2 * 12 * (2 + 2 * (8 + 8))) * forward)
    assert with_them.uncertainty_pflop == without.uncertainty_pflop
    assert "rivals" not in {stage.stage for stage in without.stages}


def test_a_sample_and_a_coarser_accuracy_cost_less():
    sampled = {
        **SMALL,
        "datasets": {**SMALL["datasets"], "other": {**SMALL["datasets"]["other"], "sample": {"images": 10}}},
    }
    whole, less = cost_of(resolve(SMALL)), cost_of(resolve(sampled))
    assert any(stage.work == "10 images of other" for stage in less.stages)
    assert less.uncertainty_pflop < whole.uncertainty_pflop
    passes = [passes_for(accuracy) for accuracy in (0.005, 0.01, 0.02, 0.03, 0.05, 0.2)]
    assert passes == sorted(passes, reverse=True)
    assert passes_for(0.02) == pytest.approx(132)


def test_hours_are_operations_over_the_rate():
    experiment = resolve(SMALL)
    rates = rates_of("a100", "tf32")
    cost = cost_of(experiment, rates)
    hours = sum(stage.hours for stage in cost.stages if stage.hours is not None)
    expected = (cost.training_pflop / rates.training + cost.uncertainty_pflop / rates.uncertainty) * 1e15 / 3600
    assert hours == pytest.approx(expected)
    assert "hours on a100" in table_of(cost)
    with pytest.raises(ValueError, match=", ".join(DEVICES)):
        rates_of("abacus", "float32")


def test_the_command_says_it_without_the_networks(tmp_path, capsys):
    code = (
        "import sys; from sluguq.__main__ import main\n"
        f"assert main(['cost', '--configfile', {str(ROOT / 'config' / 'demo.yaml')!r}]) == 0\n"
        "assert not {'jax', 'zarr', 'pandas', 'numpy'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", f"import sys; sys.path[:0] = [{str(ROOT / 'src')!r}]\n{code}"], check=True)
    assert main(["cost", "--configfile", str(ROOT / "config" / "config.yaml"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["training_pflop"] > 0
    assert told["uncertainty_pflop"] > 0
    assert main(["cost", "--configfile", str(tmp_path / "none.yaml")]) == 1
    assert "none.yaml" in capsys.readouterr().err


def test_uncertainty_is_a_tenth_of_the_training_as_the_readme_says():
    cost = cost_of(load_experiment(ROOT / "config" / "config.yaml"), rates_of("a100", "float32"))
    hours = sum(stage.hours for stage in cost.stages if stage.stage == "train")
    assert cost.uncertainty_pflop < cost.training_pflop / 10
    readme = " ".join((ROOT / "README.md").read_text().split())
    assert f"is {cost.training_pflop:,.0f} PFLOP (10^15 operations), {hours:.0f} hours of an A100" in readme
    assert f"are {cost.uncertainty_pflop:.0f} PFLOP more, a tenth of that" in readme


def test_maps_are_planned_where_they_are_stored():
    whole, one = (cost_of(resolve({**SMALL, "score": {"probes": 8, "maps": maps}})) for maps in (True, ["skin"]))
    disk = [{stage.work: stage.disk_gb for stage in cost.stages} for cost in (whole, one)]
    assert disk[1]["12 images of skin"] == disk[0]["12 images of skin"] > 0
    assert disk[1]["30 images of other"] == 0 < disk[0]["30 images of other"]


def test_every_configuration_that_comes_along_has_a_cost():
    for file in sorted((ROOT / "config").glob("*.yaml")):
        assert cost_of(load_experiment(file)).training_pflop >= 0


def test_this_device_is_measured():
    from sluguq.stages.warm_up import measured_rates

    rates = measured_rates(resolve(SMALL))
    assert rates.measured
    assert rates.training > 0
    assert rates.uncertainty > 0
