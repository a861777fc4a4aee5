"""PyTorch modules as ``apply(params, images)``, by way of torchax.

torchax runs a module's own Python on JAX arrays, operator by operator, so that what comes out is traced,
differentiated and compiled like any other function in JAX. It is no dependency of this package: its stable release
does not import beside a current torch, and the daily build that does is pinned in :data:`TORCHAX`.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from traceback import walk_tb
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import Partial

TORCHAX = "torchax==0.0.14.dev20261026"

_TOLERANCE = 1e-3  # of the largest output, by which JAX's forward pass may differ from torch's: float32 needs 1e-5
_HALF_TOLERANCE = 0.05  # where the output is in half precision


def from_torch(
    module: Any,
    example: Any,
    *,
    forward: Callable[..., Any] | None = None,
    channels_last: bool = False,
) -> tuple[Partial, dict[str, jax.Array]]:
    """A PyTorch module as ``apply`` and ``params`` for this package's calls.

    The module runs as after ``module.eval()``, whatever its own mode, which stays. Parameters with
    ``requires_grad=False`` are held fixed, as are buffers and other tensors of the module; ``apply`` carries them.
    All are copies: training the module further changes neither. ``apply`` is traced once for each shape of input.

    .. code-block:: python

        apply, params = sluguq.from_torch(autoencoder, images[:1])
        basis = sluguq.eigenbasis(apply, params, images.numpy(), rank=50, key=key)

    :param module: a ``torch.nn.Module`` on any device.
    :param example: one input as the module takes it, a tensor or array with a leading axis of examples; a tuple for
        ``module(*example)``, a dict for ``module(**example)``. The module is run on it, by torch and by JAX.
    :param forward: ``forward(module, *inputs)``, run in place of ``module(*inputs)``: to take one of several outputs,
        or the mean of a latent distribution, as in
        ``lambda vae, x: vae.decode(vae.encode(x).latent_dist.mode()).sample``.
    :param channels_last: images (n, height, width, channels) outside for a module that takes and returns
        (n, channels, height, width). False leaves arrays as the module has them: pass ``channel_axis=1`` for maps.
    :returns: ``apply``, and ``params`` as a flat dict by the names of ``module.named_parameters()``.
    :raises ModuleNotFoundError: where torch or torchax is not installed, with the command that installs it.
    :raises ValueError: where an operator has no translation, naming the module and the operator; where the forward
        pass is random; where all parameters are frozen; where JAX's output differs from torch's.
    """
    torch, torchax = _packages()
    if not isinstance(module, torch.nn.Module):
        raise ValueError(f"from_torch takes a torch.nn.Module, not a {type(module).__name__}")
    bridge = _Bridge(torch, torchax.default_env(), module, forward)
    trainable = {name for name, value in module.named_parameters() if value.requires_grad}
    if not trainable:
        raise ValueError("all parameters of the module are frozen: set requires_grad on those that SLUG is to speak of")
    states = {name: _to_jax(torch, value) for name, value in _states(torch, module).items()}
    params = {name: value for name, value in states.items() if name in trainable}
    fixed = {name: value for name, value in states.items() if name not in trainable}
    _check_dtypes(torch, module)
    inputs = jax.tree.map(lambda leaf: _to_jax(torch, leaf), example)
    _check_forward(bridge, params, fixed, inputs, example)
    run = jax.jit(bridge.run)  # keeps its traces, however often a caller traces apply
    return Partial(_channels_last(run) if channels_last else run, fixed, _seed(0)), params


def _packages() -> tuple[Any, Any]:
    try:
        torch = import_module("torch")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError("from_torch needs PyTorch: pip install torch") from error
    try:
        return torch, import_module("torchax")
    except (ImportError, AttributeError, RuntimeError) as error:
        reason = "is not installed" if isinstance(error, ModuleNotFoundError) else f"does not import ({error})"
        raise ModuleNotFoundError(f"from_torch needs torchax, which {reason}: pip install --pre {TORCHAX}") from error


def _seed(number: int) -> jax.Array:
    return jax.random.key_data(jax.random.key(number))


def _channels_last(run: Callable[..., jax.Array]) -> Callable[..., jax.Array]:
    """``run`` on inputs whose channels come last; inputs without room for channels stay."""

    def moved(fixed: Any, seed: jax.Array, params: Any, inputs: Any) -> jax.Array:
        first = jax.tree.map(lambda leaf: jnp.moveaxis(leaf, -1, 1) if jnp.ndim(leaf) > 2 else leaf, inputs)
        output = run(fixed, seed, params, first)
        return jnp.moveaxis(output, 1, -1) if output.ndim > 2 else output

    return moved


def _loose_tensors(torch: Any, module: Any) -> Iterator[tuple[str, Any, str, Any]]:
    """Name, owner, attribute and value of tensors that are neither parameters nor buffers."""
    for prefix, owner in module.named_modules():
        for attribute, value in vars(owner).items():
            if isinstance(value, torch.Tensor):
                yield f"{prefix}.{attribute}".lstrip("."), owner, attribute, value


def _states(torch: Any, module: Any) -> dict[str, Any]:
    loose = {name: value for name, _, _, value in _loose_tensors(torch, module)}
    return {**loose, **dict(module.named_buffers()), **dict(module.named_parameters())}


def _to_jax(torch: Any, value: Any) -> jax.Array:
    """A copy, in JAX's own precision; bfloat16, which NumPy lacks, stays itself."""
    if not isinstance(value, torch.Tensor):
        return jnp.array(value)
    value = value.detach().cpu()
    if value.dtype == torch.bfloat16:
        return jnp.array(value.float().numpy(), jnp.bfloat16)
    array = value.resolve_conj().numpy()
    return jnp.array(array, jax.dtypes.canonicalize_dtype(array.dtype))


def _check_dtypes(torch: Any, module: Any) -> None:
    double = [name for name, value in module.named_parameters() if value.dtype == torch.float64]
    if double and jax.dtypes.canonicalize_dtype(np.float64) != np.float64:
        warnings.warn(
            f"{double[0]} and {len(double) - 1} more parameters are float64 and become float32: "
            f"jax.config.update('jax_enable_x64', True) keeps them",
            stacklevel=3,
        )


class _Bridge:
    """Runs one module on JAX arrays."""

    def __init__(self, torch: Any, environment: Any, module: Any, forward: Callable[..., Any] | None) -> None:
        self.torch, self.environment, self.module, self.forward = torch, environment, module, forward

    def call(self, inputs: Any) -> Any:
        """The module's output, by torch or, inside torchax's environment, by JAX."""
        arguments = () if isinstance(inputs, Mapping) else inputs if isinstance(inputs, tuple | list) else (inputs,)
        keywords = inputs if isinstance(inputs, Mapping) else {}
        output = (
            self.module(*arguments, **keywords)
            if self.forward is None
            else self.forward(self.module, *arguments, **keywords)
        )
        return self._one_tensor(output)

    def _one_tensor(self, output: Any) -> Any:
        if isinstance(output, self.torch.Tensor):
            return output
        parts = vars(output) if hasattr(output, "__dict__") and not isinstance(output, Mapping) else output
        entries = (
            dict(parts)
            if isinstance(parts, Mapping)
            else dict(enumerate(parts if isinstance(parts, list | tuple) else ()))
        )
        tensors = {name: part for name, part in entries.items() if isinstance(part, self.torch.Tensor)}
        if len(tensors) == 1:
            return next(iter(tensors.values()))
        shapes = ", ".join(f"{name!r} {tuple(tensor.shape)}" for name, tensor in tensors.items()) or "none"
        raise ValueError(
            f"the module returned a {type(output).__name__} with these tensors: {shapes}. Say which one by "
            f"forward=, for example forward=lambda module, *inputs: module(*inputs)[0]"
        )

    def run(self, fixed: Any, seed: jax.Array, params: Any, inputs: Any) -> jax.Array:
        """The output on JAX arrays; random operators draw from ``seed``."""
        environment = self.environment
        states, inputs = environment.j2t_iso(({**fixed, **params}, inputs))
        try:
            with (
                _evaluating(self.module),
                warnings.catch_warnings(),
                environment.override_property(prng=jax.random.wrap_key_data(seed)),
                environment,
                self.torch.device("jax"),
                _swapped(self.torch, self.module, states),
            ):
                # Integers of 64 bits become 32 where JAX has no others; torch asks for them at every index.
                warnings.filterwarnings("ignore", message=".*requested dtype.*int64.*")
                output = self.call(inputs)
            return environment.t2j_iso(output)
        except ValueError:
            raise
        except Exception as error:
            raise ValueError(self._explained(error)) from error

    def _explained(self, error: Exception) -> str:
        """Which module and which operator could not be translated."""
        names = {id(part): name for name, part in self.module.named_modules()}
        place, operator = "", ""
        for frame, _ in walk_tb(error.__traceback__):
            owner = frame.f_locals.get("self")
            if id(owner) in names:
                place = f"{names[id(owner)] or 'the module itself'} ({type(owner).__name__})"
            if frame.f_code.co_name == "dispatch" and "func" in frame.f_locals:
                operator = str(frame.f_locals["func"])
        what = f", operator {operator}" if operator else ""
        hint = ""
        if "mixed math" in str(error):
            hint = ". It uses a tensor that is no parameter, buffer or attribute of a module: register it as a buffer"
        return (
            f"the PyTorch module cannot be translated to JAX in {place or 'its forward pass'}{what} "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}){hint}"
        )


@contextmanager
def _evaluating(module: Any) -> Iterator[None]:
    """The module as after ``eval()``, and afterwards as it was."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, mode in modes:
            part.training = mode


@contextmanager
def _swapped(torch: Any, module: Any, states: dict[str, Any]) -> Iterator[None]:
    """The module with ``states`` for its tensors; tied parameters stay tied."""
    stateless = import_module("torch.nn.utils.stateless")
    loose = list(_loose_tensors(torch, module))
    registered = {name: value for name, value in states.items() if name not in {name for name, *_ in loose}}
    try:
        for name, owner, attribute, _ in loose:
            vars(owner)[attribute] = states[name]
        with stateless._reparametrize_module(module, registered, tie_weights=True):
            yield
    finally:
        for _, owner, attribute, value in loose:
            vars(owner)[attribute] = value


def _check_forward(bridge: _Bridge, params: Any, fixed: Any, inputs: Any, example: Any) -> None:
    """Refuse a module whose output is random, or other by JAX than by torch."""
    torch = bridge.torch
    run = jax.jit(bridge.run)
    first, second = (np.asarray(run(fixed, _seed(number), params, inputs)) for number in (0, 1))
    if not np.array_equal(first, second, equal_nan=True):
        raise ValueError(
            "the module's forward pass is random, also after eval(): pass forward= with one that decodes the mean or "
            "mode of the latent distribution, for example forward=lambda vae, x: "
            "vae.decode(vae.encode(x).latent_dist.mode()).sample"
        )
    with torch.no_grad(), _evaluating(bridge.module):
        tensors = jax.tree.map(lambda leaf: leaf if isinstance(leaf, torch.Tensor) else torch.as_tensor(leaf), example)
        reference = np.asarray(_to_jax(torch, bridge.call(tensors)), np.float64)
    tolerance = _TOLERANCE if first.dtype.itemsize > 2 else _HALF_TOLERANCE
    if not np.allclose(first, reference, rtol=tolerance, atol=tolerance * np.abs(reference).max()):
        raise ValueError(
            f"JAX's output for the example differs from torch's by up to {np.abs(first - reference).max():.2g} of "
            f"{np.abs(reference).max():.2g}: an operator is translated wrongly. Compare the module's parts by "
            "from_torch"
        )
