"""The notebook of examples/, executed on the stores of the tiny experiment."""

import nbformat
import pytest
from nbclient import NotebookClient

from tests.places import ROOT

pytestmark = pytest.mark.workflow

NOTEBOOK = ROOT / "examples" / "inspect.ipynb"


def _printed(cell) -> str:
    return "".join(output.get("text", "") + str(output.get("data", "")) for output in cell.outputs)


def test_the_notebook_runs_without_a_warning_and_shows_what_it_says(finished):
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "outputs are not kept in git"
    first = next(cell for cell in notebook.cells if cell.cell_type == "code")
    assert first.source.count("../results/demo/phantom.zarr") == 1
    # ipykernel's own shutdown warns of what is to come.
    strict = (
        "import warnings\nwarnings.simplefilter('error')\nwarnings.simplefilter('ignore', PendingDeprecationWarning)\n"
    )
    first.source = strict + first.source.replace("../results/demo/phantom.zarr", str(finished.results / "skin.zarr"))
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert not any(output.get("name") == "stderr" for cell in cells for output in cell.outputs)
    shown = [_printed(cell) for cell in cells]
    assert "light" in shown[1]
    assert "dark" in shown[1]
    assert "slug_sem" in shown[2]
    assert "image/png" in shown[4]
    # A map, stored with a short mantissa, sums to its score.
    assert float(cells[4].outputs[0]["text"]) == pytest.approx(1, abs=0.01)
    assert "experiment: tiny" in shown[6]
