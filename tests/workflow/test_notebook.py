"""The notebook of examples/, executed on the stores of the tiny experiment."""

import nbformat
import pytest
from nbclient import NotebookClient

from tests.places import ROOT

pytestmark = pytest.mark.workflow

NOTEBOOK = ROOT / "examples" / "inspect.ipynb"


def _printed(cell) -> str:
    return "".join(output.get("text", "") + str(output.get("data", "")) for output in cell.outputs)


def test_the_notebook_runs_without_a_warning_and_shows_what_it_says(finished, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert cells[0].source.count('"../results/demo"') == 1
    # ipykernel's own shutdown warns of what is to come.
    strict = (
        "import warnings\nwarnings.simplefilter('error')\nwarnings.simplefilter('ignore', PendingDeprecationWarning)\n"
    )
    cells[0].source = strict + cells[0].source.replace("../results/demo", str(finished.results))
    NotebookClient(notebook, timeout=300, kernel_name="python3").execute()
    assert not any(output.get("name") == "stderr" for cell in cells for output in cell.outputs)
    shown = [_printed(cell) for cell in cells]
    assert "Experiment tiny" in shown[0]
    assert "slug_map" in shown[1]
    assert "light" in shown[2]
    assert "dark" in shown[2]
    assert "slug_sem" in shown[3]
    assert "image/png" in shown[5]
    # A map, stored with a short mantissa, sums to its score.
    assert float(cells[5].outputs[0]["text"]) == pytest.approx(1, abs=0.01)
    assert "experiment: tiny" in shown[7]
