"""A stated sample: of its size, in strata, the same for everybody."""

import numpy as np
import pytest

from sluguq.config import ConfigurationError, resolve
from sluguq.stages.sample import sampled_rows
from sluguq.stores.store import StoreWriter
from sluguq.stores.variables import described
from tests.stages.test_cost import SMALL


@pytest.fixture
def images(tmp_path):
    columns = {
        "id": np.array([f"i{n}" for n in range(90)], object),
        "fst": np.tile([1, 5, 6], 30).astype("int8"),
        "label_ruler": np.repeat([0, 1], [80, 10]).astype("int32"),
        "label_age": np.arange(90).astype("float64"),
    }
    with StoreWriter(tmp_path / "images.zarr", attributes={}) as writer:
        for name, values in columns.items():
            dtype = object if values.dtype == object else values.dtype
            writer.create(name, ("image",), (90,), dtype, attributes=described(name, "test"))
            writer.write(name, ..., values)
    return tmp_path / "images.zarr"


def test_strata_are_labels_with_few_values(images):
    sample = {"images": 18, "by": "label", "seed": 0}
    rows = sampled_rows(images, sample)
    assert (rows >= 80).sum() == 2
    np.testing.assert_array_equal(rows, sampled_rows(images, sample))
    assert not np.array_equal(rows, sampled_rows(images, {**sample, "seed": 1}))
    by_type = sampled_rows(images, {**sample, "by": "fst"})
    assert np.bincount(by_type % 3).tolist() == [6, 6, 6]
    assert sampled_rows(images, None) is None
    with pytest.raises(ValueError, match=r"no 'hair'.*age, ruler"):
        sampled_rows(images, {**sample, "by": "hair"})


def test_the_training_data_set_is_not_sampled():
    skin = {**SMALL["datasets"]["skin"], "sample": {"images": 10}}
    with pytest.raises(ConfigurationError, match=r"datasets\.skin\.sample: only external data sets"):
        resolve({**SMALL, "datasets": {**SMALL["datasets"], "skin": skin}})
