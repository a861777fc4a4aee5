import io
import os
import pickle
import zipfile
from collections import OrderedDict
from hashlib import sha256

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from sluguq.networks.perceptual.features import features, layer_shapes, load_perceptual, perceptual_loss
from sluguq.networks.perceptual.published import weights_file
from sluguq.networks.perceptual.torch_files import WeightsFileError, read_torch_weights, verify_hash
from tests.places import SHARED

pytestmark = pytest.mark.usefixtures("quick_compilation")

# Real weights travel beside the project and are never part of it.
REAL = SHARED / "weights"
MEAN, DEVIATION = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])


@pytest.fixture(scope="module")
def torch():
    return pytest.importorskip("torch")


def pixels(count: int = 2, size: int = 32) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (count, size, size, 3)).astype(np.float32)


def state_dict(torch, network: str) -> "OrderedDict":
    """Random weights under torchvision's names, in its shapes."""
    generator = torch.Generator().manual_seed(0)
    state = OrderedDict()
    for layer, (height, width, inputs, outputs) in layer_shapes(network).items():
        scale = (2 / (height * width * inputs)) ** 0.5
        state[f"{layer}.weight"] = scale * torch.randn(outputs, inputs, height, width, generator=generator)
        state[f"{layer}.bias"] = 0.1 * torch.randn(outputs, generator=generator)
    return state


def torch_features(torch, network: str, state, x: np.ndarray) -> list[np.ndarray]:
    """The networks of torchvision once more, from their definitions there."""
    functional = torch.nn.functional
    state = {name: torch.as_tensor(np.asarray(value, np.float32)) for name, value in state.items()}
    y = (torch.tensor(x).permute(0, 3, 1, 2) + 1) / 2
    y = (y - torch.tensor(MEAN).view(1, 3, 1, 1)) / torch.tensor(DEVIATION).view(1, 3, 1, 1)
    y = y.float()

    def conv(name, y, **options):
        return functional.conv2d(y, state[f"{name}.weight"], state[f"{name}.bias"], **options)

    kept = []
    if network == "vgg19":
        plan = [64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4]
        position = 0
        for entry in plan:
            if entry == "M":
                y, position = functional.max_pool2d(y, 2, 2), position + 1
            else:
                y = conv(f"features.{position}", y, padding=1)
                kept.append(y)
                y, position = torch.relu(y), position + 2
    else:
        y = conv("features.0", y, stride=2)
        kept.append(y)
        y = torch.relu(y)
        for position in range(2, 13):
            if position in (2, 5, 8):
                y = functional.max_pool2d(y, 3, 2, ceil_mode=True)
                continue
            squeezed = torch.relu(conv(f"features.{position}.squeeze", y))
            one = conv(f"features.{position}.expand1x1", squeezed)
            three = conv(f"features.{position}.expand3x3", squeezed, padding=1)
            kept.append(torch.cat([one, three], 1))
            y = torch.relu(kept[-1])
    return [part.permute(0, 2, 3, 1).numpy() for part in kept]


@pytest.mark.parametrize("archive", [True, False], ids=["zip", "stream"])
@pytest.mark.parametrize("network", ["vgg19", "squeezenet1_1"])
def test_features_equal_torch_through_a_real_file(tmp_path, torch, network, archive):
    state = state_dict(torch, network)
    file = tmp_path / f"{network}.pth"
    torch.save({**state, "classifier.0.weight": torch.zeros(3)}, file, _use_new_zipfile_serialization=archive)
    loaded = load_perceptual(network, file)
    x = pixels(1)
    ours = list(features(loaded, jnp.asarray(x)))
    theirs = torch_features(torch, network, state, x)
    assert len(ours) == len(theirs) == loaded.outputs == {"vgg19": 16, "squeezenet1_1": 9}[network]
    for a, b in zip(ours, theirs, strict=True):
        assert a.shape == b.shape
        np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max())


@pytest.mark.skipif(not REAL.is_dir(), reason=f"no real weights in {REAL}")
def test_real_squeezenet_features_equal_torch(torch):
    file = REAL / "squeezenet1_1_imagenet.npz"
    loaded = load_perceptual("squeezenet1_1", file)
    x = pixels(2, 48)
    theirs = torch_features(torch, "squeezenet1_1", np.load(file), x)
    for a, b in zip(features(loaded, jnp.asarray(x)), theirs, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max())


def test_loss_is_the_mean_over_layers_and_has_no_gradient_to_the_target():
    network = load_perceptual("squeezenet1_1", None, weights="random", seed=1)
    a, b = jnp.asarray(pixels()), jnp.asarray(pixels()[::-1])
    wanted = np.mean(
        [
            np.mean((np.asarray(x) - np.asarray(y)) ** 2)
            for x, y in zip(features(network, a), features(network, b), strict=True)
        ]
    )
    np.testing.assert_allclose(perceptual_loss(network, a, b), wanted, rtol=1e-5)
    assert perceptual_loss(network, a, a) == 0
    to_target, to_reconstruction = jax.grad(perceptual_loss, argnums=(1, 2))(network, a, b)
    assert not to_target.any()
    assert to_reconstruction.any()


def test_random_weights_follow_the_seed_and_keep_the_scale_of_features():
    first, again, other = (load_perceptual("vgg19", None, weights="random", seed=s) for s in (0, 0, 1))
    jax.tree.map(np.testing.assert_array_equal, first, again)
    name = "features.0"
    assert not np.array_equal(first.weights[name]["kernel"], other.weights[name]["kernel"])
    deviations = [float(part.std()) for part in features(first, jnp.asarray(pixels(4)))]
    assert min(deviations) > 0.3
    assert max(deviations) < 5


def test_input_normalisation():
    network = load_perceptual("squeezenet1_1", None, weights="random")
    plain = load_perceptual("squeezenet1_1", None, weights="random", normalisation="none")
    x = pixels()
    brought = ((x + 1) / 2 - MEAN) / DEVIATION
    ours = next(features(network, jnp.asarray(x)))
    np.testing.assert_allclose(ours, next(features(plain, jnp.asarray(brought, jnp.float32))), atol=1e-4)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"network": "vgg16", "path": None, "weights": "random"}, "vgg19 or squeezenet1_1"),
        ({"network": "vgg19", "path": None}, "needs its file: fetch https"),
        ({"network": "vgg19", "path": None, "weights": "mine"}, "imagenet or random"),
        ({"network": "vgg19", "path": None, "weights": "random", "normalisation": "z"}, "imagenet or none"),
    ],
)
def test_impossible_requests_are_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        load_perceptual(**arguments)


def test_published_files_are_known_by_name_and_checksum():
    file = weights_file("vgg19")
    assert file.filename == f"vgg19-{file.sha256}.pth"
    assert file.url.endswith(file.filename)


def test_the_checksum_in_a_file_name_is_verified(tmp_path):
    content = b"weights"
    right = tmp_path / f"net-{sha256(content).hexdigest()[:8]}.pth"
    right.write_bytes(content)
    assert verify_hash(right) == sha256(content).hexdigest()
    wrong = tmp_path / "net-01234567.pth"
    wrong.write_bytes(content)
    with pytest.raises(WeightsFileError, match=r"net-01234567\.pth: its SHA-256 is"):
        load_perceptual("vgg19", wrong)


def test_weights_of_another_network_are_refused(tmp_path, torch):
    file = tmp_path / "weights.pth"
    torch.save(state_dict(torch, "squeezenet1_1"), file)
    with pytest.raises(WeightsFileError, match="not the weights of vgg19"):
        load_perceptual("vgg19", file)
    state = state_dict(torch, "squeezenet1_1")
    state["features.3.squeeze.weight"] = torch.zeros(16, 64, 3, 3)
    torch.save(state, file)
    with pytest.raises(WeightsFileError, match=r"features\.3\.squeeze has a kernel of shape \(3, 3, 64, 16\)"):
        load_perceptual("squeezenet1_1", file)


def test_tensors_of_all_kinds_are_read(tmp_path, torch):
    base = torch.arange(24, dtype=torch.float64).reshape(4, 6)
    state = {
        "transposed": base.T,
        "slice": base[1:3, ::2],
        "scalar": torch.tensor(7),
        "empty": torch.zeros(0, 3),
        "half": base.half(),
        "bytes": torch.tensor([1, 255], dtype=torch.uint8),
        "parameter": torch.nn.Parameter(base[0].clone()),
    }
    for archive in (True, False):
        torch.save(state, tmp_path / "t.pth", _use_new_zipfile_serialization=archive)
        arrays = read_torch_weights(tmp_path / "t.pth")
        assert list(arrays) == list(state)
        for name, tensor in state.items():
            wanted = tensor.detach().numpy()
            assert arrays[name].dtype == wanted.dtype
            np.testing.assert_array_equal(arrays[name], wanted)
    assert list(read_torch_weights(tmp_path / "t.pth", only="slice".__eq__)) == ["slice"]


class Malicious:
    def __reduce__(self):
        return os.system, ("true",)


def test_a_file_that_would_run_code_is_refused(tmp_path):
    file = tmp_path / "evil.pth"
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("evil/data.pkl", pickle.dumps({"weight": Malicious()}, protocol=2))
    with pytest.raises(WeightsFileError, match=r"evil\.pth: holds (posix|os)\.system"):
        read_torch_weights(file)
    file.write_bytes(pickle.dumps(Malicious(), protocol=2))
    with pytest.raises(WeightsFileError, match=r"evil\.pth: holds (posix|os)\.system"):
        read_torch_weights(file)


@pytest.mark.parametrize("archive", [True, False], ids=["zip", "stream"])
def test_damaged_files_are_refused(tmp_path, torch, archive):
    buffer = io.BytesIO()
    torch.save({"a": torch.ones(1000)}, buffer, _use_new_zipfile_serialization=archive)
    whole = buffer.getvalue()
    file = tmp_path / "w.pth"
    for damaged in (b"", b"not a file of weights", whole[: len(whole) // 2], whole[:40]):
        file.write_bytes(damaged)
        with pytest.raises(WeightsFileError, match=r"w\.pth"):
            read_torch_weights(file)
    torch.save([torch.ones(2)], file)
    with pytest.raises(WeightsFileError, match="no plain dictionary"):
        read_torch_weights(file)
    with pytest.raises(FileNotFoundError):
        read_torch_weights(tmp_path / "absent.pth")
