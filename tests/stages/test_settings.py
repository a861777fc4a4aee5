"""Sections of the configuration become what the numerics take."""

import pytest

from sluguq.slug.estimators import BasisSettings
from sluguq.stages.settings import settings_from

SECTION = {"rank": 4, "tolerance": 0.1, "batch_size": 8, "dtype": "float32", "sketch_size": 10, "keep": "all"}


def test_a_section_may_hold_more_and_lack_what_has_a_default():
    assert settings_from(BasisSettings, SECTION) == BasisSettings(4, 0.1, 8, "float32", 10)
    assert settings_from(BasisSettings, SECTION, rank=2, accuracy=0.5) == BasisSettings(2, 0.1, 8, "float32", 10, 0.5)
    with pytest.raises(TypeError, match="rank"):
        settings_from(BasisSettings, {name: value for name, value in SECTION.items() if name != "rank"})
