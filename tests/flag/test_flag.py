"""New photographs are judged by the networks that an experiment left, against its own test images."""

import re
import shutil
import subprocess
import sys
from dataclasses import replace

import jax
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from PIL import Image

import sluguq.machine.devices
from sluguq.__main__ import main
from sluguq.analysis.percentiles import UNUSUAL, percentiles
from sluguq.config import resolve, resolved_yaml
from sluguq.flag.judges import FlagError, Judge, find_judges
from sluguq.flag.photographs import read_photographs
from sluguq.flag.run import flag
from sluguq.flag.scores import Maps
from sluguq.flag.table import agreement, judged_table
from sluguq.networks.network import reconstruction_function
from sluguq.networks.vae import VAE, VAESettings
from sluguq.networks.weights import save_network
from sluguq.slug.eigenbasis import Eigenbasis
from sluguq.stages.aggregation import aggregate_scores
from sluguq.stages.basis_store import write_basis_store
from sluguq.stages.keys import ModelId
from sluguq.stages.score import Scoring, score_store
from sluguq.stores import selection
from sluguq.stores.store import open_store, write_store
from sluguq.stores.variables import FST_ATTRIBUTES, described
from tests.report.explored import contents

SIZE, IMAGES, SEEDS = 32, 8, (0, 1)
EXPERIMENT = resolve(
    {
        "experiment": "small",
        "datasets": {"drawn": {"source": "phantom", "counts": {1: 4, 5: 4}}},
        "training_dataset": "drawn",
        "configurations": {"A": {"light": 1.0}, "B": {"light": 0.5, "dark": 0.5}},
        "seeds": list(SEEDS),
        "images": {"size": SIZE},
        "eigenbasis": {"rank": 2, "batch_size": 4},
        "score": {"probes": 4},
    }
)
NETWORK = VAESettings(image_size=SIZE, width=4, depth=2, latent_channels=2, bottleneck_blocks=0, normalisation="none")
BASIS = {"orthogonality": 0.0, "trace": 5.0, "trace_sem": 0.1, "products": 3}


def orthonormal(vae, rng):
    """Any two directions stand in for the leading ones."""
    weights = sum(leaf.size for leaf in jax.tree.leaves(reconstruction_function(vae)[1]))
    vectors = np.linalg.qr(rng.normal(size=(weights, 2)))[0].T.astype("float32")
    return Eigenbasis(np.array([3.0, 2.0]), vectors, np.zeros(2), np.ones(2, bool), **BASIS)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """An experiment of networks with random weights, written by the stages themselves; and its image store."""
    folder = tmp_path_factory.mktemp("flag")
    images, results = folder / "images.zarr", folder / "results" / "small"
    rng = np.random.default_rng(0)
    level = rng.integers(40, 200, (IMAGES, 1, 1, 3))
    dataset = xr.Dataset(
        {
            "pixels": (
                ("image", "y", "x", "channel"),
                np.clip(level + rng.normal(0, 20, (IMAGES, SIZE, SIZE, 3)), 0, 255).astype(np.uint8),
                described("intensity", "test"),
            )
        },
        coords={
            "id": ("image", np.array([f"i{i}" for i in range(IMAGES)], object), described("id", "test")),
            "fst": ("image", np.array([1, 2, 5, 6, 1, 2, 5, 6], "int8"), FST_ATTRIBUTES),
        },
        attrs={"synthetic": 1},
    )
    write_store(dataset, images, title="images", source="test")
    scores = {}
    for seed in SEEDS:
        split = results / "splits" / f"seed-{seed}.csv"
        split.parent.mkdir(parents=True, exist_ok=True)
        tested = range(4) if seed == 0 else range(1, 5)
        rows = [(f"i{i}", "test_light" if dataset.fst[i] < 3 else "test_dark") for i in tested]
        rows += [(f"i{i}", f"train_{name}") for i in (5, 6, 7) for name in "AB"]
        pd.DataFrame(rows, columns=["id", "role"]).to_csv(split, index=False)
        for name in EXPERIMENT.configurations:
            weights = results / "models" / name / f"seed-{seed}" / "weights.safetensors"
            basis = results / "eigenbases" / name / f"seed-{seed}.zarr"
            vae = VAE(NETWORK, seed=seed + 10 * (name == "A"))
            save_network(weights, vae, configuration=name, seed=seed)
            write_basis_store(basis, orthonormal(vae, rng), attributes=BASIS, configuration="", device="")
            scores[name, seed] = results / "scores" / name / f"seed-{seed}" / "drawn.zarr"
            rows, settings = (
                selection.tested_rows(images, split),
                EXPERIMENT.score_settings(EXPERIMENT.training_dataset),
            )
            scoring = Scoring(images, rows, weights, basis, ModelId(name, seed), settings)
            score_store(scoring, scores[name, seed], configuration="")
    aggregate_scores(
        [images], scores, results / "drawn.zarr", experiment="small", dataset="drawn", role="training",
        groups=EXPERIMENT.groups, configuration=resolved_yaml(EXPERIMENT),
    )  # fmt: skip
    return results, open_store(images).load()


@pytest.fixture(scope="module")
def experiment(made):
    return made[0]


@pytest.fixture(scope="module")
def photographs(made, tmp_path_factory):
    """Test images of the experiment as files, one in a folder below; and files that are no photographs."""
    folder = tmp_path_factory.mktemp("given") / "photographs"
    (folder / "ward & co").mkdir(parents=True)
    for i in range(4):
        name = f"ward & co/i{i}.bmp" if i == 3 else f"i{i}.png"
        Image.fromarray(made[1].pixels.values[i]).save(folder / name)
    (folder / "page.jpg").write_text("<html>not found</html>")
    (folder / "empty.png").write_bytes(b"")
    (folder / ".hidden.png").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def flagged(experiment, photographs, tmp_path_factory):
    result = flag(photographs, experiment, out=tmp_path_factory.mktemp("out"))
    return result, pd.read_csv(result.table), result.page.read_text(encoding="utf-8")


def test_an_image_of_the_experiment_gets_the_scores_that_it_has_there(flagged, experiment):
    table = flagged[1].assign(id=flagged[1]["file"].str.extract(r"(i\d)")).set_index("id")
    stored = open_store(experiment / "drawn.zarr").set_index(image="id").sel(configuration="B")
    for seed in SEEDS:
        for name in (f"i{i}" for i in range(seed, 4)):
            one = stored.sel(seed=seed, image=name)
            for column in ("slug", "slug_sem", "mse"):
                assert table.loc[name, f"{column}_seed-{seed}"] == pytest.approx(float(one[column]), rel=1e-4)
    np.testing.assert_allclose(table["slug"], table[["slug_seed-0", "slug_seed-1"]].mean(axis=1))
    # All four are in the reference of seed 0, so each is in its own quarter, but for rounding at its own value.
    assert sorted(table["slug_percentile_seed-0"]) == pytest.approx([12.5, 37.5, 62.5, 87.5], abs=12.6)
    assert (table["slug_sem"] >= abs(table["slug_seed-0"] - table["slug_seed-1"]) / 2 * (1 - 1e-6)).all()


def test_the_most_suspect_come_first(flagged):
    table = flagged[1]
    assert table["slug_percentile"].is_monotonic_decreasing
    assert {"slug_percentile_light", "slug_percentile_dark"} <= set(table.columns)


def test_percentiles_count_what_lies_below_and_half_of_what_is_equal():
    np.testing.assert_allclose(percentiles([0, 1, 2, 9], [1, 2, 2, 3]), [0, 12.5, 50, 100])


def drawn_networks(rng, own, networks=5, tested=60):
    """Networks that score photographs of two groups: a part in common, a part of each network's own.

    Gives a function that draws photographs and their scores (network, photograph) from a pool, and the networks'
    references: test images of both groups, drawn from pools of different size.
    """
    pools = {"light": 400, "dark": 120}
    group = np.repeat(list(pools), list(pools.values()))

    def scores(group):
        common = 0.8 * (group == "dark") + rng.normal(size=len(group))
        # Neither normal nor on one scale: ranks are all that counts.
        return [np.exp(k + common + own * rng.normal(size=len(group))) for k in range(networks)]

    whole = scores(group)
    judges = []
    for k in range(networks):
        chosen = np.concatenate([rng.choice(np.flatnonzero(group == g), tested, replace=False) for g in pools])
        reference = pd.DataFrame({"group": group[chosen], "slug": whole[k][chosen], "mse": whole[k][chosen]}, chosen)
        judges.append(Judge(k, None, None, reference))
    return scores, judges


@pytest.mark.parametrize("own", [0.3, 0.8, 1.5])
def test_of_photographs_like_the_reference_five_in_a_hundred_are_marked(own):
    rng = np.random.default_rng(0)
    marked, quarter, plain = [], [], []
    for _ in range(12):
        scores, judges = drawn_networks(rng, own)
        new = [{"slug": s, "slug_sem": s, "mse": s} for s in scores(np.repeat(["light", "dark"], 1000))]
        table = judged_table([str(i) for i in range(2000)], judges, new, {"dark": [5, 6]})
        marked.append((table["slug_percentile"] >= UNUSUAL).mean())
        single = table[[f"slug_percentile_seed-{k}" for k in range(5)]]
        plain.append((single.mean(axis=1) >= UNUSUAL).mean())
        quarter.append((table["slug_percentile"] >= 75).mean())
    assert np.mean(marked) == pytest.approx(0.05, abs=0.01)
    assert np.mean(quarter) == pytest.approx(0.25, abs=0.03)
    assert np.mean(plain) < np.mean(marked)
    if own == 1.5:
        assert np.mean(plain) < 0.02


def test_networks_that_share_no_test_images_are_averaged_and_the_page_says_so():
    rng = np.random.default_rng(0)
    scores, judges = drawn_networks(rng, 0.8)
    parted = [replace(n, reference=n.reference.set_axis(np.arange(120) + 1000 * n.seed)) for n in judges]
    assert agreement([n.reference for n in parted], "slug") is None
    new = [{"slug": s, "slug_sem": s, "mse": s} for s in scores(np.repeat(["light", "dark"], 10))]
    table = judged_table([str(i) for i in range(20)], parted, new, {})
    single = table[[f"slug_percentile_seed-{k}" for k in range(5)]]
    np.testing.assert_allclose(table["slug_percentile"], single.mean(axis=1))


def test_no_p_value_of_all_groups_where_a_network_has_none_of_one():
    rng = np.random.default_rng(0)
    scores, judges = drawn_networks(rng, 0.8)
    new = [{"slug": s, "slug_sem": s, "mse": s} for s in scores(np.repeat(["light", "dark"], 10))]
    groups = {"light": [1, 2], "dark": [5, 6]}
    whole = judged_table([str(i) for i in range(20)], judges, new, groups)
    np.testing.assert_array_equal(whole["slug_p"], whole[["slug_p_light", "slug_p_dark"]].max(axis=1))
    first = judges[0].reference
    judges[0] = replace(judges[0], reference=first[first["group"] == "light"])
    table = judged_table([str(i) for i in range(20)], judges, new, groups)
    assert "slug_p_light" in table
    assert "slug_p_dark" not in table
    assert "slug_p" not in table


def test_order_beyond_the_reference_is_by_the_ratio(experiment):
    networks = find_judges(experiment).networks
    far = [{"slug": np.array([1e6, 3e6, 2e6]), "slug_sem": np.ones(3), "mse": np.ones(3)} for _ in networks]
    table = judged_table(["a", "b", "c"], networks, far, {})
    assert list(table["file"]) == ["b", "c", "a"]
    assert (table["slug_percentile"] == 100).all()


def test_files_that_are_no_photographs_are_listed_and_the_rest_goes_on(flagged):
    result, table, page = flagged
    rejected = pd.read_csv(result.table.with_name("flagged.rejected.csv"))
    assert dict(zip(rejected["file"], rejected["reason"], strict=True)) == {
        "empty.png": "the file is empty",
        "page.jpg": "an HTML page, not a picture",
    }
    assert (result.judged, result.rejected, len(table)) == (4, 2, 4)
    assert "an HTML page, not a picture" in page


def test_the_page_needs_nothing_else_and_states_the_reference(flagged):
    page = flagged[2]
    assert not re.findall(r"""(?:src|href)=["'](?!data:|#)|@import""", page.split("<script")[0])
    shown = contents(page)
    judged = shown["photographs/B-0, 1"]
    assert shown["photographs/images"]["ids"] == list(flagged[1]["file"])
    assert "ward & co/i3.bmp" in shown["photographs/images"]["ids"]
    assert "ward & co" not in page
    assert judged["signals"]["slug_percentile"] == pytest.approx(list(flagged[1]["slug_percentile"]), rel=1e-4)
    kinds = {"reconstruction", "error_map", "slug_map"}
    assert set(judged["sheets"]) == kinds
    assert len(shown["sheets"]) == 4  # and the photographs
    assert all(address.startswith("data:image/webp;base64,") for address in shown["sheets"].values())
    text = " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert "Not for clinical use" in text
    assert "Synthetic reference" in text
    assert "configuration B (trained on 50 % light, 50 % dark), seeds 0, 1 (2 of 2: those whose" in text
    assert "scored equally accurately (4 probes)" in text
    # Two networks share three test images, too few to tell how far they agree.
    assert "of photographs like the reference, fewer than 5 in 100 would be" in text
    assert "Too few test images are shared by the networks" in text
    assert re.search(r"seed 0\W*all\W*4 .*light\W*2 .*dark\W*2 .*seed 1\W*all\W*4 ", text)


def scored_by_brightness(judges, pixels, settings, *, maps):
    """In place of the networks: SLUG is the brightness, and the reconstruction is the negative."""
    level = pixels.mean((1, 2, 3))
    scores = [{"slug": level, "slug_sem": level / settings["probes"], "mse": level} for _ in judges.networks]
    flat = pixels[..., 0].astype(float)
    return scores, Maps(255 - pixels, flat, flat) if maps else None


def test_a_large_folder_shows_the_most_suspect_and_lists_all(experiment, photographs, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sluguq.machine.devices, "prepare_networks", lambda gpu: None)
    monkeypatch.setattr("sluguq.flag.run.score_photographs", scored_by_brightness)
    pages, tables = [], []
    for shown in (200, 2):
        monkeypatch.setattr("sluguq.flag.run.SHOWN", shown)
        out = tmp_path / str(shown)
        assert main(["flag", str(photographs), "--experiment", str(experiment), "--out", str(out)]) == 0
        assert "4 photographs judged, 2 could not be read" in (told := capsys.readouterr().out)
        assert str(out / "flagged.html") in told
        pages.append((out / "flagged.html").read_text(encoding="utf-8"))
        tables.append((out / "flagged.csv").read_text())
    assert tables[0] == tables[1]
    assert "Shown are the" not in pages[0]
    assert "Shown are the 2 most suspect" in pages[1]
    every, few = (contents(page)["photographs/images"]["ids"] for page in pages)
    assert len(every) == 4
    assert few == every[:2]


def test_what_is_written_goes_to_the_results_and_probes_may_be_chosen(experiment, photographs, tmp_path, monkeypatch):
    for module in ("run", "scores"):
        monkeypatch.setattr(f"sluguq.flag.{module}.score_photographs", scored_by_brightness)
    shutil.copytree(experiment, tmp_path / "small")
    result = flag(photographs, tmp_path / "small", configuration="A", probes=5)
    assert result.page == tmp_path / "small" / "flagged" / "photographs" / "flagged.html"
    assert "scored equally accurately (5 probes)" in result.page.read_text(encoding="utf-8")
    table = pd.read_csv(result.table).set_index("file")
    # The reference was scored by the stand-in too: each photograph of it is at its own value.
    assert sorted(table["slug_percentile_seed-0"]) == pytest.approx([12.5, 37.5, 62.5, 87.5])
    np.testing.assert_allclose(table["slug_sem_seed-0"], table["slug_seed-0"] / 5)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "there is no experiment at"),
        (lambda folder: shutil.rmtree(folder / "drawn.zarr"), "has no store of scored test images"),
        (lambda folder: shutil.rmtree(folder / "eigenbases"), r"Set eigenbasis\.keep to all or first_seed"),
        (lambda folder: shutil.rmtree(folder / "eigenbases/B"), r"those of configuration A were kept"),
        (lambda folder: shutil.rmtree(folder / "models/B/seed-1"), "weights.safetensors is missing"),
        (
            lambda folder: shutil.copy(folder / "models/A/seed-0/weights.safetensors", folder / "models/B/seed-0/"),
            "is not the network that scored the experiment's test images",
        ),
    ],
)
def test_what_is_missing_is_told(experiment, photographs, tmp_path, damage, message):
    shutil.copytree(experiment, tmp_path / "small")
    damage(tmp_path / "small")
    with pytest.raises(FlagError, match=message):
        flag(photographs, tmp_path / "small")


def test_networks_without_an_eigenbasis_are_left_out(experiment, tmp_path):
    shutil.copytree(experiment, tmp_path / "small")
    shutil.rmtree(tmp_path / "small/eigenbases/B/seed-0.zarr")
    judges = find_judges(tmp_path / "small")
    assert [network.seed for network in judges.networks] == [1]
    assert judges.seeds == 2


def test_an_unknown_configuration_names_those_there_are(experiment):
    with pytest.raises(FlagError, match=r"no configuration 'C'; it has A, B"):
        find_judges(experiment, "C")


def test_a_folder_without_photographs_is_told(tmp_path):
    with pytest.raises(FlagError, match="there is no folder"):
        read_photographs(tmp_path / "nowhere", SIZE, "crop")
    with pytest.raises(FlagError, match="there is no file in"):
        read_photographs(tmp_path, SIZE, "crop")
    (tmp_path / "a.txt").write_text("{}")
    with pytest.raises(FlagError, match=r"none of the 1 files .* a\.txt: a JSON document"):
        read_photographs(tmp_path, SIZE, "crop")


def test_an_earlier_run_is_not_read_as_photographs(photographs, tmp_path):
    shutil.copytree(photographs, tmp_path / "given")
    (tmp_path / "given/flagged.html").write_text("<html>")
    names, pixels, rejected = read_photographs(tmp_path / "given", SIZE, "crop", skip=tmp_path / "given")
    assert names == ["i0.png", "i1.png", "i2.png", "ward & co/i3.bmp"]
    assert pixels.shape == (4, SIZE, SIZE, 3)
    assert "flagged.html" not in set(rejected["file"])


def test_the_command_line_tells_mistakes_without_a_traceback(experiment, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(sluguq.machine.devices, "prepare_networks", lambda gpu: None)
    assert main(["flag", str(tmp_path / "nowhere"), "--experiment", str(experiment)]) == 1
    assert "sluguq flag: there is no folder" in capsys.readouterr().err
    with pytest.raises(SystemExit):
        main(["flag", str(tmp_path), "--experiment", str(experiment), "--probes", "1"])
    assert "'1' is no whole number of at least 2" in capsys.readouterr().err


def test_help_waits_for_no_library():
    code = "import sys; from sluguq.__main__ import _parser; _parser().format_help(); print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"jax", "numpy", "pandas", "xarray"} & set(loaded)


def test_a_photograph_that_shows_nothing_is_not_judged(tmp_path):
    Image.new("RGB", (48, 48), (9, 9, 9)).save(tmp_path / "dark.png")
    Image.new("RGB", (48, 48), (90, 9, 9)).save(tmp_path / "red.png")
    names, _, rejected = read_photographs(tmp_path, SIZE, "crop")
    assert names == ["red.png"]
    assert rejected["reason"].str.startswith("all but black").tolist() == [True]
