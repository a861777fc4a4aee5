import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sluguq.networks.convolution import convolve, convolve_upsampled
from sluguq.networks.gaussian_vae import graph_definition
from sluguq.networks.network import count_weights, decode, encode, reconstruction_function, to_unit_range
from sluguq.networks.vae import VAE, VAESettings
from sluguq.networks.weights import WeightsError, load_network, save_network

pytestmark = pytest.mark.usefixtures("quick_compilation")

SMALL = VAESettings(image_size=32, width=4, depth=2, latent_channels=3)


def images(count: int = 3, size: int = 32) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, size, size, 3), np.uint8)


def published_count(width: int, depth: int, latent: int, bottleneck: int) -> int:
    """Weights of the published network, layer by layer from its text."""

    def conv(k: int, i: int, o: int) -> int:
        return k * k * i * o + o

    def norm(c: int) -> int:
        return 2 * c

    def same(c: int) -> int:
        return norm(c) + conv(3, c, c // 2) + norm(c // 2) + conv(3, c // 2, c)

    total = conv(3, 3, width) + conv(5, width, 3)
    for i in range(depth):
        c = width * 2**i
        total += norm(c) + conv(3, c, c + 2 * c) + norm(c) + conv(3, c, 2 * c)  # down: c to 2c
        total += norm(2 * c) + conv(3, 2 * c, c + c) + norm(c) + conv(3, c, c)  # up: 2c to c
    top = width * 2**depth
    return total + 2 * bottleneck * same(top) + 2 * conv(1, top, latent) + conv(1, latent, top)


def test_full_size_has_the_published_number_of_weights():
    full = jax.eval_shape(lambda: VAE(VAESettings(), seed=None).split()[0])
    counted = sum(leaf.size for leaf in jax.tree.leaves(full))
    assert counted == published_count(64, 4, 64, 1) == 50_439_619


@pytest.mark.parametrize(
    "settings", [SMALL, VAESettings(image_size=32, width=6, depth=3, latent_channels=5, bottleneck_blocks=2)]
)
def test_small_networks_have_the_formulas_number_of_weights(settings):
    wanted = published_count(settings.width, settings.depth, settings.latent_channels, settings.bottleneck_blocks)
    assert count_weights(VAE(settings)) == wanted


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 48, "depth": 5}, "image_size=48 cannot be halved depth=5"),
        ({"image_size": 32, "depth": 5}, "at least 64"),
        ({"image_size": 512}, "32 to 256"),
        ({"normalisation": "layer"}, "batch, group or none"),
        ({"padding": "edge"}, "zero or reflect"),
        ({"width": 0}, "width=0"),
    ],
)
def test_impossible_settings_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        VAESettings(**change)


def torch_twin(vae: VAE):
    """The published network as a function of NCHW arrays, written with torch.nn.functional alone."""
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    weights, statistics = vae.split()
    zero = vae.settings.padding == "zero"

    def tensor(value):
        return torch.tensor(np.asarray(value))

    def conv(w, x, stride=1):
        kernel = tensor(w["kernel"]).permute(3, 2, 0, 1)
        half = kernel.shape[-1] // 2
        x = functional.pad(x, (half,) * 4, mode="constant" if zero else "reflect") if half else x
        return functional.conv2d(x, kernel, tensor(w["bias"]), stride)

    def act(w, s, x):
        kind = vae.settings.normalisation
        if kind == "batch":
            scale, bias = tensor(w["scale"]), tensor(w["bias"])
            x = functional.batch_norm(x, tensor(s["mean"]), tensor(s["variance"]), scale, bias, eps=1e-4)
        elif kind == "group":
            groups = np.gcd(8, x.shape[1])
            x = functional.group_norm(x, int(groups), tensor(w["scale"]), tensor(w["bias"]), 1e-4)
        return functional.elu(x)

    def block(w, s, x, kind):
        inner = w["conv2"]["kernel"].shape[2]
        y = act(w.get("norm1"), s.get("norm1"), x)
        y = functional.interpolate(y, scale_factor=2, mode="nearest") if kind == "up" else y
        y = conv(w["conv1"], y, 2 if kind == "down" else 1)
        skip = x if kind == "same" else y[:, inner:]
        return conv(w["conv2"], act(w.get("norm2"), s.get("norm2"), y[:, :inner])) + skip

    def half(part, x, kinds):
        w, s = weights[part], statistics.get(part, {}).get("blocks", {})
        x = conv(w["conv_in"], x)
        for i, kind in enumerate(kinds):
            x = block(w["blocks"][i], s.get(i, {}), x, kind)
        return functional.elu(x)

    depth, extra = vae.settings.depth, vae.settings.bottleneck_blocks

    def forward(x):
        y = half("encoder", torch.tensor(x).permute(0, 3, 1, 2), ["down"] * depth + ["same"] * extra)
        mean, log_variance = conv(weights["encoder"]["mean"], y), conv(weights["encoder"]["log_variance"], y)
        y = half("decoder", mean, ["same"] * extra + ["up"] * depth)
        y = torch.tanh(conv(weights["decoder"]["conv_out"], y))
        return tuple(part.permute(0, 2, 3, 1).numpy() for part in (mean, log_variance, y))

    return forward


def shaken(vae: VAE) -> VAE:
    """The network with batch statistics, scales and offsets that are not those of the start."""
    generator = np.random.default_rng(1)
    weights, statistics = jax.tree.map(
        lambda a: jnp.asarray(a * generator.uniform(0.5, 1.5, a.shape) + 0.1, jnp.float32) if a.ndim == 1 else a,
        vae.split(),
    )
    return vae.settings.join(weights, statistics)


@pytest.mark.parametrize(
    ("normalisation", "padding"), [("batch", "zero"), ("batch", "reflect"), ("group", "zero"), ("none", "zero")]
)
def test_forward_pass_equals_the_published_network_in_torch(normalisation, padding):
    vae = shaken(VAE(dataclasses.replace(SMALL, normalisation=normalisation, padding=padding), seed=2))
    x = np.asarray(to_unit_range(images()))
    mean, log_variance, reconstruction = torch_twin(vae)(x)
    apply, params = reconstruction_function(vae)
    ours = encode(vae, images())
    np.testing.assert_allclose(ours[0], mean, atol=3e-5)
    np.testing.assert_allclose(ours[1], log_variance, atol=3e-5)
    np.testing.assert_allclose(jax.jit(apply)(params, x), reconstruction, atol=3e-5)
    np.testing.assert_allclose(decode(vae, ours[0]), reconstruction, atol=3e-5)


@pytest.mark.parametrize("padding", ["zero", "reflect"])
@pytest.mark.parametrize("inputs", [3, 32])
def test_upsampled_convolution_equals_upsampling_then_convolving(padding, inputs):
    """Values, and derivatives in both modes and in both arguments."""
    generator = np.random.default_rng(0)

    def plain(x, kernel):
        large = jnp.pad(
            x.repeat(2, 1).repeat(2, 2),
            ((0, 0), (1, 1), (1, 1), (0, 0)),
            mode="reflect" if padding == "reflect" else "constant",
        )
        return jax.lax.conv_general_dilated(large, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    with jax.enable_x64(True):
        shapes = ((2, 4, 6, inputs), (3, 3, inputs, 5))
        point, direction = (tuple(jnp.asarray(generator.standard_normal(s)) for s in shapes) for _ in range(2))
        cotangent = jnp.asarray(generator.standard_normal((2, 8, 12, 5)))
        outcomes = []
        for function in (plain, functools.partial(convolve_upsampled, padding=padding)):
            values, tangent = jax.jvp(function, point, direction)
            outcomes.append((values, tangent, *jax.vjp(function, *point)[1](cotangent)))
    for wanted, ours in zip(*outcomes, strict=True):
        np.testing.assert_allclose(ours, wanted, atol=1e-11)


@pytest.mark.parametrize("padding", ["zero", "reflect"])
@pytest.mark.parametrize(
    ("size", "stride", "inputs", "outputs"),
    [(5, 1, 3, 3), (5, 1, 3, 6), (3, 2, 3, 4), (3, 2, 16, 2), (3, 1, 256, 2), (1, 1, 3, 2)],
)
def test_convolution_equals_its_definition(padding, size, stride, inputs, outputs):
    generator = np.random.default_rng(0)
    x, kernel = (generator.standard_normal(s) for s in ((2, 6, 8, inputs), (size, size, inputs, outputs)))
    half = size // 2
    padded = np.pad(
        x, ((0, 0), (half, half), (half, half), (0, 0)), mode="reflect" if padding == "reflect" else "constant"
    )
    windows = np.lib.stride_tricks.sliding_window_view(padded, (size, size), (1, 2))[:, ::stride, ::stride]
    wanted = np.einsum("nyxcij,ijco->nyxo", windows, kernel)
    with jax.enable_x64(True):
        ours = convolve(jnp.asarray(x), jnp.asarray(kernel), stride=stride, padding=padding)
        np.testing.assert_allclose(ours, wanted, atol=1e-12)


def test_same_seed_same_weights_other_seed_other_weights():
    first, again, other = (VAE(SMALL, seed=seed).split()[0] for seed in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    kernel, elsewhere = first["encoder"]["conv_in"]["kernel"], other["encoder"]["conv_in"]["kernel"]
    assert not np.array_equal(kernel, elsewhere)
    # Uniform in ±1/√(fan in).
    bound = 1 / np.sqrt(27)
    assert 0.9 * bound < np.abs(kernel).max() <= bound


def test_training_mode_uses_the_batch_and_moves_running_statistics():
    vae = VAE(SMALL, seed=0)
    x = to_unit_range(images(8))
    before = vae.split()[1]["encoder"]["blocks"][0]["norm1"]
    seen = vae.encoder.conv_in(x)
    vae.encode(x, train=True)
    after = vae.split()[1]["encoder"]["blocks"][0]["norm1"]
    np.testing.assert_allclose(after["mean"], 0.9 * before["mean"] + 0.1 * seen.mean((0, 1, 2)), rtol=1e-4)
    np.testing.assert_allclose(after["variance"], 0.9 * before["variance"] + 0.1 * seen.var((0, 1, 2)), rtol=1e-4)


def test_reconstruction_function_takes_bytes_or_floats_and_carries_statistics_as_arrays():
    vae = shaken(VAE(SMALL, seed=0))
    apply, params = reconstruction_function(vae)
    bytes_, floats = apply(params, images()), apply(params, to_unit_range(images()))
    np.testing.assert_allclose(bytes_, floats, atol=1e-6)
    assert jax.tree.leaves(apply), "batch statistics are leaves, hence arguments of compiled code"
    with pytest.raises(ValueError, match="images are int32"):
        apply(params, images().astype(np.int32))


def test_models_of_one_shape_share_one_compiled_program():
    traced = []

    @jax.jit
    def run(apply, params, x):
        traced.append(1)
        return apply(params, x)

    outputs = [run(*reconstruction_function(VAE(SMALL, seed=seed)), images()) for seed in (0, 1)]
    assert len(traced) == 1
    assert not np.allclose(*outputs)
    assert graph_definition(SMALL) == graph_definition(dataclasses.replace(SMALL))


def test_decoder_alone_leaves_the_encoder_fixed():
    vae = VAE(SMALL, seed=0)
    apply, params = reconstruction_function(vae, parameters="decoder")
    whole, everything = reconstruction_function(vae)
    assert set(params) == {"decoder"}
    np.testing.assert_allclose(apply(params, images()), whole(everything, images()), atol=1e-6)
    tangent = jax.tree.map(jnp.ones_like, params)
    partly = jax.tree.map(jnp.zeros_like, everything) | tangent
    x = images()
    derivative = jax.jvp(lambda p: apply(p, x), (params,), (tangent,))[1]
    wanted = jax.jvp(lambda p: whole(p, x), (everything,), (partly,))[1]
    np.testing.assert_allclose(derivative, wanted, atol=1e-4)


@pytest.mark.parametrize("padding", ["zero", "reflect"])
def test_forward_and_reverse_mode_agree(padding):
    with jax.enable_x64(True):
        apply, params = reconstruction_function(VAE(dataclasses.replace(SMALL, padding=padding), seed=0))
        params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)
        x = images(2)
        generator = np.random.default_rng(3)
        tangent = jax.tree.map(lambda leaf: jnp.asarray(generator.standard_normal(leaf.shape)), params)
        output, pushed = jax.jvp(lambda p: apply(p, x), (params,), (tangent,))
        cotangent = jnp.asarray(generator.standard_normal(output.shape))
        (pulled,) = jax.vjp(lambda p: apply(p, x), params)[1](cotangent)
        inner = sum(jnp.vdot(a, b) for a, b in zip(*map(jax.tree.leaves, (pulled, tangent)), strict=True))
        assert output.dtype == jnp.float64
        np.testing.assert_allclose(inner, jnp.vdot(pushed, cotangent), rtol=1e-9)


def test_saved_networks_come_back_bit_for_bit(tmp_path):
    vae = shaken(VAE(SMALL, seed=4))
    file = tmp_path / "model" / "weights.safetensors"
    save_network(file, vae, seed=4)
    loaded = load_network(file)
    assert loaded.settings == SMALL
    jax.tree.map(np.testing.assert_array_equal, loaded.split(), vae.split())
    first = file.read_bytes()
    save_network(file, vae, seed=4)
    assert file.read_bytes() == first
    assert [path.name for path in file.parent.iterdir()] == [file.name]


def test_a_file_of_another_network_is_refused_by_name(tmp_path):
    file = tmp_path / "weights.safetensors"
    save_network(file, VAE(SMALL))
    with pytest.raises(WeightsError, match=r"weights\.safetensors: .*kernel is float32"):
        load_network(file, dataclasses.replace(SMALL, latent_channels=4))
    with pytest.raises(WeightsError, match="padding='zero'"):
        load_network(file, dataclasses.replace(SMALL, padding="reflect"))


def test_a_damaged_file_is_refused(tmp_path):
    file = tmp_path / "weights.safetensors"
    save_network(file, VAE(SMALL))
    whole = file.read_bytes()
    for damaged in (whole[:-10], whole[:-4] + bytes(4), b"", whole[50:]):
        file.write_bytes(damaged)
        with pytest.raises(WeightsError, match=r"weights\.safetensors: damaged"):
            load_network(file)
