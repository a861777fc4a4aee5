"""The path grammar: every path that it spells is another one, and holds what tells it apart."""

import inspect

from sluguq.config.paths import ResultPaths


def test_every_path_is_another_one_below_its_folder():
    paths = ResultPaths("results/demo")
    spelt = []
    for name, method in inspect.getmembers(ResultPaths, inspect.isfunction):
        if name.startswith("_") or name == "variant":
            continue
        arguments = [argument for argument in inspect.signature(method).parameters if argument != "self"]
        spelt.append(method(paths, *(f"<{argument}>" for argument in arguments)))
        assert spelt[-1].startswith("results/demo/")
        assert all(f"<{argument}>" in spelt[-1] for argument in arguments), spelt[-1]
    assert len(set(spelt)) == len(spelt) > 15
    assert paths.variant("size-64").split(0) == "results/demo/sensitivity/size-64/splits/seed-0.csv"
