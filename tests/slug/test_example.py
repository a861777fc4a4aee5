"""The example for somebody else's model does what it says."""

import runpy

from tests.places import ROOT


def test_unfamiliar_images_are_more_uncertain(capsys):
    example = runpy.run_path(str(ROOT / "examples" / "your_own_model.py"))
    scores = example["main"](steps=100)
    assert scores["squares"] > 1.2 * scores["discs"] > 0
    assert "most uncertain at pixel" in capsys.readouterr().out
