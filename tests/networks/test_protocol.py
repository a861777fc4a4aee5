"""What every architecture in the registry must offer, and networks from files of one's own."""

import dataclasses
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sluguq.config.experiment import Model
from sluguq.networks.network import (
    LatentNetwork,
    TrainableNetwork,
    decode,
    reconstruction_function,
)
from sluguq.networks.objective import ObjectiveSettings
from sluguq.networks.own import network_from
from sluguq.networks.reconstruction import reconstruct
from sluguq.networks.registry import ARCHITECTURES, ArchitectureError, found, name_of, settings_of, source_of
from sluguq.networks.sampling import prior_samples
from sluguq.networks.training import TrainingSettings, train
from sluguq.networks.weights import WeightsError, load_network, save_network, save_reference

pytestmark = pytest.mark.usefixtures("quick_compilation")

MODEL = {"width": 4, "depth": 2, "latent_channels": 3, "bottleneck_blocks": 1, "normalisation": "batch"}
# Plain colours with a little noise: what a few steps can learn.
_RANDOM = np.random.default_rng(0)
PIXELS = np.clip(_RANDOM.integers(40, 216, (6, 1, 1, 3)) + _RANDOM.integers(-9, 10, (6, 32, 32, 3)), 0, 255).astype(
    np.uint8
)

OWN = """
import dataclasses
import jax.numpy as jnp
import numpy as np
import neighbour


def load(weights, image_size, gain=1.0):
    w = jnp.asarray(np.load(weights))
    return (lambda params, images: gain * neighbour.mixed(images, params["w"])), {"w": w}


def of_another_shape(weights, image_size):
    return (lambda params, images: images[:, ::2] * params["w"]), {"w": jnp.ones(())}
"""


def small(name):
    return settings_of({**MODEL, "network": name, "padding": "zero"}, 32)


@pytest.fixture
def own(tmp_path):
    """A file with factories, what it imports, and weights."""
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "neighbour.py").write_text("def mixed(images, w):\n    return images @ w\n")
    np.save(tmp_path / "w.npy", np.float32(0.5) * np.eye(3, dtype=np.float32))
    return tmp_path


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_the_registry_tells_the_truth(name):
    settings = small(name)
    fields = {field.name for field in dataclasses.fields(settings)}
    assert set(ARCHITECTURES[name].keys) == fields - {"image_size", "channels"}
    assert set(ARCHITECTURES[name].keys) <= set(Model.model_fields)
    assert name_of(settings) == name
    assert source_of(name).samefile(inspect.getfile(type(settings)))
    assert hash(settings) == hash(small(name))


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_an_architecture_is_trained_sampled_scored_saved_and_loaded(name, tmp_path):
    settings = small(name)
    training = TrainingSettings(
        network=settings,
        objective=ObjectiveSettings(perceptual_weight=0.0),
        epochs=12,
        batch_size=3,
        learning_rate=3e-3,
    )
    result = train(PIXELS, training, seed=1, progress=False)
    network = result.network
    assert isinstance(network, LatentNetwork)
    assert isinstance(network, TrainableNetwork)
    assert result.history[-1]["mse"] < 0.8 * result.history[0]["mse"]
    assert prior_samples(network, 2, seed=0).shape == (2, 32, 32, 3)
    save_network(tmp_path / "w.safetensors", network)
    loaded = load_network(tmp_path / "w.safetensors")
    assert loaded.settings == settings
    jax.tree.map(np.testing.assert_array_equal, loaded.split(), network.split())
    apply, params = reconstruction_function(loaded)
    x = PIXELS.astype(np.float32) / 127.5 - 1
    together = np.asarray(apply(params, PIXELS))
    alone = np.concatenate([np.asarray(apply(params, PIXELS[i : i + 1])) for i in range(2)])
    np.testing.assert_allclose(together[:2], alone, atol=2e-5)
    seen = reconstruct(loaded, PIXELS)
    np.testing.assert_allclose(seen.mse, np.square(x - together).mean((1, 2, 3)), rtol=1e-5)
    assert (seen.latent_std > 0).all()
    mean, _ = loaded.encode(jnp.asarray(x))
    np.testing.assert_allclose(decode(loaded, mean), together, atol=2e-5)


def test_attention_lets_every_pixel_see_the_whole_image():
    network = small("attention_vae").initial(0)
    apply, params = reconstruction_function(network)
    changed = PIXELS[:1].copy()
    changed[0, 0, 0] = 255 - changed[0, 0, 0]
    difference = np.abs(np.asarray(apply(params, PIXELS[:1]) - apply(params, changed)))
    assert difference[0, -1, -1].max() > 0


def test_a_network_of_ones_own_is_scored_and_has_no_latent_variable(own):
    place = f"{own}/own.py:load"
    save_reference(own / "r.safetensors", place, own / "w.npy", image_size=32, options={"gain": 2.0})
    network = load_network(own / "r.safetensors")
    seen = reconstruct(network, PIXELS)
    np.testing.assert_allclose(seen.mse, 0, atol=1e-12)
    assert np.isnan(seen.latent_std).all()
    assert np.isnan(seen.kl).all()
    apply, params = reconstruction_function(network)
    jacobian = jax.jacobian(lambda w: apply({"w": w}, PIXELS[:1]).ravel())(params["w"])
    x = PIXELS[0].astype(np.float64) / 127.5 - 1
    np.testing.assert_allclose(np.square(jacobian).sum(), 3 * np.square(2 * x).sum(), rtol=1e-5)
    with pytest.raises(ValueError, match="no part called encoder"):
        reconstruction_function(network, parameters="decoder")


def test_weights_that_changed_since_are_refused(own):
    save_reference(own / "r.safetensors", f"{own}/own.py:load", own / "w.npy", image_size=32, options={})
    np.save(own / "w.npy", np.eye(3, dtype=np.float32))
    with pytest.raises(WeightsError, match="has changed since"):
        load_network(own / "r.safetensors")
    (own / "w.npy").unlink()
    with pytest.raises(WeightsError, match="is not there"):
        load_network(own / "r.safetensors")


def test_arrays_that_a_function_binds_are_arguments_of_compiled_code():
    scaled = jax.tree_util.Partial(lambda scale, params, images: scale * params["w"] * images, jnp.float32(2))
    network = network_from(scaled, {"w": np.ones((), np.float32)}, image_size=32)
    weights, statistics = network.split()
    assert [np.asarray(leaf).item() for leaf in statistics] == [2.0]
    halved = network.settings.join(weights, [jnp.float32(1)])
    np.testing.assert_allclose(halved.reconstruct(jnp.ones((1, 32, 32, 3))), 1)


def test_mistakes_are_told(own):
    with pytest.raises(ArchitectureError, match="take one of residual_vae, attention_vae"):
        settings_of({"network": "resnet"}, 32)
    with pytest.raises(ArchitectureError, match=r"defines no lood"):
        found(f"{own}/own.py:lood")
    with pytest.raises(ArchitectureError, match="there is no file"):
        found(f"{own}/other.py:load")
    save_reference(own / "r.safetensors", f"{own}/own.py:of_another_shape", own / "w.npy", image_size=32, options={})
    with pytest.raises(ArchitectureError, match=r"makes \(2, 16, 32, 3\) of images"):
        load_network(own / "r.safetensors")
