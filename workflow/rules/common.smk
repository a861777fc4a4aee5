# What the rules share: the checked configuration, names, and which library files a script depends on.
import re
import sys
from collections import Counter
from functools import cache
from hashlib import sha256
from pathlib import Path

# Of the checkout that this file lies in, also where another workflow uses it as a module.
_source = Path(workflow.current_basedir.get_path_or_uri(secret_free=True)).parents[1] / "src"
sys.path.insert(0, str(_source))
# Snakemake puts the interpreter's path into shell commands as it is; one with a space would fall apart there.
sys.executable = re.sub(r"(?<!\\)([^\w@%+=:,./\\-])", r"\\\1", sys.executable)

import yaml
from snakemake.exceptions import WorkflowError
from snakemake.io import IOFile, apply_wildcards

if not _source.is_dir():
    raise WorkflowError(f"no library at {_source}: use this workflow from a clone (git clone --branch <tag>)")

from sluguq.machine import extensions

# Before anything else of the library is imported, so that its lists hold what a user's files add.
try:
    extensions.load(config.get("extensions") or ())
    from sluguq.analysis.catalogue import tables_for
    from sluguq.figures import FIGURES, names_for
except extensions.ExtensionError as error:
    raise WorkflowError(str(error)) from None

from sluguq.config import ConfigurationError, load_experiment, resolve, resolved_yaml
from sluguq.config.loading import read_yaml
from sluguq.config.paths import (
    ARTEFACTS,
    ResultPaths,
    acquired_images,
    image_store,
    missing_images,
    originals,
)
from sluguq.config.paths import MODELS as MODELS_STORE
from sluguq.config.paths import perceptual_weights, rejected_images, results_of, weights_file
from sluguq.config.sources import is_synthetic, registry_name
from sluguq.machine.code import fingerprint_of_code
from sluguq.datasets.attempts import attempt, has_passing_losses
from sluguq.networks.registry import source_of
from sluguq.stages.preflight import check_disk, check_experiment, consents_lacking
from sluguq.stages.shared_data import check_shared_data
from sluguq.stages.taken import duration, expected_seconds
from sluguq.stages.sources_read import fingerprint_of_sources, settled

try:
    # Snakemake takes the last of two keys of one name without a word.
    for file in workflow.overwrite_configfiles if workflow.is_main_process else ():
        if Path(file).suffix != ".json":
            read_yaml(file)
    EXPERIMENT = resolve({key: value for key, value in config.items() if key != "told"})
    # Jobs read the configuration again, perhaps where the originals are not.
    check_experiment(EXPERIMENT, inputs=workflow.is_main_process)
    if workflow.is_main_process:
        check_shared_data(EXPERIMENT)
    # A plan can be looked at without them; a run is refused when it starts.
    CONSENTS = consents_lacking(EXPERIMENT) if workflow.is_main_process else ""
    if CONSENTS:
        print(CONSENTS, file=sys.stderr)
except ConfigurationError as error:
    raise WorkflowError(str(error)) from None

# What jobs are told besides their parameters: nothing of it changes a result that is there, so it causes no rerun.
config["told"] = {
    "experiment": EXPERIMENT.experiment,
    "checkpoint_minutes": EXPERIMENT.training.checkpoint_minutes,
    "pictures": EXPERIMENT.training.model_dump(include={"snapshots", "samples"}),
    "datasets": {
        name: options.model_dump(mode="json", include={"downloads", "accept_licence"})
        for name, options in EXPERIMENT.datasets.items()
    },
}

RESULTS = results_of(EXPERIMENT.experiment)
PATHS = ResultPaths(RESULTS)
SIZE = EXPERIMENT.images.size
CONFIGURATIONS = list(EXPERIMENT.configurations)
SEEDS = list(EXPERIMENT.seeds)
MODELS = [(name, seed) for name in CONFIGURATIONS for seed in SEEDS]
AGGREGATED = [*EXPERIMENT.scored_datasets, *([ARTEFACTS] if EXPERIMENT.artefacts.images else [])]
# What stores record. How jobs run, and what is varied besides, changes no result: an edit there reruns nothing.
# Handed on by functions: Snakemake would take the braces of `model.weights` for wildcards of its own.
CONFIGURATION = resolved_yaml(
    EXPERIMENT,
    exclude={
        "resources": True,
        "extensions": True,
        "sensitivity": True,
        "analysis": True,
        "training": {"checkpoint_minutes"},
        "eigenbasis": {"keep"},
    },
)
LIBRARY = Path(sys.modules["sluguq"].__file__).parent
SCRIPTS = _source.parent / "scripts"
if not LIBRARY.samefile(_source / "sluguq"):
    raise WorkflowError(
        f"the library was imported from {LIBRARY}, but this workflow goes with {_source / 'sluguq'}: "
        "use one clone in one workflow"
    )
# Seeds whose eigenbases outlive the scoring.
KEPT_SEEDS = {"all": SEEDS, "first_seed": SEEDS[:1], "until_scored": []}[EXPERIMENT.eigenbasis.keep]
NETWORKS_ENVIRONMENT = "../envs/networks-gpu.yaml" if EXPERIMENT.resources.gpu else "../envs/networks.yaml"
# Logs, threads, devices, how files are laid out and checked, and the list of public names: an edit there changes no
# number, so it reruns nothing.
WITHOUT_EFFECT = (
    *("__init__.py", "machine", "config", "stages/unchanged.py", "stages/shared_data.py", "stages/sources_read.py"),
    *(f"stores/{name}.py" for name in ("files", "manifest", "provenance", "store", "tables")),
)
# What takes hours, and what it comes from, depends on the numerics alone: not on the descriptions of variables, the
# arithmetic of disk space, how vectors are stored, checkpoints, or where data are published and how they are fetched.
WITHOUT_EFFECT_ON_NUMBERS = (
    *WITHOUT_EFFECT,
    *("stores/variables.py", "stages/basis_store.py", "slug/room.py", "slug/lanczos_state.py"),
    *("networks/checkpoints.py", "networks/weights.py", "networks/watch.py"),
    *(
        f"datasets/{name}"
        for name in ("registry.py", "registry.yaml", "hosts.py", "download.py", "transfers.py", "attempts.py")
    ),
)
# What only scores are computed with. Estimators know both their basis and their scores, so that a job that finds a basis
# imports all of it and calls none.
SCORING = tuple(
    f"slug/{name}.py" for name in ("score", "scores", "blocks", "blockwise", "deflated", "pilot", "probing", "shared")
)
DESCRIBING = ("aggregate.py", "aggregate_models.py", "datasheet.py")
# Settings of the sensitivity analysis that ask for models of their own: everything of such a variant lies under its name.
OWN_MODELS = {"training_images": EXPERIMENT.split.train_images, "image_size": SIZE}
VARIANTS = [
    f"{setting}-{value}"
    for setting, reference in OWN_MODELS.items()
    for value in getattr(EXPERIMENT.sensitivity, setting)
    if value != reference
]


# All in one place before the first rule: a second one makes Snakemake forget the constraints of single rules where
# results lie in remote storage.
wildcard_constraints:
    dataset="[A-Za-z0-9][A-Za-z0-9_-]*",
    configuration="[A-Za-z0-9][A-Za-z0-9_-]*",
    seed=r"\d+",
    size=r"\d+",
    variant="|".join(VARIANTS) or "(?!)",


@cache
def code(script):
    """Value of `params: code=`: changes when what scripts/<script> computes can have changed, and only then."""
    without = WITHOUT_EFFECT if script in DESCRIBING else WITHOUT_EFFECT_ON_NUMBERS
    return fingerprint_of_code(SCRIPTS / script, *_extensions(script), without=without)


def prepared(dataset):
    return image_store(dataset, SIZE)


# Whose people are in no split: what is read from one depends on these images, too.
HELD_OUT = [prepared(dataset) for dataset in EXPERIMENT.split.hold_out]


def roles(configuration=None, **changed):
    """Value of `params: split=`: what the roles that a job reads from a split depend on, besides the images.

    The split itself is `ancient` to such a job as long as this stands, see `read_split`: another configuration gives it
    new rows, and changes no other.

    :param configuration: whose training images are read as well; None for the test images alone.
    :param changed: settings of the split that a variant changes.
    """
    settings = {**EXPERIMENT.split.model_dump(mode="json"), **changed}
    tested = {"groups": EXPERIMENT.model_dump(mode="json")["groups"], "code": code("split.py")}
    if configuration is None:
        return tested | {key: settings[key] for key in ("test_images", "deduplicate", "hold_out")}
    return tested | settings | {"mix": EXPERIMENT.configurations[configuration]}


def read_split(split, made, params):
    """Input function of a job that reads a split: `ancient` to it where it last ran with the parameters it has now.

    Snakemake asks of no job after one that will run whether its own parameters changed. A split that were always
    `ancient` would be drawn anew, and leave the networks that were trained on the one before.

    :param split: path of the split.
    :param made: one of the job's outputs, of which Snakemake knows the parameters that it was made with.
    :param params: all `params` of the rule by name, as values or functions of the wildcards.
    """

    def path(wildcards):
        names = dict(wildcards.items())
        file = apply_wildcards(split, names)
        recorded = workflow.persistence.params(IOFile(apply_wildcards(made, names)))
        values = (value(wildcards) if callable(value) else value for value in params.values())
        return ancient(file) if recorded and set(recorded) == {repr(value) for value in values} else file

    return path


def _extensions(script):
    """The files of a user's own whose additions a script computes; all others change none of its numbers."""
    return extensions.files_adding(*EXTENDED.get(script, ("signal", "table", "figure", "claim")))


# Kinds of additions by the script that computes them, where these are not results made of scores.
EXTENDED = {
    **dict.fromkeys(("acquire.py", "prepare.py", "split.py", "train.py", "datasheet.py", "perceptual_weights.py"), ()),
    "artefacts.py": ("artefact",),
    "eigenbasis.py": ("estimator",),
    "score.py": ("estimator", "signal"),
    "score_varied.py": ("estimator",),
    "aggregate.py": ("signal",),
    "aggregate_models.py": (),
}


@cache
def network_code(script):
    """The same of a job that runs the network: its architecture is imported by the name in the configuration."""
    without = (*WITHOUT_EFFECT_ON_NUMBERS, *SCORING) if script == "eigenbasis.py" else WITHOUT_EFFECT_ON_NUMBERS
    return fingerprint_of_code(
        SCRIPTS / script, source_of(EXPERIMENT.model.network), *_extensions(script), without=without
    )


def pixels_scored(wildcards):
    """The image store that a score store's images come from."""
    if wildcards.dataset == ARTEFACTS:
        return PATHS.artefacts(wildcards.seed)
    return prepared(wildcards.dataset)


def sources_read(wildcards):
    """Value of `params: content=`: changes when a file does that a data set is acquired from."""
    return fingerprint_of_sources(EXPERIMENT.datasets[wildcards.dataset])


def failures_of_acquisition(wildcards):
    """How often a data set was asked for in vain; losses to a server count until images have been drawn from it."""
    return attempt(Path(originals(wildcards.dataset)), drawn_from=is_drawn_from(wildcards.dataset))


def is_drawn_from(dataset):
    """Whether a split was drawn after the data set was acquired."""
    tables, splits = Path(acquired_images(dataset)), Path().glob(f"{results_of('*')}/splits/seed-*.csv")
    return tables.exists() and any(split.stat().st_mtime > tables.stat().st_mtime for split in splits)


def passing_losses():
    """A line for each data set of which a server may give more than it gave."""
    lines = []
    for dataset in EXPERIMENT.scored_datasets:
        if has_passing_losses(Path(originals(dataset))):
            way = (
                f"images were drawn from what there is: --forcerun {acquired_images(dataset)} asks again"
                if is_drawn_from(dataset)
                else "the next run asks again"
            )
            lines.append(
                f"datasets.{dataset}: a server failed to give some images (the reasons are in "
                f"{missing_images(dataset)}); {way}"
            )
    return lines


def kept(path):
    """An output whose last version stays until a new one is whole, where results lie on a disk."""
    # Snakemake copies the last version from the disk, where results in a bucket need not be.
    return path if workflow.storage_settings.default_storage_provider else update(path)


def adapter_code(wildcards):
    """The same of an acquisition: the adapter is imported by the name of its source."""
    options = EXPERIMENT.datasets[wildcards.dataset]
    adapters = [LIBRARY / "datasets" / "sources" / f"{options.source}.py"]
    if options.source == "own":
        adapters.append(Path(options.adapter))
    return fingerprint_of_code(SCRIPTS / "acquire.py", *adapters, without=WITHOUT_EFFECT_ON_NUMBERS)


def perceptual_file(wildcards):
    """The file of ImageNet weights, where the loss needs one."""
    perceptual = EXPERIMENT.training.perceptual
    if perceptual.weights == "random" or EXPERIMENT.training.perceptual_weight == 0:
        return []
    return [local(perceptual.file) if perceptual.file else perceptual_weights(perceptual.network)]


def digest_of(path):
    """SHA-256 of a file, empty where there is none: what depends on it without being made after it."""
    return sha256(Path(path).read_bytes()).hexdigest() if Path(path).is_file() else ""


def memory(megabytes):
    """Memory of a job: as much again at every retry, since one that ran out of it would do so again."""
    return lambda wildcards, attempt: megabytes * attempt


def only_seeds(seeds):
    """Regular expression of these seeds; one that nothing matches where there are none."""
    return "|".join(map(str, seeds)) or "(?!)"


def score_parts(wildcards):
    """What the other jobs have scored that share a data set with this one."""
    count = EXPERIMENT.resources.score_parts
    names = (wildcards.configuration, wildcards.seed, wildcards.dataset)
    return [] if count == 1 else [PATHS.score_part(*names, part, count) for part in range(1, count + 1)]


def sample_of(wildcards):
    """The stated sample of an external data set; None for all of its images."""
    if wildcards.dataset == ARTEFACTS:
        return None
    sample = EXPERIMENT.datasets[wildcards.dataset].sample
    return None if sample is None else sample.model_dump()


def image_stores(wildcards):
    if wildcards.dataset == ARTEFACTS:
        return [PATHS.artefacts(seed) for seed in SEEDS]
    return [prepared(wildcards.dataset)]


def varied_value(wildcards, setting, reference):
    """The value of a setting in a variant: its own where the variant is of this setting, else the experiment's."""
    name, value = wildcards.variant.rsplit("-", 1)
    return int(value) if name == setting else reference


def pixels_of_variant(wildcards):
    return image_store(EXPERIMENT.training_dataset, varied_value(wildcards, "image_size", SIZE))


def roles_of_variant(wildcards):
    """The same as `roles` of a variant's own split."""
    images = varied_value(wildcards, "training_images", EXPERIMENT.split.train_images)
    return roles(wildcards.configuration, train_images=images)


def eigenbasis_settings():
    """The section `eigenbasis`; what its method does not ask stands at its default, whatever the file says."""
    settings = EXPERIMENT.eigenbasis
    if settings.method == "projected":
        default = type(settings).model_fields["sketch_size"].default
        settings = settings.model_copy(update={"sketch_size": default})
    return settings.model_dump(mode="json", exclude={"keep"})


def role_of(wildcards):
    return ROLES[wildcards.dataset]


from sluguq.figures import FIGURES, TITLES, names_for

MODEL_FIGURES = [name for name, figure in FIGURES.items() if figure.needs == "models"]
PROBES = EXPERIMENT.score.probes or "as many as the accuracy asks for"
# What captions state: the values of this run, not a copy of them.
CAPTION_SETTINGS = (
    f"Experiment {EXPERIMENT.experiment}: {len(SEEDS)} seeds, {EXPERIMENT.split.train_images} training images a "
    f"configuration, {EXPERIMENT.split.test_images} test images per group, {SIZE} pixels, "
    f"{EXPERIMENT.training.epochs} epochs; rank {EXPERIMENT.eigenbasis.rank}, probes: {PROBES}."
)


def table_outputs(store, role):
    """Every table of a store, by name; all of them go into Snakemake's report."""
    return {
        name: report(
            PATHS.table(store, name),
            caption="../report/tables.rst",
            category=store,
            labels={"figure": f"table of {name.replace('_', ' ')}"},
        )
        for name in tables_for(role)
    }


def figure_outputs(folder, names, category):
    """SVG, PNG and csv of figures; the SVG goes into Snakemake's report with its caption."""
    shown = []
    for name in names:
        own = name in extensions.FIGURES
        caption, labels = f"../report/{'own' if own else name}.rst", {
            "figure": TITLES.get(name, name.replace("_", " "))
        }
        shown.append(report(f"{folder}/{name}.svg", caption=caption, category=category, labels=labels))
    return [*shown, *(f"{folder}/{name}.{ending}" for name in names for ending in ("png", "csv"))]


# The SLUG paper's experiment, which `findings` compares this one with.
PAPER = yaml.safe_load(resolved_yaml(load_experiment(_source.parent / "config" / "config.yaml")))
# As somebody would type them here; of files elsewhere the names alone, for the page is made to be published.
CONFIGFILES = " ".join(
    str(file.relative_to(Path.cwd())) if file.is_relative_to(Path.cwd()) else file.name
    for file in (Path(name).resolve() for name in workflow.overwrite_configfiles)
)
SYNTHETIC = is_synthetic(EXPERIMENT.datasets[EXPERIMENT.training_dataset])
REPORT_PAGE = PATHS.report()
EXPLORE_PAGE = PATHS.explore()
PARQUET_FILES = [PATHS.parquet(dataset) for dataset in AGGREGATED]
CLAIMS = PATHS.claims()
REGISTRATION = PATHS.registration()
ROBUSTNESS = PATHS.table(EXPERIMENT.training_dataset, "robustness")
SENSITIVITY_FOLDER = PATHS.figures("sensitivity")
SENSITIVITY_FIGURE = f"{SENSITIVITY_FOLDER}/sensitivity.svg"
MODEL_CARDS = [PATHS.model_card(name) for name in CONFIGURATIONS]
DATASHEETS = [PATHS.datasheet(dataset) for dataset in EXPERIMENT.scored_datasets]
SPLIT_SIZES = PATHS.split_sizes()
REPLICATES = EXPERIMENT.analysis.replicates
# The stores of which there are tables, with their roles.
ROLES = {
    **{dataset: "external" for dataset in EXPERIMENT.external_datasets},
    EXPERIMENT.training_dataset: "training",
    **({ARTEFACTS: "artefacts"} if ARTEFACTS in AGGREGATED else {}),
    MODELS_STORE: "models",
}
TABLE_FILES = [PATHS.table(store, name) for store, role in ROLES.items() for name in tables_for(role)]


def tables_of(store, figures):
    """The tables that these figures of a store are drawn from."""
    return [PATHS.table(store, table) for table in dict.fromkeys(t for name in figures for t in FIGURES[name].tables)]


FIGURE_FILES = [
    f"{PATHS.figures(folder)}/{name}.svg"
    for folder, names in (
        *((dataset, names_for("training")) for dataset in EXPERIMENT.scored_datasets),
        *((dataset, names_for("artefacts")) for dataset in AGGREGATED if dataset == ARTEFACTS),
        (MODELS_STORE, MODEL_FIGURES),
    )
    for name in names
]
