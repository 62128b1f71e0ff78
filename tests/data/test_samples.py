"""The small real data sets."""

import numpy as np
import pytest

from chainrule.data import sample
from chainrule.data.samples import SAMPLES
from chainrule.errors import ConfigurationError


@pytest.mark.parametrize(
    ("name", "shape"),
    [("diabetes", (442, 10)), ("digits", (1797, 64)), ("houses", (2930, 6)), ("tumours", (569, 30))],
)
def test_a_data_set_is_arrays_of_numbers(name, shape):
    X, Y = sample(name)
    assert X.shape == shape
    assert Y.shape == shape[:1]
    assert np.isfinite(X).all()
    assert np.isfinite(Y).all()


def test_every_data_set_is_named_where_one_is_not_there():
    with pytest.raises(ConfigurationError, match=", ".join(SAMPLES)):
        sample("mnist")
