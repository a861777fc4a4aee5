"""The package as a library: nothing but numerics imported, several devices, matfree's operators."""

import inspect
import json
import os
import re
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from matfree import decomp, stochtrace

import sluguq
from sluguq.slug.exact import dense_ggn
from tests.places import ROOT
from tests.slug.conftest import convnet_apply, convnet_params, mlp, mlp_params, pictures

KEY = jax.random.key(0)


def run(code: str, **environment: str) -> str:
    """Standard output of a fresh interpreter."""
    paths = os.pathsep.join([str(ROOT / "src"), str(ROOT)])
    result = subprocess.run(
        [sys.executable, "-c", code],
        env={
            **os.environ,
            "PYTHONPATH": paths,
            "JAX_PLATFORMS": "cpu",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return result.stdout


def test_import_costs_nothing():
    assert run("import sluguq, sys; print('jax' in sys.modules, 'numpy' in sys.modules)").split() == ["False", "False"]


def test_every_public_name_is_there():
    assert {name for name in dir(sluguq) if not name.startswith("__")} == set(sluguq.__all__)
    assert (ROOT / "src" / "sluguq" / "py.typed").exists()  # type checkers then believe the annotations
    for name in sluguq.__all__:
        assert getattr(sluguq, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'slugs'"):
        _ = sluguq.slugs  # type: ignore[attr-defined]


def _public_calls():
    """Functions that `sluguq` offers, and the public methods of its classes, by name."""
    for name in sluguq.__all__:
        thing = getattr(sluguq, name)
        if inspect.isfunction(thing):
            yield name, thing
        elif inspect.isclass(thing):
            yield from ((f"{name}.{key}", value) for key, value in vars(thing).items() if inspect.isfunction(value))


def test_every_parameter_of_a_public_call_is_described():
    undescribed = [
        f"{name}({parameter})"
        for name, call in _public_calls()
        if not name.rpartition(".")[2].startswith("_")
        for parameter in inspect.signature(call).parameters
        if parameter != "self" and not re.search(rf":param \**{parameter}:", inspect.getdoc(call) or "")
    ]
    assert undescribed == []


def test_all_calls_without_zarr_or_snakemake():
    code = """
import sys, jax, jax.numpy as jnp, sluguq
def apply(params, images):
    return jnp.tanh(images * params["w"] + params["b"])
params = {"w": jnp.ones(3), "b": jnp.zeros(3)}
images = jax.random.normal(jax.random.key(0), (4, 5, 5, 3))
key = jax.random.key(1)
basis = sluguq.eigenbasis(apply, params, images, rank=2, key=key)
sluguq.score(apply, params, basis, images, key=key, maps=True)
sluguq.score(apply, params, basis, images, key=key, tolerance=0.05)
sluguq.score_exact(apply, params, basis, images)
sketched = sluguq.sketched_eigenbasis(apply, params, images, rank=2, sketch_size=6, key=key, iterations=4)
sluguq.score_sketched(apply, params, sketched, images, probes=8, key=key)
print(sorted(set(sys.modules) & {"zarr", "xarray", "snakemake", "pandas", "pydantic", "flax"}))
"""
    assert run(code).strip() == "[]"


def test_two_devices_give_the_numbers_of_one():
    code = """
import json, jax, jax.numpy as jnp, numpy as np, sluguq
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from sluguq import Execution, Lanczos, Probing
from tests.slug.conftest import convnet_apply, convnet_params, pictures
assert len(jax.devices()) == 2
apply, params = convnet_apply(jnp.float32), convnet_params(jnp.float32)
images, key = pictures(6, 4, 4, 3, jnp.float32), jax.random.key(0)
sharded = jax.device_put(images, NamedSharding(Mesh(jax.devices(), ("image",)), PartitionSpec("image")))
results = {}
fewer = np.asarray(images[:5])
for name, these, options in [("one", images, {}), ("sharded", sharded, {}), ("fewer", fewer, {}),
                             ("asked", fewer, {"execution": Execution(devices=jax.devices())})]:
    options |= {"batch_size": 4, "key": key}
    solver = Lanczos(trace_probes=0)
    basis = sluguq.eigenbasis(apply, params, these, rank=4, tolerance=1e-4, solver=solver, **options)
    plain = sluguq.score(apply, params, basis, these, probes=6, probing=Probing(norm_probes=0), maps=True, **options)
    exact = sluguq.score(
        apply, params, basis, these, probes=4, tolerance=0.05, probing=Probing(norm_probes=0, directions=3), **options
    )
    results[name] = [basis.eigenvalues.tolist(), plain.slug.tolist(), plain.maps.tolist(), exact.slug.tolist()]
print(json.dumps(results))
"""
    results = json.loads(run(code, XLA_FLAGS="--xla_force_host_platform_device_count=2"))
    # Five images fill no batch of two devices evenly.
    for one, two in (("one", "sharded"), ("fewer", "asked")):
        for expected, found in zip(results[one], results[two], strict=True):
            np.testing.assert_allclose(found, expected, rtol=2e-3)


def test_lanczos_and_trace_agree_with_matfree(x64):
    params, images, apply = convnet_params(), pictures(5, 4, 4, 3), convnet_apply()
    basis = sluguq.eigenbasis(
        apply, params, images, rank=5, key=KEY, tolerance=1e-9, solver=sluguq.Lanczos(trace_probes=64)
    )
    dense = jnp.asarray(dense_ggn(apply, params, images))
    tridiag = decomp.tridiag_sym(25, reortho="full")
    result = tridiag(lambda vector: dense @ vector, jnp.ones(len(dense)))
    values = jnp.linalg.eigvalsh(result.J_small)[::-1]
    np.testing.assert_allclose(basis.eigenvalues, values[:5], rtol=1e-8)
    sampler = stochtrace.sampler_normal(jnp.ones(len(dense)), num=512)
    estimate = stochtrace.estimator_monte_carlo(stochtrace.monte_carlo_trace(), sampler)
    assert float(estimate(lambda vector: dense @ vector, KEY)) == pytest.approx(basis.trace, rel=0.15)


def test_a_plain_function_and_a_partial_share_the_answer():
    params, images = mlp_params(dtype=jnp.float32), pictures(3, dtype=jnp.float32)
    plain = sluguq.score(mlp, params, None, images, probes=4, key=KEY)
    partial = sluguq.score(jax.tree_util.Partial(mlp), params, None, images, probes=4, key=KEY)
    np.testing.assert_array_equal(plain.slug, partial.slug)


def test_images_may_come_from_anything_that_slices():
    class Store:
        """The part of a zarr array's interface that is needed."""

        def __init__(self, array):
            self.array, self.shape, self.dtype = array, array.shape, array.dtype

        def __getitem__(self, part):
            assert isinstance(part, slice)
            return self.array[part]

    params, images = mlp_params(dtype=jnp.float32), np.asarray(pictures(5, dtype=jnp.float32))
    expected = sluguq.score(mlp, params, None, images, probes=4, batch_size=2, key=KEY)
    streaming = sluguq.Execution(budget=sluguq.Budget(images=0.0))
    streamed = sluguq.score(mlp, params, None, Store(images), probes=4, batch_size=2, key=KEY, execution=streaming)
    np.testing.assert_array_equal(streamed.slug, expected.slug)


@pytest.mark.parametrize(
    ("mode", "value"),
    [
        ("jax_numpy_rank_promotion", "raise"),
        ("jax_numpy_dtype_promotion", "strict"),
        ("jax_transfer_guard", "disallow"),
    ],
)
def test_callers_may_be_strict(mode, value):
    params, images = mlp_params(dtype=jnp.float32), np.asarray(pictures(3, dtype=jnp.float32))
    key = jax.random.key(0)
    before = getattr(jax.config, mode)
    jax.config.update(mode, value)
    try:
        basis = sluguq.eigenbasis(mlp, params, images, rank=2, key=key)
        sluguq.score(mlp, params, basis, images, probes=4, key=key, maps=True, prior_precision=0.5)
        sluguq.score(mlp, params, basis, images, tolerance=0.09, key=key)
        sluguq.score_exact(mlp, params, basis, images)
        sketched = sluguq.sketched_eigenbasis(mlp, params, images, rank=2, sketch_size=60, key=key)
        sluguq.score_sketched(mlp, params, sketched, images, probes=4, key=key)
    finally:
        jax.config.update(mode, before)
