"""The house is as CONTRIBUTING.md says: folders are layers, and no files import each other in a circle."""

import re
import tomllib

import grimp

from tests.places import ROOT


def test_the_contributors_list_is_the_contract():
    linter = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
    (layers,) = (contract["layers"] for contract in linter["contracts"] if contract["type"] == "layers")
    section = (ROOT / "CONTRIBUTING.md").read_text().split("## Architecture")[1].split("\n## ")[0]
    assert re.findall(r"^- `(\w+)`: \w", section, flags=re.MULTILINE) == layers
    folders = {path.stem for path in (ROOT / "src" / "sluguq").iterdir() if path.suffix == ".py" or path.is_dir()}
    assert folders - {"__init__", "__pycache__"} == set(layers)


def test_no_files_import_each_other_in_a_circle():
    graph = grimp.build_graph("sluguq", exclude_type_checking_imports=False)
    imported = {module: graph.find_modules_directly_imported_by(module) for module in graph.modules}
    assert len(imported) > 100
    left = dict(imported)
    # What imports nothing that is left can be in no circle.
    while free := [module for module, needed in left.items() if not needed & set(left)]:
        for module in free:
            del left[module]
    assert not left, f"in circles, or above them: {sorted(left)}"


def test_random_numbers_come_from_one_module():
    made = re.compile(r"default_rng|RandomState|np\.random\.(seed|normal|uniform|choice|permutation)\b")
    source = ROOT / "src" / "sluguq"
    makers = {path.relative_to(source).as_posix() for path in source.rglob("*.py") if made.search(path.read_text())}
    assert makers == {"machine/streams.py"}
