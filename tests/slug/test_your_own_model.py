"""Every snippet of docs/your-own-model.md, with a model of its framework; the examples beside it."""

import re
import runpy

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen, nnx

import sluguq
from tests.places import ROOT

KEY = jax.random.key(0)
PAGE = (ROOT / "docs" / "your-own-model.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True, scope="module")
def compiled_quickly(quick_compilation) -> None:
    """All networks here take longer to compile than to run."""


def snippets(heading):
    """The Python blocks under a heading of the page."""
    section = re.split(r"^#+ (?=[A-Z])", PAGE, flags=re.MULTILINE)
    (text,) = [part for part in section if part.startswith(heading)]
    return re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)


def run(heading, **given):
    """The names that a section's snippets leave behind, run one after the other."""
    blocks = snippets(heading)
    assert blocks
    for block in blocks:
        exec(compile(block, heading, "exec"), given)
    return given


def pictures(n=6):
    return np.random.default_rng(0).uniform(-1, 1, (n, 8, 8, 3)).astype(np.float32)


def serves(apply, params, images, expected):
    """``apply`` is the model, and the calls take it."""
    np.testing.assert_allclose(apply(params, jnp.asarray(images)), expected, rtol=1e-4, atol=1e-5)
    basis = sluguq.eigenbasis(apply, params, images, rank=2, key=KEY)
    scores = sluguq.score(apply, params, basis, images, key=KEY, maps=True, probes=8)
    assert scores.maps.shape == (len(images), 8, 8)
    assert (scores.slug > 0).all()


def test_the_three_calls():
    model = nnx.Conv(3, 3, (3, 3), rngs=nnx.Rngs(0))
    found = run("Your own model", model=model, training_images=pictures(), new_images=pictures(2))
    assert found["scores"].slug.shape == found["scores"].slug_sem.shape == (2,)


class Normalised(nnx.Module):
    def __init__(self, rngs):
        self.first = nnx.Conv(3, 4, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.drop = nnx.Dropout(0.5, rngs=rngs)
        self.last = nnx.Conv(4, 3, (3, 3), rngs=rngs)

    def __call__(self, images):
        return self.last(self.drop(nnx.elu(self.norm(self.first(images)))))


def test_nnx():
    model, images = Normalised(nnx.Rngs(0)), pictures()
    model.train()
    model(2 * images + 1)  # statistics of its own
    found = run("Flax NNX", model=model)
    assert sum(leaf.size for leaf in jax.tree.leaves(found["params"])) == 3 * 9 * 4 + 4 + 8 + 4 * 9 * 3 + 3
    serves(found["apply"], found["params"], images, model(images))


def test_linen():
    class Network(linen.Module):
        @linen.compact
        def __call__(self, images, train):
            hidden = linen.BatchNorm(use_running_average=not train)(linen.Conv(4, (3, 3))(images))
            hidden = linen.Dropout(0.5, deterministic=not train)(linen.elu(hidden))
            return linen.Conv(3, (3, 3))(hidden)

    model, images = Network(), pictures()
    variables = model.init({"params": KEY, "dropout": KEY}, images, train=True)
    _, statistics = model.apply(variables, 2 * images + 1, train=True, rngs={"dropout": KEY}, mutable=["batch_stats"])
    variables = {**variables, **statistics}
    found = run("Flax linen", model=model, variables=variables)
    serves(found["apply"], found["params"], images, model.apply(variables, images, train=False))


def test_equinox():
    eqx = pytest.importorskip("equinox", reason="Equinox is not installed: pip install equinox")
    keys = jax.random.split(KEY)
    model = eqx.nn.Sequential(
        [
            eqx.nn.Conv2d(3, 4, 3, padding=1, key=keys[0]),
            eqx.nn.Lambda(jax.nn.elu),
            eqx.nn.Dropout(0.5),
            eqx.nn.Conv2d(4, 3, 3, padding=1, key=keys[1]),
        ]
    )
    images = pictures()
    found = run("Equinox", model=model)
    expected = jax.vmap(eqx.nn.inference_mode(model))(np.moveaxis(images, -1, 1))
    serves(found["apply"], found["params"], images, np.moveaxis(expected, 1, -1))


def test_haiku():
    hk = pytest.importorskip("haiku", reason="Haiku is not installed: pip install dm-haiku")

    def forward(images, is_training):
        hidden = hk.Conv2D(4, 3)(images)
        hidden = hk.BatchNorm(True, True, 0.9)(hidden, is_training)
        return hk.Conv2D(3, 3)(jax.nn.elu(hidden))

    images = pictures()
    network = hk.without_apply_rng(hk.transform_with_state(forward))
    params, state = network.init(KEY, images, is_training=True)
    _, state = network.apply(params, state, 2 * images + 1, is_training=True)
    found = run("Haiku", network=network, params=params, state=state)
    serves(found["apply"], params, images, network.apply(params, state, images, is_training=False)[0])


def test_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: make torch")
    pytest.importorskip("torchax", reason="torchax is not installed: make torch")
    nn = torch.nn
    model = nn.Sequential(
        nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ELU(), nn.Dropout(), nn.Conv2d(4, 3, 3, padding=1)
    )
    torch_images = torch.tensor(np.moveaxis(pictures(), -1, 1))
    model(2 * torch_images + 1)
    found = run("PyTorch", model=model, torch_images=torch_images)
    expected = model.eval()(torch_images).detach().movedim(1, -1)
    serves(found["apply"], found["params"], found["images"].numpy(), expected.numpy())


@pytest.fixture
def given():
    graph, params = nnx.split(nnx.Conv(3, 3, (3, 3), rngs=nnx.Rngs(0)), nnx.Param)
    return {
        "sluguq": sluguq,
        "apply": lambda params, images: nnx.merge(graph, params)(images),
        "params": params,
        "images": pictures(4),
        "key": KEY,
    }


def test_what_goes_in(given):
    masks, ages = np.random.default_rng(1).uniform(size=(4, 8, 8)), np.linspace(0, 1, 4).astype(np.float32)
    found = run("What goes in", ages=ages, masks=masks, **given)
    assert found["logits"](given["params"], given["images"]).shape == (4, 3)
    assert found["scores"].slug.shape == (4,)
    # The map of each channel: their sum is the map.
    apply, params, images = given["apply"], given["params"], given["images"]
    basis = sluguq.eigenbasis(apply, params, images, rank=2, key=given["key"])
    whole = sluguq.score(apply, params, basis, images, key=given["key"], maps=True).maps
    assert found["pictures"].shape == (4, 8, 8, 3)
    assert found["pictures"].max() == 1
    np.testing.assert_allclose(found["coloured"].sum(-1), whole, rtol=0.02)


def test_part_of_the_weights(given):
    found = run("Part of the weights", **given)
    assert [leaf.shape for leaf in jax.tree.leaves(found["last"])] == [(3, 3, 3, 3)]


def test_images_as_they_come_and_their_variances(given, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = run("Images as they come", **given)
    assert len(found["basis"].eigenvalues) == 3
    assert len(found["scores"].slug) == 4
    found = run("Variances in the output's own units", **{**given, "basis": found["basis"]})
    variance = found["variance"]
    assert variance.epistemic.shape == given["images"].shape
    total = (found["scores"].maps / found["alpha"]).sum()
    assert variance.epistemic.sum() == pytest.approx(total, rel=0.2)


def test_a_step_of_a_denoiser_is_less_sure_of_what_training_never_showed(capsys):
    scores = runpy.run_path(str(ROOT / "examples" / "denoiser.py"))["main"](steps=150)
    assert scores["stripes"] > 1.2 * scores["discs"] > 0
    assert "most uncertain at pixel" in capsys.readouterr().out
