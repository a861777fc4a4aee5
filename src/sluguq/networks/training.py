"""Training a network: the loop, and what watches over it.

The images stay on the device as uint8, the order of every epoch and all random numbers follow from the seed
and the step's number, and the state is one pytree that the compiled step replaces in place. So a training
that goes on from a checkpoint ends, bit for bit, where an uninterrupted one ends.
"""

import dataclasses
import functools
import math
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax import lax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from sluguq.machine.progress import Progress
from sluguq.networks.checkpoints import (
    Checkpoint,
    CheckpointError,
    Termination,
    fingerprint,
    load_checkpoint,
    save_checkpoint,
)
from sluguq.networks.network import Network, Precision, Settings, TrainableNetwork
from sluguq.networks.objective import ObjectiveSettings, objective
from sluguq.networks.perceptual.features import Perceptual
from sluguq.networks.vae import VAESettings
from sluguq.networks.watch import CollapseWatch, TrainingDiverged

# Steps in one call on a GPU: enough to hide the call, few enough to notice a signal within seconds.
_STEPS_A_CALL = 32

State = dict[str, Any]
Row = dict[str, float]
OnEpoch = Callable[[int, Network, Row], Mapping[str, Any] | None]


@dataclass(frozen=True)
class TrainingSettings:
    """How a network is trained. The defaults are the fairness paper's protocol.

    :ivar network: its shape.
    :ivar objective: weights and reduction of the loss terms.
    :ivar epochs: passes over the images.
    :ivar batch_size: images per step.
    :ivar last_batch: of an epoch whose images are no multiple of the batch size. drop: the images left over, other
        ones in every epoch, are not seen in it. keep: they are one more, smaller step.
    :ivar learning_rate: Adam's.
    :ivar schedule: of the learning rate: constant, or falling to 0 over all steps along half a cosine.
    :ivar gradient_clip: largest norm of the gradient, longer ones being scaled down to it; None for no limit. The
        code that the fairness paper names clips at 10.
    :ivar flip: mirror every image from left to right with probability 1/2, anew in every epoch.
    :ivar precision: of the products: float32, tf32 (GPUs) or bfloat16; weights, statistics and sums are float32
        always.
    """

    network: Settings = field(default_factory=VAESettings)
    objective: ObjectiveSettings = field(default_factory=ObjectiveSettings)
    epochs: int = 15
    batch_size: int = 64
    learning_rate: float = 1e-4
    schedule: Literal["constant", "cosine"] = "constant"
    gradient_clip: float | None = 10.0
    flip: bool = False
    last_batch: Literal["drop", "keep"] = "drop"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1:
            raise ValueError(f"epochs={self.epochs}, batch_size={self.batch_size}: must be at least 1")
        if not self.learning_rate > 0:
            raise ValueError(f"learning_rate={self.learning_rate}: must be positive")
        if self.gradient_clip is not None and not self.gradient_clip > 0:
            raise ValueError(f"gradient_clip={self.gradient_clip}: must be positive, or None for no limit")
        if self.schedule not in ("constant", "cosine"):
            raise ValueError(f"schedule={self.schedule!r}: must be constant or cosine")
        if self.last_batch not in ("drop", "keep"):
            raise ValueError(f"last_batch={self.last_batch!r}: must be drop or keep")
        if self.precision not in ("float32", "tf32", "bfloat16"):
            raise ValueError(f"precision={self.precision!r}: must be float32, tf32 or bfloat16")


@dataclass(frozen=True)
class TrainingResult:
    """A trained network and how it came about.

    :ivar network: the network after the last epoch.
    :ivar history: a row for each epoch: epoch (from 1), loss, its unweighted terms (mse, the
        network's regularisers such as kl, and perceptual where there is one) averaged over the epoch's images,
        gradient_norm before clipping, learning_rate after it.
    :ivar snapshots: what ``on_epoch`` returned, by epoch.
    :ivar steps: number of steps of the whole training.
    :ivar resumed_at: step from which a checkpoint was continued; 0 where there was none.
    :ivar seconds: of this call's loop, compilation included.
    """

    network: Network
    history: list[Row]
    snapshots: dict[int, dict[str, np.ndarray]]
    steps: int
    resumed_at: int
    seconds: float


class TrainingInterrupted(SystemExit):
    """SIGTERM came: a checkpoint was written, where a folder for it was given.

    Ends a program that does not catch it with exit code 143, as the signal alone would.
    """

    def __init__(self, message: str):
        super().__init__(143)
        self.message = message

    def __str__(self) -> str:
        return self.message


def _optimiser(settings: TrainingSettings, steps: int) -> tuple[optax.GradientTransformation, optax.Schedule]:
    if settings.schedule == "cosine":
        schedule = optax.cosine_decay_schedule(settings.learning_rate, steps)
    else:
        schedule = optax.constant_schedule(settings.learning_rate)
    clip = optax.identity() if settings.gradient_clip is None else optax.clip_by_global_norm(settings.gradient_clip)
    return optax.chain(clip, optax.adam(schedule)), schedule


def term_names(settings: TrainingSettings, perceptual: Perceptual | None) -> tuple[str, ...]:
    """What a step tells: the loss, its terms with the network's own regularisers, the gradient's norm.

    :param settings: of the training.
    :param perceptual: network of the perceptual loss; None without one.
    """
    network = settings.network

    def regularisers(images: jax.Array, key: jax.Array) -> dict[str, jax.Array]:
        example = network.initial(None)
        if not isinstance(example, TrainableNetwork):
            raise ValueError(f"{type(example).__name__} has no training_pass: this network can be scored, not trained")
        return example.training_pass(images, key).regularisers

    image = jax.ShapeDtypeStruct((1, network.image_size, network.image_size, network.channels), jnp.float32)
    own = jax.eval_shape(regularisers, image, jax.random.key(0))
    return ("loss", "mse", *own, *(["perceptual"] if perceptual is not None else []), "gradient_norm")


def initial_state(settings: TrainingSettings, seed: int, steps: int, *, terms: tuple[str, ...]) -> State:
    """The state before the first step: all that changes from one step to the next, on the device.

    :param settings: of the training.
    :param seed: of the initial weights and of all that training draws.
    :param steps: how many there will be, for the schedule.
    :param terms: names of the terms of the loss.
    """
    weights, statistics = settings.network.initial(seed).split()
    return {
        "weights": weights,
        "statistics": statistics,
        "optimiser": _optimiser(settings, steps)[0].init(weights),
        "step": jnp.int32(0),
        "sums": {name: jnp.float32(0) for name in terms},
    }


@functools.partial(jax.jit, static_argnames="count")
def epoch_order(seed: int, epoch: int, count: int) -> jax.Array:
    """The order in which an epoch (from 0) sees the images: int32 (count,).

    :param seed: of the training.
    :param epoch: its number.
    :param count: of images.
    """
    key = jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 1), epoch)
    return jax.random.permutation(key, count)


def _mesh(batch_size: int, devices: int | None) -> Mesh | None:
    """All devices among which the batch divides evenly, as one axis; None where that is one."""
    available = jax.devices()[:devices]
    count = max(n for n in range(1, len(available) + 1) if batch_size % n == 0)
    if count < len(available):
        warnings.warn(
            f"batch_size={batch_size} does not divide among {len(available)} devices: {count} are used",
            stacklevel=3,
        )
    return Mesh(np.asarray(available[:count]), ("batch",)) if count > 1 else None


@functools.lru_cache(maxsize=8)
def compiled_advance(
    settings: TrainingSettings, steps: int, epoch_steps: int, mesh: Mesh | None, left_over: int = 0
) -> Callable:
    """The compiled step: (state, images, order, perceptual, seed, count) to the state `count` steps on.

    The state's buffers are reused for the result. On a CPU `count` must be 1 and the steps are called from
    Python, since XLA runs a convolution's gradient some twenty times slower inside a loop of its own there;
    elsewhere the loop is compiled. With `left_over` it is the step that ends an epoch with so many images.

    :param settings: of the training.
    :param steps: how many there will be, for the schedule.
    :param epoch_steps: steps of an epoch.
    :param mesh: devices that share a batch; None for one.
    :param left_over: images of a last batch that is smaller; 0 for a full one.
    """
    optimiser, _ = _optimiser(settings, steps)
    size = left_over or settings.batch_size
    share = size / settings.batch_size

    def advance_one(
        state: State, images: jax.Array, order: jax.Array, perceptual: Perceptual | None, seed: jax.Array
    ) -> State:
        position = state["step"] % epoch_steps
        batch = images[lax.dynamic_slice_in_dim(order, position * settings.batch_size, size)]
        if mesh is not None:
            batch = lax.with_sharding_constraint(batch, NamedSharding(mesh, PartitionSpec("batch")))
        noise_key, flip_key = jax.random.split(
            jax.random.fold_in(jax.random.fold_in(jax.random.key(seed), 2), state["step"])
        )
        if settings.flip:
            mirrored = jax.random.bernoulli(flip_key, shape=(size, 1, 1, 1))
            batch = jnp.where(mirrored, batch[:, :, ::-1], batch)
        (_, (terms, statistics)), gradient = jax.value_and_grad(objective, has_aux=True)(
            state["weights"],
            state["statistics"],
            batch,
            noise_key,
            perceptual,
            network=settings.network,
            settings=settings.objective,
            precision=settings.precision,
        )
        terms["gradient_norm"] = optax.tree.norm(gradient)
        updates, inner = optimiser.update(gradient, state["optimiser"], state["weights"])
        first = position == 0
        return {
            "weights": optax.apply_updates(state["weights"], updates),
            "statistics": statistics,
            "optimiser": inner,
            "step": state["step"] + 1,
            "sums": {name: jnp.where(first, 0, total) + share * terms[name] for name, total in state["sums"].items()},
        }

    @functools.partial(jax.jit, donate_argnums=0)
    def advance(
        state: State,
        images: jax.Array,
        order: jax.Array,
        perceptual: Perceptual | None,
        seed: jax.Array,
        count: jax.Array,
    ) -> State:
        if jax.default_backend() == "cpu":
            return advance_one(state, images, order, perceptual, seed)
        return lax.fori_loop(0, count, lambda _, inner: advance_one(inner, images, order, perceptual, seed), state)

    return advance


def _steps_a_call() -> int:
    return 1 if jax.default_backend() == "cpu" else _STEPS_A_CALL


def train(
    images: np.ndarray,
    settings: TrainingSettings,
    *,
    seed: int,
    perceptual: Perceptual | None = None,
    checkpoint_folder: str | Path | None = None,
    checkpoint_minutes: float = 10.0,
    checkpoint_steps: int | None = None,
    progress: bool = True,
    on_epoch: OnEpoch | None = None,
    devices: int | None = None,
) -> TrainingResult:
    """Train a network from its seeded initial weights.

    :param images: uint8 (n, image_size, image_size, channels).
    :param settings: network, objective and optimisation.
    :param seed: of the initial weights, the order of the images, the latent noise and the flips.
    :param perceptual: the feature network of the perceptual term; needed unless its weight is 0.
    :param checkpoint_folder: where the state is kept so that a training that was stopped goes on; None keeps none.
        A checkpoint that is damaged or of another training is refused with a warning, and training starts
        afresh. The caller deletes the folder once the result is safe.
    :param checkpoint_minutes: a checkpoint is written when so much time has passed since the last one.
    :param checkpoint_steps: also when so many steps have; None looks at time alone.
    :param progress: show a bar with the time left on a terminal, and one line per minute where there is none.
    :param on_epoch: called after each epoch with its number (from 1), a copy of the network and the history's row.
        Named arrays that it returns are kept in checkpoint and result, since it is not called again for epochs
        that lie before a checkpoint.
    :param devices: use so many devices at most; None for all. The batch is divided among them.
    :raises ValueError: where images and settings do not fit.
    :raises TrainingInterrupted: at SIGTERM, after a checkpoint; a ``SystemExit`` with code 143.
    :raises TrainingDiverged: where a term is not finite, the KL divergence has collapsed or batch statistics are
        dead; it carries the epoch, the term, and the last good network.
    """
    settings = _checked(images, settings, perceptual)
    if settings.objective.perceptual_weight == 0:
        perceptual = None
    whole_steps, left_over = divmod(len(images), settings.batch_size)
    left_over = left_over if settings.last_batch == "keep" else 0
    epoch_steps = whole_steps + (left_over > 0)
    steps = settings.epochs * epoch_steps
    terms = term_names(settings, perceptual)
    _, schedule = _optimiser(settings, steps)
    mesh = _mesh(settings.batch_size, devices)
    advance = compiled_advance(settings, steps, epoch_steps, mesh)
    end_epoch = compiled_advance(settings, steps, epoch_steps, None, left_over) if left_over else advance
    epoch_batches = whole_steps + left_over / settings.batch_size

    def fresh() -> State:
        return initial_state(settings, seed, steps, terms=terms)

    identity = ""
    checkpoint = None
    if checkpoint_folder is not None:
        recipe = {
            "network": type(settings.network).__qualname__,
            "settings": dataclasses.asdict(settings),
            "seed": seed,
        }
        identity = fingerprint(recipe, {"images": images}, perceptual)
        try:
            checkpoint = load_checkpoint(checkpoint_folder, jax.eval_shape(fresh), identity)
        except CheckpointError as error:
            warnings.warn(f"{error}; training starts afresh", stacklevel=2)
    state, history, snapshots = checkpoint if checkpoint is not None else (fresh(), [], {})
    position = resumed_at = int(state["step"])

    everywhere = NamedSharding(mesh, PartitionSpec()) if mesh is not None else jax.devices()[0]
    state, pixels, perceptual = jax.device_put((state, images, perceptual), everywhere)
    good = _copy(state)
    watch = CollapseWatch()
    for row in history:
        watch.observe(row)

    def save() -> None:
        if checkpoint_folder is not None:
            save_checkpoint(checkpoint_folder, Checkpoint(state, history, snapshots), identity)

    start = saved_at = time.monotonic()
    saved_step = position
    bar = Progress(total=steps, initial=position, unit="step", desc="training", shown=progress)
    with Termination() as termination, bar:
        while position < steps:
            epoch = position // epoch_steps
            order = jax.device_put(epoch_order(seed, epoch, len(images)), everywhere)
            while position < (epoch + 1) * epoch_steps:
                whole = epoch * epoch_steps + whole_steps - position
                count = min(_steps_a_call(), whole, checkpoint_steps or steps) if whole else 1
                step = advance if whole else end_epoch
                state = step(state, pixels, order, perceptual, seed, count)
                jax.block_until_ready(state["step"])
                position += count
                bar.update(count)
                is_last = position == (epoch + 1) * epoch_steps
                if is_last:
                    sums = jax.device_get(state["sums"])
                    row = {"epoch": epoch + 1, **{name: float(sums[name]) / epoch_batches for name in terms}}
                    row["learning_rate"] = float(schedule(position))
                    fault = watch.fault(row, state["statistics"])
                    if fault is not None:
                        survivor = settings.network.join(good["weights"], good["statistics"])
                        raise TrainingDiverged(epoch + 1, *fault, survivor, [*history, row])
                    history.append(row)
                    good = _copy(state)
                    bar.set_postfix(epoch=epoch + 1, loss=f"{row['loss']:.4g}", mse=f"{row['mse']:.4g}")
                    if on_epoch is not None:
                        network = settings.network.join(good["weights"], good["statistics"])
                        arrays = on_epoch(epoch + 1, network, dict(row))
                        if arrays:
                            snapshots[epoch + 1] = {name: np.asarray(item) for name, item in arrays.items()}
                wait = time.monotonic() - saved_at
                due = wait > 60 * checkpoint_minutes or (
                    checkpoint_steps is not None and position - saved_step >= checkpoint_steps
                )
                if termination.requested or (due and _finite(state)) or position == steps:
                    save()
                    saved_at, saved_step = time.monotonic(), position
                if termination.requested:
                    where = f"checkpoint in {checkpoint_folder}" if checkpoint_folder else "no checkpoint folder given"
                    raise TrainingInterrupted(f"stopped by SIGTERM after step {position} of {steps}; {where}")
    network = settings.network.join(state["weights"], state["statistics"])
    return TrainingResult(network, history, snapshots, steps, resumed_at, time.monotonic() - start)


def _checked(images: np.ndarray, settings: TrainingSettings, perceptual: Perceptual | None) -> TrainingSettings:
    """The settings with a batch no larger than the number of images."""
    side, channels = settings.network.image_size, settings.network.channels
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1:] != (side, side, channels):
        raise ValueError(
            f"images are {images.dtype} {images.shape}: the network takes uint8 (n, {side}, {side}, {channels})"
        )
    if not len(images):
        raise ValueError("there are no images to train on")
    if settings.objective.perceptual_weight > 0 and perceptual is None:
        raise ValueError(
            f"perceptual_weight={settings.objective.perceptual_weight} needs a feature network (load_perceptual); "
            "set the weight to 0 to train without"
        )
    if len(images) < settings.batch_size:
        warnings.warn(
            f"batch_size={settings.batch_size}, but there are {len(images)} images: all of them are one batch",
            stacklevel=3,
        )
        settings = dataclasses.replace(settings, batch_size=len(images))
    return settings


@jax.jit
def _copy(state: State) -> State:
    """Weights and statistics in buffers of their own, which the next step does not reuse."""
    return jax.tree.map(jnp.copy, {"weights": state["weights"], "statistics": state["statistics"]})


def _finite(state: State) -> bool:
    return math.isfinite(float(state["sums"]["loss"]))
