import dataclasses
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sluguq.networks.gaussian_vae import kl_divergence
from sluguq.networks.network import decode, to_pixels, to_unit_range
from sluguq.networks.objective import ObjectiveSettings, objective
from sluguq.networks.perceptual.features import load_perceptual, perceptual_loss
from sluguq.networks.sampling import prior_samples
from sluguq.networks.training import TrainingInterrupted, TrainingSettings, compiled_advance, epoch_order, train
from sluguq.networks.vae import VAE, VAESettings
from sluguq.networks.watch import CollapseWatch, TrainingDiverged
from tests.places import ROOT

pytestmark = pytest.mark.usefixtures("quick_compilation")

NETWORK = VAESettings(image_size=32, width=2, depth=1, latent_channels=2, bottleneck_blocks=0)
PLAIN = ObjectiveSettings(perceptual_weight=0)
SETTINGS = TrainingSettings(network=NETWORK, objective=PLAIN, epochs=4, batch_size=4, learning_rate=3e-3)
SEED = 5


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    """18 discs on plain ground: four steps of 4, two images left over."""
    generator = np.random.default_rng(0)
    y, x = np.mgrid[:32, :32] / 32
    centre, radius = generator.uniform(0.3, 0.7, (18, 2, 1, 1)), generator.uniform(0.1, 0.3, (18, 1, 1))
    inside = (y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2 < radius**2
    ground, lesion = generator.integers(120, 256, (18, 1, 1, 3)), generator.integers(0, 120, (18, 1, 1, 3))
    return np.where(inside[..., None], lesion, ground).astype(np.uint8)


@pytest.fixture(scope="module")
def trained(images):
    return train(images, SETTINGS, seed=SEED, progress=False)


def equal(a, b) -> bool:
    same = jax.tree.map(np.array_equal, a.network.split(), b.network.split())
    return all(jax.tree.leaves(same)) and a.history == b.history


def test_training_lowers_the_loss_and_logs_every_term(trained):
    assert [row["epoch"] for row in trained.history] == [1, 2, 3, 4]
    assert list(trained.history[0]) == ["epoch", "loss", "mse", "kl", "gradient_norm", "learning_rate"]
    for row in trained.history:
        np.testing.assert_allclose(row["loss"], row["mse"] + row["kl"], rtol=1e-5)
    assert trained.history[-1]["mse"] < trained.history[0]["mse"]
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]
    assert (trained.steps, trained.resumed_at) == (16, 0)


def test_the_same_seed_gives_the_same_network_bit_for_bit(images, trained):
    assert equal(train(images, SETTINGS, seed=SEED, progress=False), trained)
    assert not equal(train(images, SETTINGS, seed=SEED + 1, progress=False), trained)


@pytest.mark.parametrize("last_batch", ["drop", "keep"])
def test_steps_equal_a_plain_loop_of_the_equations(images, last_batch):
    """Three steps with Adam, clipping and a cosine, written out again around jax.grad."""
    # Without normalisation: an offset before it has no gradient but rounding, which Adam scales up to a step.
    network = dataclasses.replace(NETWORK, normalisation="none")
    settings = dataclasses.replace(
        SETTINGS, network=network, epochs=1, schedule="cosine", gradient_clip=0.5, last_batch=last_batch,
        batch_size=6 if last_batch == "drop" else 7,
    )  # fmt: skip
    batches = {"drop": [6, 6, 6], "keep": [7, 7, 4]}[last_batch]
    result = train(images, settings, seed=SEED, progress=False)
    weights, statistics = VAE(network, seed=SEED).split()
    order = np.asarray(epoch_order(SEED, 0, len(images)))
    moments = jax.tree.map(lambda leaf: (np.zeros(leaf.shape), np.zeros(leaf.shape)), weights)

    def loss(weights, statistics, x, key):
        vae = network.join(weights, statistics)
        mean, log_variance = vae.encode(x, train=True)
        z = mean + jnp.exp(0.5 * log_variance) * jax.random.normal(key, mean.shape)
        kl = -0.5 * (1 + log_variance - mean**2 - jnp.exp(log_variance)).mean()
        return ((vae.decode(z, train=True) - x) ** 2).mean() + kl, vae.split()[1]

    gradient_of = jax.jit(jax.value_and_grad(loss, has_aux=True))
    losses = []
    for step, seen in enumerate(np.split(order, np.cumsum(batches)[:-1])):
        x = jnp.asarray(images[seen] / 127.5 - 1, jnp.float32)
        key = jax.random.split(jax.random.fold_in(jax.random.fold_in(jax.random.key(SEED), 2), step))[0]
        (value, statistics), gradient = gradient_of(weights, statistics, x, key)
        losses.append(float(value))
        gradient = jax.tree.map(lambda g: np.asarray(g, np.float64), gradient)
        shrink = min(1, 0.5 / np.sqrt(sum((g**2).sum() for g in jax.tree.leaves(gradient))))
        rate = 3e-3 * 0.5 * (1 + np.cos(np.pi * step / 3))

        def adam(weight, g, moment, step=step, rate=rate, shrink=shrink):
            first, second = 0.9 * moment[0] + 0.1 * shrink * g, 0.999 * moment[1] + 0.001 * (shrink * g) ** 2
            moment[0][...], moment[1][...] = first, second
            first, second = first / (1 - 0.9 ** (step + 1)), second / (1 - 0.999 ** (step + 1))
            return jnp.asarray(weight - rate * first / (np.sqrt(second) + 1e-8), jnp.float32)

        weights = jax.tree.map(adam, weights, gradient, moments)
    for ours, theirs in zip(*map(jax.tree.leaves, (result.network.split()[0], weights)), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)
    np.testing.assert_allclose(result.history[0]["loss"], np.average(losses, weights=batches), rtol=1e-4)
    assert result.history[0]["learning_rate"] == pytest.approx(0)


def test_kl_divergence_equals_an_integral():
    z = np.linspace(-12, 12, 200_001)
    for mean, log_variance in [(0.0, 0.0), (1.5, -1.0), (-0.5, 0.7)]:
        variance = np.exp(log_variance)
        log_q = -0.5 * (np.log(2 * np.pi * variance) + (z - mean) ** 2 / variance)
        log_p = -0.5 * (np.log(2 * np.pi) + z**2)
        wanted = np.trapezoid(np.exp(log_q) * (log_q - log_p), z)
        ours = kl_divergence(jnp.full((2, 3), mean), jnp.full((2, 3), log_variance))
        np.testing.assert_allclose(ours, wanted, atol=1e-5)


def test_sums_are_the_printed_equations():
    """Per image ½‖x − f‖² + KL + Σ_l ½ mean‖ΔΦ_l‖², against the means that are logged."""
    network = load_perceptual("squeezenet1_1", None, weights="random")
    weights, statistics = VAE(NETWORK, seed=0).split()
    x = np.random.default_rng(1).integers(0, 256, (2, 32, 32, 3), np.uint8)
    settings = ObjectiveSettings(reduction="sum", kl_weight=0.5, perceptual_weight=2.0)
    loss, (terms, _) = objective(weights, statistics, x, jax.random.key(0), network, network=NETWORK, settings=settings)
    pixels, latents, layers = 32 * 32 * 3, 16 * 16 * 2, 9
    wanted = 0.5 * pixels * terms["mse"] + 0.5 * latents * terms["kl"] + 2 * 0.5 * layers * terms["perceptual"]
    np.testing.assert_allclose(loss, wanted, rtol=1e-5)

    @jax.jit
    def distance(weights, statistics, network):
        vae = NETWORK.join(weights, statistics)
        mean, log_variance = vae.encode(to_unit_range(x), train=True)
        z = mean + jnp.exp(log_variance / 2) * jax.random.normal(jax.random.key(0), mean.shape)
        return perceptual_loss(network, to_unit_range(x), vae.decode(z, train=True))

    np.testing.assert_allclose(terms["perceptual"], distance(weights, statistics, network), rtol=1e-4)


def test_an_epoch_sees_every_image_once_in_an_order_of_its_own():
    first, second = np.asarray(epoch_order(0, 0, 50)), np.asarray(epoch_order(0, 1, 50))
    assert sorted(first) == sorted(second) == list(range(50))
    assert not np.array_equal(first, second)
    assert not np.array_equal(first, epoch_order(1, 0, 50))


def test_a_training_that_keeps_last_batches_goes_on_bit_for_bit(images, tmp_path, monkeypatch):
    """Four steps of four images and one of two; stopped before that one, and after it."""
    settings = dataclasses.replace(SETTINGS, last_batch="keep", epochs=2)
    whole = train(images, settings, seed=SEED, progress=False)
    assert whole.steps == 10

    class Stopped(Exception):
        pass

    def stop_after(limit):
        def save(folder, checkpoint, identity):
            path = kept(folder, checkpoint, identity)
            if int(checkpoint.state["step"]) == limit:
                raise Stopped
            return path

        return save

    import sluguq.networks.training as training

    kept = training.save_checkpoint
    for limit in (4, 5):
        monkeypatch.setattr(training, "save_checkpoint", stop_after(limit))
        folder = tmp_path / str(limit)
        with pytest.raises(Stopped):
            train(images, settings, seed=SEED, progress=False, checkpoint_folder=folder, checkpoint_steps=1)
        monkeypatch.setattr(training, "save_checkpoint", kept)
        resumed = train(images, settings, seed=SEED, progress=False, checkpoint_folder=folder)
        assert resumed.resumed_at == limit
        assert equal(resumed, whole)


def test_flips_mirror_some_images(images):
    """On mirror-symmetric images flips change nothing; on others they do."""
    flipped = dataclasses.replace(SETTINGS, flip=True, epochs=1)
    plain = dataclasses.replace(SETTINGS, epochs=1)
    symmetric = np.concatenate([images[:, :, :16], images[:, :, 15::-1]], axis=2)
    assert equal(*(train(symmetric, s, seed=0, progress=False) for s in (flipped, plain)))
    assert not equal(*(train(images, s, seed=0, progress=False) for s in (flipped, plain)))


def test_bfloat16_trains_to_nearly_the_same_loss_with_float32_weights(images, trained):
    result = train(images, dataclasses.replace(SETTINGS, precision="bfloat16"), seed=SEED, progress=False)
    assert {leaf.dtype for leaf in jax.tree.leaves(result.network.split())} == {jnp.float32.dtype}
    assert not equal(result, trained)
    for ours, exact in zip(result.history, trained.history, strict=True):
        assert ours["mse"] == pytest.approx(exact["mse"], rel=0.05)


def stop_when(condition) -> threading.Thread:
    """Send this process SIGTERM once the condition holds."""

    def wait() -> None:
        while not condition():
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=wait)
    thread.start()
    return thread


def test_sigterm_writes_a_checkpoint_and_training_goes_on_bit_for_bit(images, tmp_path):
    settings = dataclasses.replace(SETTINGS, epochs=40, flip=True, schedule="cosine")
    seen: list[int] = []

    def keep(epoch, vae, row):
        seen.append(epoch)
        return {"samples": prior_samples(vae, 1, seed=0)} if epoch in (1, 40) else None

    uninterrupted = train(images, settings, seed=SEED, progress=False, on_epoch=keep)
    seen.clear()
    folder = tmp_path / "checkpoints"
    before = signal.getsignal(signal.SIGTERM)
    thread = stop_when(lambda: len(seen) >= 2)
    with pytest.raises(TrainingInterrupted, match="stopped by SIGTERM after step") as caught:
        train(images, settings, seed=SEED, progress=False, checkpoint_folder=folder, on_epoch=keep)
    thread.join()
    assert caught.value.code == 143
    assert signal.getsignal(signal.SIGTERM) is before
    resumed = train(images, settings, seed=SEED, progress=False, checkpoint_folder=folder, on_epoch=keep)
    assert 0 < resumed.resumed_at < resumed.steps
    assert seen == list(range(1, 41))
    assert equal(resumed, uninterrupted)
    assert resumed.snapshots.keys() == uninterrupted.snapshots.keys() == {1, 40}
    for epoch in (1, 40):
        np.testing.assert_array_equal(resumed.snapshots[epoch]["samples"], uninterrupted.snapshots[epoch]["samples"])
    again = train(images, settings, seed=SEED, progress=False, checkpoint_folder=folder, on_epoch=keep)
    assert again.resumed_at == again.steps
    assert equal(again, uninterrupted)


SCRIPT = """
    import sys
    import numpy as np
    from sluguq.networks.training import TrainingSettings, train
    from sluguq.networks.objective import ObjectiveSettings
    from sluguq.networks.vae import VAESettings
    from sluguq.networks.weights import save_network
    folder = sys.argv[1]
    network = VAESettings(image_size=32, width=2, depth=1, latent_channels=2, bottleneck_blocks=0)
    settings = TrainingSettings(
        network=network, objective=ObjectiveSettings(perceptual_weight=0), epochs=4, batch_size=4, learning_rate=3e-3
    )
    images = np.load(folder + "/images.npy")
"""


def run(script: str, folder: Path, **environment: str) -> subprocess.CompletedProcess:
    source = str(ROOT / "src")
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(SCRIPT) + textwrap.dedent(script), str(folder)],
        env={**os.environ, "PYTHONPATH": source, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def test_killed_in_mid_epoch_training_goes_on_bit_for_bit(images, trained, tmp_path):
    np.save(tmp_path / "images.npy", images)
    # Killed without warning while the checkpoint of step 6, the second step of an epoch of four, is on disk.
    dying = run(
        """
        import os, signal
        import sluguq.networks.training as training
        save = training.save_checkpoint
        def save_and_die(*arguments):
            save(*arguments)
            if int(arguments[1].state["step"]) == 6:
                os.kill(os.getpid(), signal.SIGKILL)
        training.save_checkpoint = save_and_die
        train(images, settings, seed=5, progress=False, checkpoint_folder=folder + "/kept", checkpoint_steps=3)
        """,
        tmp_path,
    )
    assert dying.returncode == -signal.SIGKILL, dying.stderr
    resumed = train(images, SETTINGS, seed=SEED, progress=False, checkpoint_folder=tmp_path / "kept")
    assert resumed.resumed_at == 6
    assert equal(resumed, trained)


def test_two_devices_agree_with_one(images, trained, tmp_path):
    np.save(tmp_path / "images.npy", images)
    sharded = run(
        """
        import jax
        assert len(jax.devices()) == 2
        result = train(images, settings, seed=5, progress=False)
        np.save(folder + "/loss.npy", [row["loss"] for row in result.history])
        """,
        tmp_path,
        XLA_FLAGS="--xla_force_host_platform_device_count=2",
    )
    assert sharded.returncode == 0, sharded.stderr
    losses = np.load(tmp_path / "loss.npy")
    np.testing.assert_allclose(losses, [row["loss"] for row in trained.history], rtol=2e-3)


def test_the_loop_compiled_for_gpus_takes_the_same_steps(images, trained, monkeypatch):
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    compiled_advance.cache_clear()
    looped = train(images, SETTINGS, seed=SEED, progress=False)
    compiled_advance.cache_clear()
    losses = [[row["loss"] for row in result.history] for result in (looped, trained)]
    np.testing.assert_allclose(*losses, rtol=2e-3)


@pytest.mark.parametrize(
    "change", [{"learning_rate": 1e-3}, {"network": dataclasses.replace(NETWORK, latent_channels=3)}, {"seed": 6}]
)
def test_a_checkpoint_of_another_training_is_refused_and_training_starts_afresh(images, tmp_path, change):
    short = dataclasses.replace(SETTINGS, epochs=1)
    train(images, short, seed=SEED, progress=False, checkpoint_folder=tmp_path)
    seed = change.pop("seed", SEED)
    other = dataclasses.replace(short, **change)
    with pytest.warns(UserWarning, match="other settings, seed or images; training starts afresh"):
        result = train(images, other, seed=seed, progress=False, checkpoint_folder=tmp_path)
    assert result.resumed_at == 0
    assert len(result.history) == 1


def test_a_damaged_checkpoint_is_refused_and_training_starts_afresh(images, tmp_path):
    short = dataclasses.replace(SETTINGS, epochs=1)
    first = train(images, short, seed=SEED, progress=False, checkpoint_folder=tmp_path)
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-7])
    with pytest.warns(UserWarning, match=r"checkpoint\.safetensors: damaged .* training starts afresh"):
        second = train(images, short, seed=SEED, progress=False, checkpoint_folder=tmp_path)
    assert second.resumed_at == 0
    assert equal(first, second)


def test_a_term_that_is_not_finite_is_told_and_the_last_good_network_kept(images):
    # So large a rate overflows within an epoch or two.
    settings = dataclasses.replace(SETTINGS, learning_rate=1e30, gradient_clip=None)
    with pytest.raises(TrainingDiverged, match=r"diverged in epoch 1: loss is (nan|inf)") as caught:
        train(images, settings, seed=SEED, progress=False)
    assert caught.value.epoch == 1
    assert caught.value.term == "loss"
    jax.tree.map(np.testing.assert_array_equal, caught.value.network.split(), VAE(NETWORK, seed=SEED).split())


def test_a_collapsed_kl_divergence_is_told(images):
    settings = dataclasses.replace(
        SETTINGS, objective=ObjectiveSettings(mse_weight=0, kl_weight=1e4, perceptual_weight=0), epochs=400
    )
    with pytest.raises(TrainingDiverged, match="kl has been below") as caught:
        train(images, settings, seed=SEED, progress=False)
    assert caught.value.term == "kl"
    assert [row["kl"] < 1e-6 for row in caught.value.history[-3:]] == [True] * 3


def test_dead_batch_statistics_are_told_with_their_layer():
    statistics = VAE(NETWORK).split()[1]
    row = {"epoch": 1, "loss": 1.0, "mse": 1.0, "kl": 0.1}
    watch = CollapseWatch()
    assert watch.fault(row, statistics) is None
    layer = statistics["decoder"]["blocks"][0]["norm2"]
    layer["variance"] = jnp.zeros_like(layer["variance"]).at[0].set(1e-3)
    assert watch.fault(row, statistics) is None
    layer["variance"] = jnp.zeros_like(layer["variance"])
    assert watch.fault(row, statistics) == (
        "decoder.blocks.0.norm2.variance",
        "is zero in every channel: the layer passes nothing on",
    )
    layer["mean"] = jnp.full_like(layer["mean"], jnp.nan)
    assert watch.fault(row, statistics)[0] == "decoder.blocks.0.norm2.mean"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"epochs": 0}, "epochs=0"),
        ({"learning_rate": 0.0}, "learning_rate=0.0: must be positive"),
        ({"schedule": "linear"}, "constant or cosine"),
        ({"precision": "float16"}, "float32, tf32 or bfloat16"),
        ({"gradient_clip": -1.0}, "gradient_clip=-1.0"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(SETTINGS, **change)


def test_images_that_do_not_fit_are_refused(images):
    with pytest.raises(ValueError, match=r"images are float64 .*: the network takes uint8 \(n, 32, 32, 3\)"):
        train(images / 255, SETTINGS, seed=0)
    with pytest.raises(ValueError, match="no images"):
        train(images[:0], SETTINGS, seed=0)
    wanting = dataclasses.replace(SETTINGS, objective=ObjectiveSettings())
    with pytest.raises(ValueError, match=r"perceptual_weight=1.0 needs a feature network"):
        train(images, wanting, seed=0)


def test_fewer_images_than_a_batch_are_one_batch(images):
    with pytest.warns(UserWarning, match="batch_size=4, but there are 3 images"):
        result = train(images[:3], SETTINGS, seed=0, progress=False)
    assert result.steps == SETTINGS.epochs


def test_prior_samples_follow_the_seed_alone():
    vae = VAE(NETWORK, seed=0)
    samples = prior_samples(vae, 5, seed=3, batch_size=2)
    assert samples.shape == (5, 32, 32, 3)
    assert samples.dtype == np.uint8
    assert np.abs(samples.astype(int) - prior_samples(vae, 7, seed=3)[:5]).max() <= 1
    assert not np.array_equal(samples, prior_samples(vae, 5, seed=4))
    key = jax.random.fold_in(jax.random.key(3), 1)
    second = decode(vae, jax.random.normal(key, (1, *NETWORK.latent_shape)))
    assert np.abs(samples[1].astype(int) - to_pixels(second)[0]).max() <= 1


def test_pixels_are_the_inverse_of_the_networks_scale():
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_pixels(to_unit_range(values)), values)
    np.testing.assert_array_equal(to_pixels(jnp.array([-1.2, 1.1])), [0, 255])
