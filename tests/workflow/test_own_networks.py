"""Networks of one's own through the whole workflow, as docs/your-own-network.md shows them."""

import importlib.util
import json
import re

import numpy as np
import pytest
import xarray as xr

from tests.places import ROOT
from tests.workflow.conftest import TINY, copy_checkout

PAGE = (ROOT / "docs" / "your-own-network.md").read_text()
# What the page says but that a tiny run leaves out.
MODEL = "model: {width: 4, depth: 2, latent_channels: 4}"


def block(name: str) -> str:
    """The code of the page that begins with the comment `# name`."""
    return next(code for code in re.findall(r"```python\n(.*?)```", PAGE, re.S) if code.startswith(f"# {name}\n"))


def test_every_block_of_the_page_is_one_that_is_run_here():
    fences = re.findall(r"^```(\w*)\n(.*)$", PAGE, flags=re.MULTILINE)
    opened = [(language, first) for language, first in fences if language]
    assert opened == [
        ("python", "# networks/autoencoder.py"),
        ("yaml", "model:"),
        ("python", "# networks/plain.py"),
    ]
    assert PAGE.count("```") == 2 * len(opened)


def experiment(folder, model: str):
    """A checkout whose tiny experiment has this section `model`, in one configuration."""
    checkout = copy_checkout(folder)
    assert MODEL in TINY
    text = TINY.replace(MODEL, model).replace("{A: {light: 1.0}, B: {light: 0.5, dark: 0.5}}", "{A: {light: 1.0}}")
    (checkout.folder / "config" / "tiny.yaml").write_text(text.replace("external_datasets: [other]\n", ""))
    return checkout


def module_from(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_trained_torch_autoencoder_goes_from_its_weights_to_the_claims(tmp_path):
    torch = pytest.importorskip("torch")
    pytest.importorskip("torchax")
    page_model = re.search(r"```yaml\n(model:.*?)```", PAGE, re.S)[1]
    checkout = experiment(tmp_path / "work", page_model)
    (checkout.folder / "networks").mkdir()
    file = checkout.folder / "networks" / "autoencoder.py"
    file.write_text(block("networks/autoencoder.py"))

    refused = checkout.snakemake("--dry-run", check=False)
    assert refused.returncode
    assert "model.weights: 1 of 1 files are not there: networks/A-0.pt" in refused.stdout + refused.stderr

    torch.manual_seed(0)
    network = module_from(file).Autoencoder().eval()
    torch.save(network.state_dict(), checkout.folder / "networks" / "A-0.pt")
    planned = checkout.planned()
    assert planned["adopt"] == 1
    assert "train" not in planned

    checkout.snakemake("--set-threads", "adopt=1", "eigenbasis=1", "score=1", "--resources", "gpu=2")
    dataset = xr.open_zarr(checkout.results / "skin.zarr").load()
    pixels = dataset["pixels"].values
    x = torch.tensor(pixels.astype(np.float32) / 127.5 - 1).permute(0, 3, 1, 2)
    with torch.no_grad():
        error = (network(x) - x).square().mean((1, 2, 3)).numpy()
    scored = np.isfinite(dataset["mse"].values[0, 0])
    np.testing.assert_allclose(dataset["mse"].values[0, 0][scored], error[scored], rtol=1e-3)
    assert np.isnan(dataset["latent_std"].values).all()
    assert (dataset["slug"].values[0, 0][scored] > 0).all()
    summary = json.loads(next((checkout.results / "eigenbases" / "A").glob("*.json")).read_text())
    assert min(summary["eigenvalues"]) > 0
    for name in ("claims.csv", "index.html", "figures/skin/slug_against_mse.svg", "figures/models/spectrum.svg"):
        assert (checkout.results / name).stat().st_size > 0, name
    assert checkout.planned() == {}


@pytest.mark.parametrize(
    "model",
    [
        "model: {network: attention_vae, width: 4, depth: 2, latent_channels: 2}",
        "model: {network: networks/plain.py:PlainSettings, options: {latents: 5}}",
    ],
)
def test_another_architecture_is_trained_and_scored(tmp_path, model):
    checkout = experiment(tmp_path / "work", model)
    (checkout.folder / "networks").mkdir()
    (checkout.folder / "networks" / "plain.py").write_text(block("networks/plain.py"))
    checkout.snakemake("stores", "--set-threads", "train=1", "eigenbasis=1", "score=1", "--resources", "gpu=2")
    dataset = xr.open_zarr(checkout.results / "skin.zarr").load()
    scored = np.isfinite(dataset["mse"].values[0, 0])
    assert (dataset["slug"].values[0, 0][scored] > 0).all()
    assert (dataset["latent_std"].values[0, 0][scored] > 0).all()
    # Its file is among what a change of code runs again.
    edited = checkout.folder / ("networks/plain.py" if "plain" in model else "src/sluguq/networks/attention_vae.py")
    edited.write_text(edited.read_text() + "\n\n_ADDED = 1\n")
    assert checkout.planned("stores")["train"] == 1


def test_a_setting_that_a_network_does_not_have_is_told(tmp_path):
    checkout = experiment(tmp_path / "work", "model: {network: attention_vae, normalisation: batch}")
    run = checkout.snakemake("--dry-run", check=False)
    assert run.returncode
    assert "model.normalisation: attention_vae has no such setting" in run.stdout + run.stderr
