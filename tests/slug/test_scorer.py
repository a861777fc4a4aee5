"""Images that come a few at a time: the scores of one call, compiled once; and what scores turn into."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import sluguq
from sluguq.slug.deflated import _residual
from sluguq.slug.probes import outputs
from tests.slug.conftest import mlp, mlp_params, pictures

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def problem():
    params, images = mlp_params(dtype=jnp.float32), np.asarray(pictures(9, dtype=jnp.float32))
    return params, images, sluguq.eigenbasis(mlp, params, images, rank=3, key=KEY)


OPTIONS = [{"probes": 8}, {"tolerance": 0.05, "probes": 16, "probing": sluguq.Probing(directions=3)}]


@pytest.mark.parametrize("options", OPTIONS)
def test_scores_are_those_of_one_call(problem, options):
    params, images, basis = problem
    options = {**options, "key": KEY, "maps": True}
    expected = sluguq.score(mlp, params, basis, images, **options)
    scorer = sluguq.Scorer(mlp, params, basis, batch_size=4, **options)
    parts = list(scorer.stream(np.split(images, [1, 6])))
    found = sluguq.Scores.concatenated(parts)
    for name in ("slug", "maps", "jacobian_norm", "slug_sem"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=2e-3)
    np.testing.assert_array_equal(found.probes, expected.probes)


@pytest.mark.parametrize("options", OPTIONS)
def test_batches_of_any_size_compile_nothing_new(problem, options):
    params, images, basis = problem
    looked = []

    def apply(params, images):
        looked.append(images.shape)
        return mlp(params, images)

    scorer = sluguq.Scorer(apply, params, basis, batch_size=4, key=KEY, **options)
    for _ in range(4):
        scorer(images)  # every size of what is left over comes up
    steps = (outputs, _residual)
    compiled, traced = [step._cache_size() for step in steps], len(looked)
    for size in (1, 2, 3, 4, 5, 9):
        assert len(scorer(images[:size]).slug) == size
    assert [step._cache_size() for step in steps] == compiled
    assert len(looked) == traced


def test_a_stream_may_have_no_end(problem):
    params, images, basis = problem
    scorer = sluguq.Scorer(mlp, params, basis, batch_size=2, key=KEY, probes=4)
    stream = scorer.stream(itertools.cycle([images[:2], images[2:3]]))
    assert [len(scores.slug) for scores in itertools.islice(stream, 4)] == [2, 1, 2, 1]


def test_probes_are_projected_once(problem, monkeypatch):
    params, images, basis = problem
    projected = []
    original = sluguq.slug.projection.Projector.project
    monkeypatch.setattr(
        "sluguq.slug.projection.Projector.project",
        lambda self, probes: projected.append(len(probes)) or original(self, probes),
    )
    scorer = sluguq.Scorer(mlp, params, basis, batch_size=4, key=KEY, probes=8)
    for _ in range(3):
        scorer(images[:4])
    assert projected == [8, 8]  # one pass of probes for the first eight images, one for the next


def test_bad_input_is_told_early_and_late(problem):
    params, images, basis = problem
    with pytest.raises(ValueError, match="probes is 1"):
        sluguq.Scorer(mlp, params, basis, key=KEY, probes=1)
    scorer = sluguq.Scorer(mlp, params, basis, key=KEY, probes=4)
    with pytest.raises(ValueError, match=r"cannot be traced|must return"):
        scorer(images[:, :2])
    scorer(images[:2])
    with pytest.raises(ValueError, match="image 1 holds NaN"):
        scorer(np.stack([images[0], images[1] * np.nan]))
    with pytest.raises(ValueError, match="one scorer takes one kind of input"):
        scorer(sluguq.masked(images[:2], np.ones(2)))


@pytest.fixture(scope="module")
def scores(problem):
    params, images, basis = problem
    return sluguq.score(mlp, params, basis, images[:4], key=KEY, probes=8, maps=True)


def test_a_short_repr(scores):
    text = repr(scores)
    assert text.startswith(f"Scores of 4 images: slug {scores.slug[0]:.4g} ± ")
    assert len(text) < 120
    assert "maps 4 × 3" in text
    assert "1 not converged" in repr(scores._replace(converged=np.array([True, True, False, True]), maps=None))


def test_what_does_not_go_together(scores):
    halves = [
        scores._replace(**{name: getattr(scores, name)[part] for name in scores._fields[:7]})
        for part in (slice(0, 3), slice(3, 4))
    ]
    whole = sluguq.Scores.concatenated(halves)
    for name in scores._fields[:7]:
        np.testing.assert_array_equal(getattr(whole, name), getattr(scores, name))
    with pytest.raises(ValueError, match="some of the scores have maps"):
        sluguq.Scores.concatenated([scores, scores._replace(maps=None)])
    with pytest.raises(ValueError, match="exact directions"):
        sluguq.Scores.concatenated([scores, scores._replace(directions=16)])
    with pytest.raises(ValueError, match="no scores"):
        sluguq.Scores.concatenated([])


def test_as_xarray(scores):
    pytest.importorskip("xarray", reason="xarray is not installed: pip install sluguq[workflow]")
    dataset = scores.to_xarray(images=["a", "b", "c", "d"])
    assert dict(dataset.sizes) == {"image": 4, "y": 4, "x": 3}
    np.testing.assert_allclose(dataset.maps.sum(("y", "x")), dataset.slug, rtol=1e-4)
    assert float(dataset.slug.sel(image="c")) == scores.slug[2]
    for variable in dataset.data_vars.values():
        assert set(variable.attrs) == {"long_name", "units", "source"}


def test_as_pandas(scores):
    pytest.importorskip("pandas", reason="pandas is not installed: pip install sluguq[workflow]")
    frame = scores.to_pandas()
    assert frame.index.name == "image"
    assert list(frame.columns[:2]) == ["slug", "slug_sem"]
    np.testing.assert_array_equal(frame.slug, scores.slug)
    np.testing.assert_array_equal(frame.removed, scores.removed)
