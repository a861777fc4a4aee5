"""The same numbers by other people's packages: laplax, matfree, and curvlinops through PyTorch."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree
from matfree import decomp, eig

import sluguq
from sluguq.slug.exact import jacobian
from sluguq.slug.ggn import GGN
from tests.slug.conftest import convnet_apply, convnet_params, mlp, mlp_params, pictures

KEY = jax.random.key(0)
ALPHA = 2.0


def test_laplaxs_exact_predictive_variance(x64):
    """16 px, dense curvature there, thirty eigenpairs and probes here."""
    laplax = pytest.importorskip("laplax", reason="laplax is not installed: pip install laplax")
    from laplax.eval.pushforward import lin_pred_mean, lin_pred_var, lin_setup, set_lin_pushforward

    apply, params = convnet_apply(width=3), convnet_params(width=3, channels=1)
    training, new = pictures(6, 16, 16, 1), pictures(3, 16, 16, 1, seed=2)

    def model(input, params):
        return apply(params, input[None])[0].ravel()

    def loss(prediction, target):
        return 0.5 * jnp.sum((prediction - target) ** 2)

    data = {"input": training, "target": training.reshape(len(training), -1)}
    posterior_fn, _ = laplax.laplace(model, params, data, loss_fn=loss, curv_type="full")
    predict = set_lin_pushforward(
        model, params, posterior_fn, {"prior_prec": ALPHA}, pushforward_fns=[lin_setup, lin_pred_mean, lin_pred_var]
    )
    theirs = np.stack([predict(image)["pred_var"] for image in new])

    count = sum(value.size for value in params.values())
    basis = sluguq.eigenbasis(apply, params, training, rank=count, key=KEY, tolerance=1e-8)
    ours = sluguq.posterior(basis, prior_precision=ALPHA).variance(apply, params, new, probes=512, key=KEY)
    away = (ours.epistemic.reshape(theirs.shape) - theirs) / ours.sem.reshape(theirs.shape)
    assert np.sqrt(np.mean(away**2)) < 1.2  # one standard error
    scores = sluguq.score_exact(apply, params, basis, new, prior_precision=ALPHA)
    np.testing.assert_allclose(scores.slug / ALPHA, theirs.sum(axis=1), rtol=1e-6)


def test_matfrees_eigenpairs_of_our_operator(x64):
    params, images, apply = convnet_params(), pictures(5, 4, 4, 3), convnet_apply()
    ggn = GGN(apply, params, images)
    ours = sluguq.eigenbasis(apply, params, images, rank=4, key=KEY, tolerance=1e-9)
    flat, unravel = ravel_pytree(params)

    def product(vector):  # matfree's own Jacobians, not ours
        def one(image):
            _, jvp = jax.jvp(lambda w: apply(unravel(w), image[None]), (flat,), (vector,))
            return jax.vjp(lambda w: apply(unravel(w), image[None]), flat)[1](jvp)[0]

        return jax.vmap(one)(images).sum(0)

    solve = eig.eigh_partial(decomp.tridiag_sym(40, reortho="full"))
    values, vectors = solve(product, jnp.ones(ggn.size))
    order = np.argsort(np.asarray(values))[::-1][:4]
    np.testing.assert_allclose(ours.eigenvalues, np.asarray(values)[order], rtol=1e-7)
    aligned = np.abs(np.asarray(vectors)[order] @ np.asarray(ours.vectors).T)
    np.testing.assert_allclose(aligned, np.eye(4), atol=1e-4)


def test_curvlinops_gauss_newton_matrix_through_pytorch():
    torch = pytest.importorskip("torch", reason="PyTorch is not installed: make torch")
    curvlinops = pytest.importorskip("curvlinops", reason="curvlinops is not installed: make torch")
    pytest.importorskip("torchax", reason="torchax is not installed: make torch")
    torch.manual_seed(0)
    nn = torch.nn
    module = nn.Sequential(nn.Conv2d(2, 3, 3, padding=1), nn.Tanh(), nn.Conv2d(3, 2, 3, padding=1))
    images = torch.randn(5, 2, 4, 4)
    apply, params = sluguq.from_torch(module, images[:1])
    ours = sluguq.eigenbasis(apply, params, images.numpy(), rank=5, key=KEY, tolerance=1e-5)

    module = module.double()
    data = [(images.double(), images.double())]
    operator = curvlinops.GGNLinearOperator(module, nn.MSELoss(reduction="sum"), list(module.parameters()), data)
    matrix = (operator @ torch.eye(operator.shape[1], dtype=torch.float64)).detach().numpy()
    values = np.linalg.eigvalsh(matrix)[::-1] / 2  # the Hessian of a squared error is 2
    np.testing.assert_allclose(ours.eigenvalues, values[:5], rtol=1e-5)
    np.testing.assert_allclose(ours.trace, np.trace(matrix) / 2, atol=4 * ours.trace_sem)


def test_jacobians_are_jaxs_own(x64):
    """The references of all other tests, by a function that this package does not use."""
    params, image = mlp_params(), pictures(1)[0]
    flat, unravel = ravel_pytree(params)
    expected = jax.jacrev(lambda weights: mlp(unravel(weights), image[None]).ravel())(flat)
    np.testing.assert_allclose(jacobian(mlp, params, image), expected, atol=1e-12)
