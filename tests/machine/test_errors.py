"""Every error of the library's own has one base."""

import importlib
import pkgutil

import sluguq
from sluguq.machine.errors import SluguqError


def test_all_errors_of_the_library_have_one_base():
    found = []
    for module in pkgutil.walk_packages(sluguq.__path__, "sluguq."):
        if module.name == "sluguq.__main__":
            continue
        for thing in vars(importlib.import_module(module.name)).values():
            if isinstance(thing, type) and issubclass(thing, Exception) and thing.__module__.startswith("sluguq."):
                found.append(thing)
    found = [error for error in found if not error.__name__.startswith("_")]
    assert len(set(found)) > 15
    assert {error.__qualname__ for error in found if not issubclass(error, SluguqError)} == set()
