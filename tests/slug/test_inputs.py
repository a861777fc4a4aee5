"""Networks of vectors, of several inputs, of classes, with masks; examples from wherever people keep them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import sluguq
from sluguq.slug.examples import Examples, Loaded, concatenated, examples_of
from tests.slug.conftest import mlp, mlp_params, pictures

KEY = jax.random.key(0)


def conditional(params, examples):
    """Images, a vector of conditions and a class each."""
    shift = examples["condition"] @ params["condition"] + params["class"][examples["class"]]
    return jnp.tanh(examples["image"] * params["scale"] + shift[:, None, None, :])


def conditional_problem(n, dtype=jnp.float64):
    rng = np.random.default_rng(0)
    params = {"condition": (3, 2), "class": (4, 2), "scale": (2,)}
    params = {name: jnp.asarray(rng.normal(size=shape), dtype) for name, shape in params.items()}
    examples = {
        "image": rng.normal(size=(n, 3, 4, 2)).astype(dtype),
        "condition": rng.normal(size=(n, 3)).astype(dtype),
        "class": rng.integers(0, 4, n),
    }
    return params, examples


def vector_network(params, x):
    return jnp.tanh(x @ params["in"]) @ params["out"]


def vector_problem(n, classes=3, dtype=jnp.float64):
    rng = np.random.default_rng(1)
    params = {
        "in": jnp.asarray(rng.normal(size=(5, 4)), dtype),
        "out": jnp.asarray(rng.normal(size=(4, classes)), dtype),
    }
    return params, rng.normal(size=(n, 5)).astype(dtype)


def dense(apply, params, examples, n):
    """Outputs (n, D) and Jacobians (n, D, p) by JAX alone."""
    flat, unravel = ravel_pytree(params)

    def outputs(weights):
        return apply(unravel(weights), examples).reshape(n, -1)

    return np.asarray(outputs(flat)), np.asarray(jax.jacrev(outputs)(flat))


def check(apply, params, examples, n, *, rank=3, image=False):
    """The three calls against dense Jacobians."""
    _, rows = dense(apply, params, examples, n)
    basis = sluguq.eigenbasis(apply, params, examples, rank=rank, key=KEY, batch_size=2, tolerance=1e-9)
    values, vectors = np.linalg.eigh(np.einsum("ndp,ndq->pq", rows, rows))
    np.testing.assert_allclose(basis.eigenvalues, values[::-1][:rank], rtol=1e-8)
    left = rows - rows @ vectors[:, ::-1][:, :rank] @ vectors[:, ::-1][:, :rank].T
    expected = np.square(left).sum((1, 2))
    exact = sluguq.score_exact(apply, params, basis, examples)
    np.testing.assert_allclose(exact.slug, expected, rtol=1e-6)
    assert (exact.maps is not None) == image
    for options in ({"probes": 400}, {"tolerance": 0.02}):
        scores = sluguq.score(apply, params, basis, examples, key=KEY, maps=image, batch_size=2, **options)
        np.testing.assert_array_less(np.abs(scores.slug - expected), 5 * scores.slug_sem + 1e-9)
    if image:
        np.testing.assert_allclose(scores.maps, exact.maps, rtol=0.5, atol=0.05 * exact.maps.max())


def test_several_inputs_by_name(x64):
    params, examples = conditional_problem(5)
    check(conditional, params, examples, 5, image=True)


def test_several_inputs_as_a_tuple(x64):
    params, examples = conditional_problem(3)

    def apply(params, pair):
        return conditional(params, {"image": pair[0], "condition": pair[1], "class": jnp.zeros(len(pair[0]), int)})

    check(apply, params, (examples["image"], examples["condition"]), 3, image=True)


def test_vectors_in_and_out(x64):
    params, x = vector_problem(5)
    check(vector_network, params, x, 5)


def test_a_number_out(x64):
    params, x = vector_problem(5, classes=1)
    check(lambda params, x: vector_network(params, x)[:, 0], params, x, 5)


def test_latents_to_images(x64):
    params, x = vector_problem(4, classes=12)
    check(lambda params, x: vector_network(params, x).reshape(-1, 2, 3, 2), params, x, 4, image=True)


def test_sketched_scores_of_vectors(x64):
    params, x = vector_problem(4)
    basis = sluguq.sketched_eigenbasis(vector_network, params, x, rank=2, sketch_size=30, iterations=10, key=KEY)
    scores = sluguq.score_sketched(vector_network, params, basis, x, probes=20, key=KEY, coordinates=[[0], [2]])
    assert scores.slug.shape == (4,)
    assert scores.slu.shape == (4, 2)


def test_maps_of_what_is_no_image_are_refused():
    params, x = vector_problem(3, dtype=jnp.float32)
    with pytest.raises(ValueError, match=r"maps need outputs \(n, height, width, channels\).*returns \(n, 3\)"):
        sluguq.score(vector_network, params, None, x, key=KEY, maps=True)


@pytest.mark.parametrize(
    ("likelihood", "loss"),
    [
        ("gaussian", lambda logits: 0.5 * jnp.square(logits - 1).sum()),
        ("categorical", lambda logits: -jax.nn.log_softmax(logits)[1]),
        ("bernoulli", lambda logits: -jax.nn.log_sigmoid(logits[0]) - jax.nn.log_sigmoid(-logits[1:]).sum()),
    ],
)
def test_likelihoods_against_the_dense_gauss_newton_matrix(x64, likelihood, loss):
    params, x = vector_problem(6)
    outputs, rows = dense(vector_network, params, x, 6)
    hessians = np.stack([jax.hessian(loss)(jnp.asarray(output)) for output in outputs])
    matrix = np.einsum("ndp,nde,neq->pq", rows, hessians, rows)
    values, vectors = np.linalg.eigh(matrix)
    basis = sluguq.eigenbasis(
        vector_network,
        params,
        x,
        rank=4,
        key=KEY,
        tolerance=1e-9,
        likelihood=likelihood,
        solver=sluguq.Lanczos(trace_probes=400),
    )
    np.testing.assert_allclose(basis.eigenvalues, values[::-1][:4], rtol=1e-8)
    np.testing.assert_allclose(np.abs(vectors[:, ::-1][:, :4].T @ np.asarray(basis.vectors).T), np.eye(4), atol=1e-5)
    assert abs(basis.trace - np.trace(matrix)) < 4 * basis.trace_sem + 1e-9


def test_classes_of_every_pixel(x64):
    params, x = vector_problem(3, classes=12)

    def apply(params, x):
        return vector_network(params, x).reshape(-1, 2, 2, 3)

    outputs, rows = dense(apply, params, x, 3)
    hessian = jax.hessian(lambda logits: -jax.nn.log_softmax(logits.reshape(-1, 3))[:, 0].sum())
    matrix = sum(row.T @ hessian(jnp.asarray(output)) @ row for row, output in zip(rows, outputs, strict=True))
    basis = sluguq.eigenbasis(apply, params, x, rank=3, key=KEY, tolerance=1e-9, likelihood="categorical")
    np.testing.assert_allclose(basis.eigenvalues, np.linalg.eigvalsh(matrix)[::-1][:3], rtol=1e-8)


def test_another_likelihood_is_refused():
    params, x = vector_problem(3, dtype=jnp.float32)
    with pytest.raises(ValueError, match="likelihood is 'poisson': it can be gaussian, categorical, bernoulli"):
        sluguq.eigenbasis(vector_network, params, x, rank=1, key=KEY, likelihood="poisson")


@pytest.mark.parametrize("axes", [1, 3, 4])
def test_masks_weigh_outputs(x64, axes):
    params, images = mlp_params(hidden=2), np.asarray(pictures(4))
    mask = np.random.default_rng(0).uniform(0, 2, images.shape[:axes])
    mask[0] = 0
    full = np.broadcast_to(mask.reshape(mask.shape + (1,) * (4 - axes)), images.shape)
    _, rows = dense(mlp, params, images, 4)
    rows = rows * np.sqrt(full.reshape(4, -1, 1))
    values, vectors = np.linalg.eigh(np.einsum("ndp,ndq->pq", rows, rows))
    basis = sluguq.eigenbasis(mlp, params, sluguq.masked(images, mask), rank=3, key=KEY, tolerance=1e-6)
    np.testing.assert_allclose(basis.eigenvalues, values[::-1][:3], rtol=1e-5)
    left = rows - rows @ vectors[:, ::-1][:, :3] @ vectors[:, ::-1][:, :3].T
    scores = sluguq.score(mlp, params, basis, sluguq.masked(images, mask), probes=600, key=KEY, maps=True)
    np.testing.assert_array_less(np.abs(scores.slug - np.square(left).sum((1, 2))), 5 * scores.slug_sem + 1e-9)
    assert (scores.maps[full[..., 0] == 0] == 0).all()


def test_a_subset_of_masked_images():
    params, images = mlp_params(dtype=jnp.float32), pictures(4, dtype=jnp.float32)
    mask, wanted = np.random.default_rng(0).uniform(size=(4, 4, 3)), [3, 1]
    expected = sluguq.eigenbasis(mlp, params, sluguq.masked(images[np.array(wanted)], mask[wanted]), rank=2, key=KEY)
    found = sluguq.eigenbasis(mlp, params, sluguq.masked(images, mask), rank=2, key=KEY, subset=wanted)
    np.testing.assert_array_equal(found.eigenvalues, expected.eigenvalues)


def test_masks_that_make_no_sense():
    params, images = mlp_params(dtype=jnp.float32), pictures(3, dtype=jnp.float32)
    for mask, message in [
        (np.ones(2), r"mask has shape \(2,\), but there are 3 images"),
        (-np.ones(3), "mask holds negative"),
        (np.ones((3, 4, 3, 2, 1)), "mask has 5 axes, but the outputs have 4"),
    ]:
        with pytest.raises(ValueError, match=message):
            sluguq.score(mlp, params, None, sluguq.masked(images, mask), key=KEY)


@pytest.fixture(scope="module")
def problem():
    params, images = mlp_params(dtype=jnp.float32), np.asarray(pictures(5, dtype=jnp.float32))
    return params, images, sluguq.score(mlp, params, None, images, probes=4, batch_size=2, key=KEY).slug


def same(problem, images, **options):
    params, _, expected = problem
    found = sluguq.score(mlp, params, None, images, probes=4, batch_size=2, key=KEY, **options)
    np.testing.assert_array_equal(found.slug, expected)


def test_xarray(problem):
    xarray = pytest.importorskip("xarray", reason="xarray is not installed: pip install sluguq[workflow]")
    same(problem, xarray.DataArray(problem[1], dims=("image", "y", "x", "channel")))


def test_zarr(problem, tmp_path):
    zarr = pytest.importorskip("zarr", reason="zarr is not installed: pip install sluguq[workflow]")
    store = zarr.create_array(tmp_path / "images.zarr", data=problem[1], chunks=(2, 4, 3, 2))
    same(problem, store)
    params, images, _ = problem
    wanted = [0, 2, 3]
    chosen = sluguq.eigenbasis(mlp, params, images[wanted], rank=2, key=KEY)
    for subset in (wanted, np.isin(np.arange(5), wanted), np.array(wanted)):
        basis = sluguq.eigenbasis(mlp, params, store, rank=2, key=KEY, subset=subset)
        np.testing.assert_array_equal(basis.eigenvalues, chosen.eigenvalues)


def test_torch_tensors_and_loaders(problem):
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: make torch")
    tensor = torch.tensor(problem[1])
    same(problem, tensor)
    same(problem, tensor.clone().requires_grad_())
    data = torch.utils.data.TensorDataset(tensor, torch.arange(5))
    params, _, expected = problem
    for size in (1, 2, 3, 7):
        loader = torch.utils.data.DataLoader(data, batch_size=size)
        scores = sluguq.score(
            lambda params, batch: mlp(params, batch[0]), params, None, loader, probes=4, batch_size=2, key=KEY
        )
        np.testing.assert_allclose(scores.slug, expected, rtol=1e-6)
    with pytest.raises(ValueError, match="switch off shuffling"):
        loader = torch.utils.data.DataLoader(tensor, batch_size=2, shuffle=True)
        sluguq.score(mlp, params, None, loader, probes=64, batch_size=2, key=KEY)


class Loader:
    """Batches of several sizes, from the start each time."""

    def __init__(self, images, sizes):
        self.images, self.stops, self.passes = images, np.cumsum(sizes), 0

    def __iter__(self):
        self.passes += 1
        return iter(np.split(self.images, self.stops[:-1]))


def test_a_loader_for_data_that_fit_nowhere(problem):
    params, images, _ = problem
    nothing_stays = sluguq.Execution(budget=sluguq.Budget(images=0.0))
    loader = Loader(images, [1, 3, 1])
    same(problem, loader, execution=nothing_stays)
    assert loader.passes > 2
    expected = sluguq.eigenbasis(mlp, params, images, rank=2, key=KEY, batch_size=2, execution=nothing_stays)
    found = sluguq.eigenbasis(mlp, params, loader, rank=2, key=KEY, batch_size=2, execution=nothing_stays)
    np.testing.assert_array_equal(found.vectors, expected.vectors)


def test_slices_of_a_loader():
    images = np.arange(23.0).reshape(23, 1)
    loaded = Loaded(Loader(images, [5, 1, 9, 8]))
    assert loaded.n == 23
    assert loaded.nbytes == images.nbytes
    rng = np.random.default_rng(0)
    for _ in range(200):
        start = int(rng.integers(0, 23))
        part = slice(start, int(rng.integers(start, 24)))
        np.testing.assert_array_equal(loaded[part], images[part])


def test_what_a_loader_must_be(problem):
    _, images, _ = problem
    with pytest.raises(ValueError, match="generator, which can be gone through only once"):
        examples_of(batch for batch in [images])
    with pytest.raises(ValueError, match="yields no batch"):
        examples_of({}.keys())
    with pytest.raises(ValueError, match="choose the subset in the loader"):
        examples_of(Loader(images, [2, 3]), [0, 1])


def test_subsets():
    images = np.arange(6.0).reshape(6, 1)
    for subset, wanted in [
        (slice(1, 5, 2), [1, 3]),
        ([True, False, False, False, False, True], [0, 5]),
        ([-1, 0], [5, 0]),
        (np.array([4, 4]), [4, 4]),
    ]:
        np.testing.assert_array_equal(examples_of(images, subset)[:], images[wanted])
    for subset, message in [
        ([True, False], "mask of 2, but there are 6 images"),
        ([6], "subset holds 6, but there are 6 images"),
        ([0.5], "subset must be a list of indices, a mask or a slice"),
        ([], "subset must be"),
        (slice(6, 6), "image set is empty"),
    ]:
        with pytest.raises(ValueError, match=message):
            examples_of(images, subset)


def test_trees_that_do_not_fit_together():
    with pytest.raises(ValueError, match=r"differ in their number of examples: \['a'\] 2, \['b'\] 3"):
        Examples({"a": np.zeros((2, 1)), "b": np.zeros((3, 1))})
    with pytest.raises(ValueError, match=r"images\['b'\] is a single number"):
        Examples({"a": np.zeros((2, 1)), "b": np.zeros(())})
    with pytest.raises(ValueError, match="holds a str, which is no array"):
        Examples({"a": np.zeros((2, 1)), "b": "condition"})
    with pytest.raises(ValueError, match="holds no arrays"):
        Examples({})
    with pytest.raises(ValueError, match=r"image 1 holds NaN or infinite values in \['b'\]"):
        params, _ = vector_problem(2, dtype=jnp.float32)
        examples = {"a": np.ones((2, 5), np.float32), "b": np.array([[0], [np.nan]], np.float32)}
        sluguq.score(
            lambda params, both: vector_network(params, both["a"]) + both["b"], params, None, examples, key=KEY
        )
    assert isinstance(concatenated(jnp.ones(1), np.ones(1)), jax.Array)
