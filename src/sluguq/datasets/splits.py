"""Who is tested and who is trained on, so that no patient, lesion or duplicate is on both sides.

Protocols. SLUG paper: per seed, one test set a group, then a training set a configuration, each drawn
independently without replacement from what the test sets left. Fairness paper (arXiv:2501.11752): the same, but
training sets drawn with replacement. Fitzpatrick17k has 2,168 dark images (FST 5-6): less 500 test images that
is exactly the fairness paper's training size of 1,668; less the SLUG paper's 512 it is 1,656, twelve short for a
configuration of dark images alone. `shortage` says what then happens.
"""

from __future__ import annotations

import zlib
from collections.abc import Collection, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd

from sluguq.datasets.units import TIES, named, tying_labels, units_of
from sluguq.machine.errors import SluguqError
from sluguq.machine.streams import stream
from sluguq.stores.tables import SPLIT_COLUMNS

Shortage = Literal["error", "repeat", "fewer"]


class SplitError(SluguqError, ValueError):
    """The images asked for are not there, or a split leaks; the message has the numbers and the keys to change."""


def make_split(
    table: pd.DataFrame,
    groups: Mapping[str, Sequence[int]],
    configurations: Mapping[str, Mapping[str, float]],
    *,
    seed: int,
    train_images: int,
    test_images: int,
    replacement: bool = False,
    deduplicate: bool = True,
    shortage: Shortage = "error",
    held_out: Collection[str] = (),
    blocks: int | None = None,
) -> pd.DataFrame:
    """Draw the test sets of all groups and the training sets of all configurations for one seed.

    Images that share a patient or a lesion, or (with ``deduplicate``) are duplicates, form one unit. Test sets take
    whole units where they fill the size exactly; else part of one unit is tested and its rest is left out. What
    shares a unit with a test image is never trained on. Each role has its own random stream, so that adding a
    configuration changes no other role.

    :param table: images with the columns id, fst, patient, lesion and duplicate_group (-1: no duplicate); the last
        three may be absent. Row order does not matter.
    :param groups: FSTs of each group.
    :param configurations: share of each group in the training images of each configuration.
    :param seed: seed of all draws.
    :param train_images: training images of every configuration.
    :param test_images: test images of every group.
    :param replacement: draw training images with replacement.
    :param deduplicate: treat duplicates as one unit. False is the papers' protocol.
    :param shortage: what to do where a group has too few images left to draw from without replacement. ``error``: stop;
        ``repeat``: take all, and draw the images that lack a second time; ``fewer``: take all there are.
    :param held_out: ids or SHA-256 of images that are neither tested nor trained on, nor what shares a unit with them:
        they are scored as another data set, of which no network has seen anything.
    :param blocks: part all units into so many blocks, the same for every seed, and draw training images from the
        seed's own alone: block ``seed`` modulo their number.
    :returns: columns id and role (``test_<group>`` or ``train_<configuration>``), sorted by role and id.
    :raises SplitError: where a group is too small, with how many there are and how many are needed.
    """
    images = _with_units(table, deduplicate)
    if len(held_out):
        is_held_out = images["id"].isin(held_out)
        if "sha256" in images:
            is_held_out |= images["sha256"].isin(held_out)
        images = images[~images["unit"].isin(images.loc[is_held_out, "unit"])]
    needs = _training_needs(configurations, train_images)
    test_units, rows = _draw_tests(images, groups, test_images, needs, seed)
    pool = images[~images["unit"].isin(test_units)]
    if blocks:
        pool = pool[_block_of_units(images, groups, blocks).loc[pool["unit"]].to_numpy() == seed % blocks]
    for configuration, shares in needs.items():
        for group, count in shares.items():
            ids = pool.loc[pool["fst"].isin(groups[group]), "id"].to_numpy(object)
            rng = _stream(seed, f"train_{configuration}_{group}")
            lacking = count - len(ids)
            if blocks and lacking > 0 and not replacement and shortage == "error":
                raise SplitError(
                    f"group {group!r} has {len(ids)} images left to train on in block {seed % blocks} of {blocks}, but "
                    f"configuration {configuration} needs {count}. Lower split.train_images or split.blocks"
                )
            if len(ids) == 0 or (lacking > 0 and not replacement and shortage == "error"):
                raise _too_small(images, groups, group, test_images, count, len(ids), f"configuration {configuration}")
            if replacement:
                draw = rng.choice(ids, count, replace=True)
            elif lacking > 0:
                # Every image as often as all others, and some once more.
                draw = np.resize(rng.permutation(ids), count) if shortage == "repeat" else ids
            else:
                draw = rng.choice(ids, count, replace=False)
            rows += [(identity, f"train_{configuration}") for identity in draw]
    split = pd.DataFrame(rows, columns=list(SPLIT_COLUMNS))
    split = split.sort_values(["role", "id"], ignore_index=True)
    check_split(split, table, deduplicate=deduplicate)
    return split


def leaks(split: pd.DataFrame, table: pd.DataFrame, *, deduplicate: bool = True) -> pd.DataFrame:
    """Everything that stands on both the test and the training side of a split.

    :param split: columns id and role.
    :param table: the images, as for :func:`make_split`.
    :param deduplicate: look at duplicates too.
    :returns: columns kind (id, patient, lesion or duplicate_group) and value; empty where nothing leaks.
    """
    is_test = split["role"].str.startswith("test_")
    test = set(split.loc[is_test, "id"])
    train = set(split.loc[~is_test, "id"])
    rows = [("id", str(value)) for value in sorted(test & train)]
    is_tested, is_trained = table["id"].isin(test).to_numpy(), table["id"].isin(train).to_numpy()
    for kind, label in tying_labels(_columns(table), duplicates=deduplicate).items():
        has_name = named(label)
        shared = set(label[has_name & is_tested].tolist()) & set(label[has_name & is_trained].tolist())
        rows += [(kind, str(value)) for value in sorted(shared, key=str)]
    return pd.DataFrame(rows, columns=["kind", "value"])


def check_split(split: pd.DataFrame, table: pd.DataFrame, *, deduplicate: bool = True) -> None:
    """Refuse a split that leaks or names images that are not in the table.

    :raises SplitError: with the first few leaks.
    """
    unknown = sorted(set(split["id"]) - set(table["id"]))
    if unknown:
        raise SplitError(f"the split names {len(unknown)} images that the data set lacks, the first {unknown[0]!r}")
    rows = leaks(split, table, deduplicate=deduplicate)
    if len(rows):
        some = ", ".join(f"{row.kind} {row.value}" for row in rows.head(5).itertuples())
        raise SplitError(f"{len(rows)} things stand both in a test and in a training set: {some}")


def split_sizes(splits: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """What a reader must know of the splits: which sets hold an image more than once, and what seeds share.

    :param splits: splits (columns id and role) by seed.
    :returns: columns seed, role, images (drawn), distinct (different ones), repeated (different ones drawn more than
        once), shared (the share of the distinct ones that another seed has in the same role, mean over the other seeds;
        NaN with one seed).
    """
    sets = {(seed, role): set(ids) for seed, split in splits.items() for role, ids in split.groupby("role")["id"]}
    rows = []
    for seed, split in splits.items():
        for role, ids in split.groupby("role")["id"]:
            counts = ids.value_counts()
            own = sets[seed, role]
            shared = [len(own & sets.get((other, role), set())) / len(own) for other in splits if other != seed]
            mean = sum(shared) / len(shared) if shared else float("nan")
            rows.append((seed, role, len(ids), len(counts), int((counts > 1).sum()), mean))
    return pd.DataFrame(rows, columns=["seed", "role", "images", "distinct", "repeated", "shared"])


def _training_needs(configurations: Mapping[str, Mapping[str, float]], train_images: int) -> dict[str, dict[str, int]]:
    """Training images of each group by configuration, by largest remainders, so that they sum to the size."""
    needs: dict[str, dict[str, int]] = {}
    for name, shares in configurations.items():
        exact = {group: share * train_images for group, share in shares.items()}
        counts = {group: int(value + 1e-9) for group, value in exact.items()}
        by_remainder = sorted(exact, key=lambda group: (counts[group] - exact[group], group))
        for group in by_remainder[: train_images - sum(counts.values())]:
            counts[group] += 1
        needs[name] = {group: count for group, count in counts.items() if count}
    return needs


def _block_of_units(images: pd.DataFrame, groups: Mapping[str, Sequence[int]], blocks: int) -> pd.Series:
    """The block of every unit, by its number; every group's units are spread over the blocks as evenly as can be."""
    owner = {fst: name for name, types in groups.items() for fst in types}
    first = images.drop_duplicates("unit").set_index("unit")["fst"].map(owner).fillna("")
    rng, parts = _stream(0, "blocks"), []
    for _, units in first.groupby(first):
        numbers = rng.permutation(units.index.to_numpy())
        parts.append(pd.Series(np.arange(len(numbers)) % blocks, index=numbers))
    return pd.concat(parts)


def _draw_tests(
    images: pd.DataFrame,
    groups: Mapping[str, Sequence[int]],
    test_images: int,
    needed: Mapping[str, Mapping[str, int]],
    seed: int,
) -> tuple[set[int], list[tuple[str, str]]]:
    """Test images of every group, and all units that they come from."""
    test_units: set[int] = set()
    rows: list[tuple[str, str]] = []
    for group, types in groups.items():
        members = images[images["fst"].isin(types)]
        if len(members) < test_images:
            most = max((shares.get(group, 0) for shares in needed.values()), default=0)
            raise _too_small(images, groups, group, test_images, most, 0, "the test set")
        rng = _stream(seed, f"test_{group}")
        by_unit: dict[int, list[str]] = {}
        for unit, identity in zip(members["unit"].tolist(), members["id"], strict=True):
            by_unit.setdefault(unit, []).append(identity)
        order = [int(unit) for unit in rng.permutation(np.array(sorted(by_unit)))]
        # Units tested already, for another group, are lost to training anyway and so come first.
        order.sort(key=lambda unit: unit not in test_units)
        places = _fill([len(by_unit[unit]) for unit in order], test_images)
        rest = test_images
        for position in places:
            unit = order[position]
            ids = by_unit[unit]
            some = ids if len(ids) <= rest else rng.choice(ids, rest, replace=False)
            rest -= len(some)
            test_units.add(unit)
            rows += [(identity, f"test_{group}") for identity in some]
    return test_units, rows


def _fill(sizes: Sequence[int], total: int) -> list[int]:
    """Positions, in order, of units that together hold `total` images: exactly where that is possible.

    Takes units in their random order as long as the rest can still be filled exactly by later ones (reachable
    sums as bits of an integer); where no subset fits exactly, the last unit taken is larger than what is left.
    """
    reachable = [1] * (len(sizes) + 1)
    mask = (1 << (total + 1)) - 1
    for position in range(len(sizes) - 1, -1, -1):
        reachable[position] = (reachable[position + 1] | reachable[position + 1] << sizes[position]) & mask
    places = []
    rest = total
    exact = bool(reachable[0] >> total & 1)
    for position, size in enumerate(sizes):
        if rest <= 0:
            break
        if not exact or (size <= rest and reachable[position + 1] >> (rest - size) & 1):
            places.append(position)
            rest -= size
    return places


def _with_units(table: pd.DataFrame, deduplicate: bool) -> pd.DataFrame:
    """The images sorted by id, with the number of the unit each belongs to."""
    repeated = table["id"][table["id"].duplicated()]
    if len(repeated):
        raise SplitError(f"the data set holds the id {repeated.iloc[0]!r} more than once")
    images = table.sort_values("id", ignore_index=True)
    images["unit"] = units_of(_columns(images), len(images), duplicates=deduplicate)
    return images


def _columns(table: pd.DataFrame) -> dict[str, np.ndarray]:
    return {name: table[name].to_numpy() for name in TIES if name in table.columns}


def _stream(seed: int, role: str) -> np.random.Generator:
    """The random stream of one role."""
    return stream(seed, zlib.crc32(role.encode()))


def _too_small(
    images: pd.DataFrame,
    groups: Mapping[str, Sequence[int]],
    group: str,
    test_images: int,
    train_images: int,
    left: int,
    wanted_by: str,
) -> SplitError:
    types = ", ".join(map(str, groups[group]))
    there = int(images["fst"].isin(groups[group]).sum())
    need = test_images + train_images
    if there < test_images:
        training = f" and training up to {train_images} more" if train_images else ""
        return SplitError(
            f"group {group!r} (FST {types}) has {there} usable images, but its test set needs {test_images}{training}. "
            "Lower split.test_images and split.train_images, widen the group under groups, or acquire more images"
        )
    bound = there - test_images - left
    held = f" ({bound} more share a patient, lesion or duplicate with a test image)" if bound else ""
    return SplitError(
        f"group {group!r} (FST {types}) has {there} usable images; {test_images} go to the test set and {left} are "
        f"left{held}, but {wanted_by} needs {train_images}, {train_images - left} more. Lower split.train_images "
        f"or split.test_images (together {need} of this group), widen the group under groups, draw with "
        "split.replacement: true, or let images come twice with split.shortage: repeat"
    )
