"""Mistakes in a configuration are refused with the key's path and what is allowed; documents stay in step."""

import json

import pytest
import yaml

from sluguq.config import ConfigurationError, load_experiment, resolve, resolved_yaml
from sluguq.config.documents import reference, schema_text
from tests.places import ROOT

MINIMAL = {
    "experiment": "test",
    "datasets": {"skin": {"source": "phantom", "counts": {1: 9}}},
    "training_dataset": "skin",
}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"traning": {}}, r"traning: unknown key; did you mean 'training'\?"),
        ({"training": {"epoch": 3}}, r"training.epoch: unknown key; did you mean 'epochs'\?"),
        ({"training": {"perceptual": {"netwrk": "vgg19"}}}, r"training.perceptual.netwrk: .*did you mean 'network'"),
        ({"datasets": {"skin": {"source": "phantom", "cnts": {}}}}, r"datasets.skin.cnts: .*did you mean 'counts'"),
        ({"datasets": {"skin": {"source": "phantm"}}}, r"datasets.skin.source: .*'phantom'"),
        ({"datasets": {"models": MINIMAL["datasets"]["skin"]}, "training_dataset": "models"}, "cannot be called"),
        ({"training_dataset": "other"}, r"'other' is not under datasets, which has \['skin'\]"),
        ({"external_datasets": ["skin"]}, "named twice"),
        ({"images": {"size": 72}}, r"images.size 72 cannot be halved model.depth = 4 times"),
        ({"sensitivity": {"rank": [60]}}, r"sensitivity.rank 60 exceeds eigenbasis.rank"),
        ({"sensitivity": {"training_images": [4000]}}, r"sensitivity.training_images 4000 is not from"),
        ({"sensitivity": {"image_size": [72]}}, r"sensitivity.image_size 72 cannot be halved"),
        ({"sensitivity": {"image_size": [16]}}, r"image size 16 is outside 32 to 256"),
        ({"sensitivity": {"seeds": 99}}, r"sensitivity.seeds 99 exceeds the number of seeds"),
        ({"images": {"size": 512}}, r"images.size: image size 512 is outside 32 to 256"),
        ({"groups": {"light": [1, 2], "dark": [2, 6]}}, "skin type 2 is in 'light' and in 'dark'"),
        ({"groups": {"light": [0]}}, "groups.light.0: .*greater than or equal to 1"),
        ({"configurations": {"A": {"pale": 1.0}}}, r"configurations.A names \['pale'\]"),
        ({"configurations": {"A": {"light": 0.7}}}, "shares of configurations.A sum to 0.7"),
        ({"seeds": [1, 1]}, "not distinct"),
        ({"seeds": 0}, "at least one seed"),
        ({"score": {"probes": 8, "tolerance": 0.1}}, "either probes or tolerance"),
        ({"eigenbasis": {"rank": 0}}, "eigenbasis.rank: .*greater than or equal to 1"),
        ({"score": {"probes": 1}}, "score.probes: .*greater than or equal to 2"),
        ({"score": {"maps": ["skin", "skn"]}}, r"score.maps: 'skn' is none of the scored data sets \(skin\)"),
        ({"score": {"prior_precision": float("inf")}}, "score.prior_precision: .*finite"),
        ({"experiment": "a/b"}, "experiment: expected letters, digits"),
        ({"training": {"batch_size": 5000}}, "batch_size 5000 exceeds split.train_images"),
    ],
)
def test_mistakes_are_refused(change, message):
    with pytest.raises(ConfigurationError, match=message):
        resolve({**MINIMAL, **change})


def test_all_mistakes_are_told_at_once():
    with pytest.raises(ConfigurationError) as error:
        resolve({**MINIMAL, "seed": 3, "training": {"epochs": 0}})
    assert "seed: unknown key; did you mean 'seeds'?" in str(error.value)
    assert "training.epochs" in str(error.value)


def test_maps_are_stored_of_the_data_sets_that_are_named():
    other = {"datasets": {**MINIMAL["datasets"], "other": MINIMAL["datasets"]["skin"]}, "external_datasets": ["other"]}
    for maps, home, away in (
        (True, True, True),
        (False, False, False),
        (["skin"], True, False),
        (["other"], False, True),
    ):
        experiment = resolve({**MINIMAL, **other, "score": {"maps": maps}})
        stored = [experiment.score_settings(name)["maps"] for name in ("skin", "artefacts", "other")]
        assert stored == [home, home, away]


def test_a_number_of_seeds_is_that_many():
    assert resolve({**MINIMAL, "seeds": 3}).seeds == (0, 1, 2)
    assert resolve({**MINIMAL, "seeds": [4, 7]}).seeds == (4, 7)


def test_resolved_configuration_resolves_to_itself():
    experiment = resolve(MINIMAL)
    assert resolve(yaml.safe_load(resolved_yaml(experiment))) == experiment


@pytest.mark.parametrize("path", sorted((ROOT / "config").glob("*.yaml")), ids=lambda path: path.name)
def test_shipped_configurations_are_valid(path):
    load_experiment(path)


def test_papers_protocols():
    slug = load_experiment(ROOT / "config" / "config.yaml")
    fairness = load_experiment(ROOT / "config" / "fairness.yaml")
    assert len(slug.seeds) == len(fairness.seeds) == 10
    assert slug.split.train_images == fairness.split.train_images == 1668
    assert (slug.split.test_images, fairness.split.test_images) == (512, 500)
    assert (slug.split.replacement, fairness.split.replacement) == (False, True)
    assert (slug.training.epochs, slug.training.schedule) == (1000, "cosine")
    assert (fairness.training.epochs, fairness.training.schedule) == (15, "constant")
    assert slug.images.size == fairness.images.size == 128
    # The fairness paper's figure 2 has a bar of images without a skin type.
    assert slug.datasets["fitzpatrick17k"].unlabelled
    assert fairness.datasets["fitzpatrick17k"].unlabelled


def test_unreadable_files_are_named(tmp_path):
    with pytest.raises(ConfigurationError, match=r"no configuration file .*none\.yaml"):
        load_experiment(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1,")
    with pytest.raises(ConfigurationError, match=r"bad\.yaml is not valid YAML"):
        load_experiment(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- 1")
    with pytest.raises(ConfigurationError, match=r"list\.yaml must hold keys"):
        load_experiment(tmp_path / "list.yaml")


def test_generated_documents_are_up_to_date():
    assert (ROOT / "config" / "README.md").read_text() == reference(), "run: make documents"
    assert (ROOT / "config" / "schema.json").read_text() == schema_text(), "run: make documents"
    json.loads(schema_text())


FOLDER = {"source": "folder", "folder": "photographs"}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"datasets": {"skin": {**FOLDER, "columns": {"labels": "Diagnose"}}}},
            "datasets.skin.columns.labels: expected a list, such as [a, b] (got the text 'Diagnose')",
        ),
        ({"seeds": "two"}, "seeds: expected a list, such as [a, b] (got the text 'two')"),
        ({"images": {"size": "large"}}, "images.size: expected a whole number (got the text 'large')"),
        ({"training": {"flip": "perhaps"}}, "training.flip: expected true or false (got the text 'perhaps')"),
        (
            {"experiment": "my experiment"},
            "experiment: expected letters, digits, - and _, beginning with a letter or digit "
            "(got the text 'my experiment')",
        ),
        (
            {"datasets": {"skin": {"source": "foldr"}}},
            "there is no source 'foldr'; did you mean 'folder'? known here: ddi",
        ),
        ({"datasets": {"skin": {"folder": "x"}}}, "datasets.skin.source: this key is required; one of ddi"),
        ({"images": {"fit": "corp"}}, "did you mean 'crop'?"),
        ({"groups": [1, 2]}, "groups: expected keys with values below it"),
    ],
)
def test_mistakes_are_told_in_the_users_words(change, message):
    base = {"experiment": "test", "datasets": {"skin": FOLDER}, "training_dataset": "skin"}
    with pytest.raises(ConfigurationError) as caught:
        resolve({**base, **change})
    assert message in str(caught.value)


def test_values_of_skin_types_may_be_numbers():
    options = {**FOLDER, "fst_values": {12: 1}}
    experiment = resolve({"experiment": "test", "datasets": {"skin": options}, "training_dataset": "skin"})
    assert experiment.datasets["skin"].fst_values == {"12": 1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("seeds: 2\nseeds: 5\n", "the key 'seeds' stands twice"),
        ("split: {train_images: 8, test_images: 4, train_images: 9}\n", "the key 'train_images' stands twice"),
        ("groups: {light: [yes, 2], dark: [5, 6]}\n", "groups.light.0: YAML reads yes.*no number"),
        ("split: {train_images: 64, test_images: on}\n", "split.test_images: YAML reads"),
        ("external_datasets: [mine]\n", "mine.fst_values: YAML reads yes.*quotes"),
        ("training: {learning_rate: .inf}\n", "training.learning_rate: .*finite"),
        ("model: {weights: ''}\n", "model.weights|expected"),
        ("x: " + "[" * 3000 + "]" * 3000, "nested too deep"),
        ("# Größe\n".encode("latin-1"), "is not encoded as UTF-8"),
        ("seeds: 010\n", r"YAML reads 010 as 8: write 10, or put it into quotes.*\n.*line \d+, column 8"),
        ("split: {test_images: 1:30}\n", "YAML reads 1:30 as 90: put it into quotes"),
        ("training: {learning_rate: 0:0.5}\n", "YAML reads 0:0.5 as 0.5"),
    ],
)
def test_what_yaml_reads_otherwise_than_it_is_meant_is_refused(tmp_path, text, message):
    datasets = {**MINIMAL["datasets"], "mine": {"source": "folder", "folder": "x", "fst_values": {True: 1}}}
    datasets = datasets if "mine" in str(text) else MINIMAL["datasets"]
    path = tmp_path / "e.yaml"
    plain = yaml.safe_dump({**MINIMAL, "datasets": datasets}).encode()
    path.write_bytes(plain + (text if isinstance(text, bytes) else text.encode()))
    with pytest.raises(ConfigurationError, match=message):
        load_experiment(path)


def test_merged_keys_may_be_overridden(tmp_path):
    path = tmp_path / "e.yaml"
    path.write_text(
        "experiment: test\ntraining_dataset: skin\n"
        "datasets:\n  skin: &drawn {source: phantom, counts: {1: 9}}\n  more: {<<: *drawn, counts: {2: 9}}\n"
    )
    assert dict(load_experiment(path).datasets["more"].counts) == {2: 9}


@pytest.mark.parametrize(
    ("folder", "message"),
    [('""', "expected a path"), ('"C:\\temp\\new"', "use single quotes"), ("' '", "expected a path")],
)
def test_paths_that_yaml_broke_are_refused(tmp_path, folder, message):
    path = tmp_path / "e.yaml"
    path.write_text(
        f"experiment: test\ntraining_dataset: skin\ndatasets: {{skin: {{source: folder, folder: {folder}}}}}\n"
    )
    with pytest.raises(ConfigurationError, match=f"datasets.skin.folder: .*{message}"):
        load_experiment(path)


def test_files_that_cannot_be_read_are_told(tmp_path):
    (tmp_path / "loop.yaml").symlink_to(tmp_path / "loop.yaml")
    for path in (tmp_path, tmp_path / "loop.yaml"):
        with pytest.raises(ConfigurationError, match="cannot be read"):
            load_experiment(path)
