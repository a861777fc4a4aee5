"""PyTorch modules through torchax, against PyTorch's own Jacobians in float64."""

import copy
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sluguq
from sluguq.slug.exact import jacobian
from sluguq.slug.torch_bridge import TORCHAX
from tests.places import ROOT

torch = pytest.importorskip("torch", reason="PyTorch is not installed: make torch")
pytest.importorskip("torchax", reason="torchax is not installed: make torch")
nn = torch.nn

KEY = jax.random.key(0)


@pytest.fixture(autouse=True, scope="module")
def compiled_quickly(quick_compilation) -> None:
    """All networks here take longer to compile than to run."""


class Autoencoder(nn.Module):
    """Convolutions, batch normalisation, dropout, a tied weight, a frozen one, a buffer and a loose tensor."""

    def __init__(self) -> None:
        super().__init__()
        self.down = nn.Conv2d(3, 4, 3, 2, 1)
        self.norm = nn.BatchNorm2d(4)
        self.drop = nn.Dropout(0.5)
        self.middle = nn.utils.parametrizations.weight_norm(nn.Conv2d(4, 4, 3, padding=1))
        self.again = nn.Conv2d(4, 4, 1, bias=False)
        self.once_more = nn.Conv2d(4, 4, 1, bias=False)
        self.once_more.weight = self.again.weight
        self.up = nn.ConvTranspose2d(4, 3, 4, 2, 1)
        self.up.bias.requires_grad_(False)
        self.register_buffer("scale", torch.tensor([0.5, 1.0, 1.5]).reshape(1, 3, 1, 1))
        self.shift = torch.linspace(-0.1, 0.1, 3).reshape(1, 3, 1, 1)

    def forward(self, images):
        hidden = nn.functional.gelu(self.norm(self.down(images)))
        hidden = self.once_more(torch.tanh(self.again(self.drop(self.middle(hidden)))))
        return self.up(hidden) * self.scale + self.shift + torch.zeros(3, 1, 1)


def trained(module, *shape):
    """The module with running statistics of its own, left in training mode."""
    torch.manual_seed(0)
    with torch.no_grad():
        for _ in range(3):
            module.train()(2 * torch.randn(8, *shape) + 0.5)
    return module


@pytest.fixture(scope="module")
def autoencoder():
    torch.manual_seed(0)
    return trained(Autoencoder(), 3, 4, 6)


@pytest.fixture
def images():
    return torch.randn(3, 3, 4, 6, generator=torch.Generator().manual_seed(1))


class Called(nn.Module):
    """``forward(module, x)`` as a module, whose parameters are the module's."""

    def __init__(self, module, forward) -> None:
        super().__init__()
        self.module, self.function = module, forward

    def forward(self, x):
        return self.function(self.module, x)


def torch_jacobian(module, image, forward=None):
    """J of one image in float64 (D, p), parameters by name as ``ravel_pytree`` has them."""
    called = Called(copy.deepcopy(module), forward or (lambda module, x: module(x))).double().eval()
    names = [name for name, value in module.named_parameters() if value.requires_grad]
    weights = {name: value for name, value in called.module.named_parameters() if name in names}

    def output(weights):
        states = {f"module.{name}": value for name, value in weights.items()}
        return torch.func.functional_call(called, states, (image[None].double(),)).reshape(-1)

    rows = torch.func.jacrev(output, chunk_size=32)(weights)
    return np.concatenate([rows[name].detach().numpy().reshape(len(rows[name]), -1) for name in sorted(names)], axis=1)


def expected(rows, rank):
    """Eigenvalues of the Gauss-Newton matrix and SLUG of every image, from Jacobians (n, D, p)."""
    stacked = np.concatenate(rows)
    _, singular, directions = np.linalg.svd(stacked, full_matrices=False)
    left = [one - one @ directions[:rank].T @ directions[:rank] for one in rows]
    return singular[:rank] ** 2, np.array([(one**2).sum() for one in left]), left


def same_jacobian(apply, params, image, reference):
    rows = np.asarray(jacobian(apply, params, image.numpy()))
    np.testing.assert_allclose(rows, reference, atol=2e-5 * np.abs(reference).max())


def test_jacobians_are_torchs_own(autoencoder, images):
    apply, params = sluguq.from_torch(autoencoder, images[:1])
    assert autoencoder.training  # as it was
    assert set(params) == {name for name, value in autoencoder.named_parameters() if value.requires_grad}
    assert "up.bias" not in params
    for image in images[:2]:
        reference = torch_jacobian(autoencoder, image)
        assert reference.shape[1] == sum(value.size for value in params.values())
        same_jacobian(apply, params, image, reference)


def test_float64_under_x64(autoencoder, images):
    with jax.enable_x64(True):
        apply, params = sluguq.from_torch(copy.deepcopy(autoencoder).double(), images[:1].double())
        rows = np.asarray(jacobian(apply, params, images[0].double().numpy()))
    reference = torch_jacobian(autoencoder, images[0])
    np.testing.assert_allclose(rows, reference, atol=1e-12 * np.abs(reference).max())
    with pytest.warns(UserWarning, match="float64 and become float32"):
        sluguq.from_torch(copy.deepcopy(autoencoder).double(), images[:1].double())


def test_the_three_calls(autoencoder, images):
    apply, params = sluguq.from_torch(autoencoder, images[:1], channels_last=True)
    pictures = np.moveaxis(images.numpy(), 1, -1)
    basis = sluguq.eigenbasis(
        apply, params, pictures, rank=3, key=KEY, solver=sluguq.Lanczos(trace_probes=0), tolerance=1e-5
    )
    scores = sluguq.score(
        apply, params, basis, pictures, probes=256, probing=sluguq.Probing(norm_probes=0), maps=True, key=KEY
    )
    values, slug, left = expected([torch_jacobian(autoencoder, image) for image in images], 3)
    np.testing.assert_allclose(basis.eigenvalues, values, rtol=1e-5)
    np.testing.assert_allclose(scores.slug, slug, atol=4 * scores.slug_sem.max())
    maps = np.stack([np.square(one).sum(1).reshape(3, 4, 6).sum(0) for one in left])
    assert scores.maps.shape == maps.shape
    assert np.corrcoef(scores.maps.ravel(), maps.ravel())[0, 1] > 0.95


def test_a_second_call_traces_nothing(autoencoder, images):
    calls = []

    def forward(module, x):
        calls.append(x.shape)
        return module(x)

    apply, params = sluguq.from_torch(autoencoder, images[:1], forward=forward)
    sluguq.score(apply, params, None, images.numpy(), probes=2, key=KEY)
    traced = len(calls)
    sluguq.score(apply, params, None, images.numpy(), probes=2, key=KEY)
    assert len(calls) == traced > 0


def test_training_on_changes_neither_apply_nor_params(autoencoder, images):
    apply, params = sluguq.from_torch(autoencoder, images[:1])
    before = np.asarray(apply(params, images[:2].numpy()))
    with torch.no_grad():
        for value in [*autoencoder.parameters(), *autoencoder.buffers()]:
            value.mul_(2)
    np.testing.assert_array_equal(apply(params, images[:2].numpy()), before)
    with torch.no_grad():
        for value in [*autoencoder.parameters(), *autoencoder.buffers()]:
            value.copy_(value / 2)


def test_several_inputs_go_in_as_a_tuple_or_by_name():
    class Conditional(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(4, 2)

        def forward(self, x, condition):
            return torch.tanh(self.layer(torch.cat([x, condition], dim=1)))

    module, x, condition = Conditional(), torch.randn(3, 3), torch.randn(3, 1)
    wanted = module(x, condition).detach().numpy()
    for inputs in ((x, condition), {"condition": condition, "x": x}):
        apply, params = sluguq.from_torch(module, inputs)
        arrays = jax.tree.map(lambda leaf: jnp.asarray(leaf.numpy()), inputs)
        np.testing.assert_allclose(apply(params, arrays), wanted, rtol=1e-5, atol=1e-6)


def test_a_half_precision_module(images):
    module = nn.Conv2d(3, 3, 3, padding=1).bfloat16()
    apply, params = sluguq.from_torch(module, images[:1].bfloat16())
    assert all(value.dtype == jnp.bfloat16 for value in params.values())
    assert apply(params, jnp.asarray(images.numpy(), jnp.bfloat16)).dtype == jnp.bfloat16


def test_what_is_random_is_refused(images):
    class Sampling(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            mean = self.layer(x)
            return mean + torch.randn_like(mean)

    with pytest.raises(ValueError, match=r"random.*latent_dist\.mode"):
        sluguq.from_torch(Sampling(), images[:1])


def test_of_several_outputs_one_is_asked_for(images):
    class Two(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Conv2d(3, 3, 1)

        def forward(self, x):
            return self.layer(x), x.mean()

    with pytest.raises(ValueError, match=r"0 \(1, 3, 4, 6\), 1 \(\).*forward="):
        sluguq.from_torch(Two(), images[:1])
    module = Two()
    apply, params = sluguq.from_torch(module, images[:1], forward=lambda module, x: module(x)[0])
    np.testing.assert_allclose(apply(params, images.numpy()), module(images)[0].detach().numpy(), atol=1e-5)


def test_what_has_no_translation_is_named(images):
    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(()))

        def forward(self, x):
            return torch.special.airy_ai(x) * self.weight

    with pytest.raises(ValueError, match=r"1 \(Inner\), operator .*airy_ai"):
        sluguq.from_torch(nn.Sequential(nn.Conv2d(3, 3, 1), Inner()), images[:1])


def test_a_tensor_out_of_sight_is_named(images):
    class Hidden(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight, self.tensors = nn.Parameter(torch.ones(())), [torch.ones(6)]

        def forward(self, x):
            return x * self.tensors[0] * self.weight

    with pytest.raises(ValueError, match=r"Hidden.*register it as a buffer"):
        sluguq.from_torch(Hidden(), images[:1])


def test_nothing_to_be_uncertain_of(images):
    with pytest.raises(ValueError, match="all parameters of the module are frozen"):
        sluguq.from_torch(nn.Conv2d(3, 3, 1).requires_grad_(False), images[:1])
    with pytest.raises(ValueError, match=r"takes a torch\.nn\.Module, not a function"):
        sluguq.from_torch(lambda x: x, images[:1])


def test_a_wrong_translation_is_found(images, monkeypatch):
    import torchax

    monkeypatch.setitem(
        torchax.default_env()._ops,
        torch.ops.aten.tanh,
        torchax.tensor.ops_registry.Operator(torch.ops.aten.tanh, jnp.sinh, True, False, False, False),
    )
    module = nn.Sequential(nn.Conv2d(3, 3, 1), nn.Tanh())
    with pytest.raises(ValueError, match="differs from torch's"):
        sluguq.from_torch(module, images[:1])


def test_make_torch_installs_the_build_that_is_named():
    assert TORCHAX in (ROOT / "Makefile").read_text(encoding="utf-8").split()


def test_torchax_missing_tells_how_to_install_it(images, monkeypatch):
    monkeypatch.setitem(sys.modules, "torchax", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install --pre torchax==\S+dev"):
        sluguq.from_torch(nn.Conv2d(3, 3, 1), images[:1])


def diffusers_kl():
    models = pytest.importorskip("diffusers", reason="diffusers is not installed: make torch").models
    module = models.AutoencoderKL(
        in_channels=1,
        out_channels=1,
        block_out_channels=(4, 8),
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        latent_channels=2,
        norm_num_groups=2,
        layers_per_block=1,
    )
    return module, lambda vae, x: vae.decode(vae.encode(x).latent_dist.mode()).sample


def monai_kl():
    nets = pytest.importorskip("monai.networks.nets", reason="MONAI is not installed: make torch")
    pytest.importorskip("einops", reason="einops is not installed: make torch")
    module = nets.AutoencoderKL(
        spatial_dims=2,
        in_channels=1,
        out_channels=1,
        num_res_blocks=(1, 1),
        channels=(4, 8),
        attention_levels=(False, True),
        latent_channels=2,
        norm_num_groups=2,
    )
    return module, lambda vae, x: vae.decode(vae.encode(x)[0])


@pytest.mark.parametrize("build", [diffusers_kl, monai_kl])
def test_published_autoencoders(build):
    """With residual blocks, group normalisation and attention, as people have them."""
    torch.manual_seed(0)
    module, forward = build()
    images = torch.randn(2, 1, 8, 8)
    apply, params = sluguq.from_torch(module, images[:1], forward=forward, channels_last=True)
    pictures = np.moveaxis(images.numpy(), 1, -1)
    basis = sluguq.eigenbasis(
        apply, params, pictures, rank=2, key=KEY, solver=sluguq.Lanczos(trace_probes=0), tolerance=1e-4
    )
    scores = sluguq.score(apply, params, basis, pictures, probes=64, probing=sluguq.Probing(norm_probes=0), key=KEY)
    rows = [torch_jacobian(module, image, forward) for image in images]
    values, slug, _ = expected(rows, 2)
    np.testing.assert_allclose(basis.eigenvalues, values, rtol=1e-4)
    np.testing.assert_array_less(np.abs(scores.slug - slug), 4 * scores.slug_sem)
