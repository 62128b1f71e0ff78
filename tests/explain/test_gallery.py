"""The figures of a first course: each learns what it shows."""

import numpy as np
import pytest

from chainrule.errors import ConfigurationError
from chainrule.explain.gallery import DOSES, GALLERY, picture


@pytest.mark.parametrize("activation", [None, "softplus"])
def test_two_bent_lines_become_the_dosage_curve(activation):
    found = picture("dosage", activation).found
    assert found["A1"].values.shape[1] == 2
    at_doses = np.interp(DOSES[0], found.cut.axes[0], found["Z2[0]"].running[-1])
    np.testing.assert_allclose(at_doses, DOSES[1], atol=0.02)


def test_a_unit_that_is_mirrored():
    found = picture("unit").found
    assert "mirrors" in str(found)
    np.testing.assert_allclose(found.stages[-1].curve, found.value)


def test_the_curve_of_exp():
    found = picture("exp").found
    assert [layer.values.shape[1] for layer in found.layers] == [10, 5, 1]
    error = found["Z3[0]"].running[-1] - np.exp(found.cut.axes[0])
    assert np.sqrt(np.mean(error**2)) < 0.1


def test_irises_by_two_widths():
    found = picture("iris").found
    assert found.cut.labels == ("petal width", "sepal width")
    assert [axis[[0, -1]].tolist() for axis in found.cut.axes] == [[0, 1], [0, 1]]
    np.testing.assert_allclose(found.prediction.sum(axis=1), 1)
    assert picture("iris_boundary").found.wrong.mean() < 0.08


def test_four_optimizers_go_down_one_surface():
    found = picture("loss_surface").found
    assert len(found.tracks) == 4
    for track in found.tracks:
        assert track.share == pytest.approx(1)
        np.testing.assert_allclose(track.places[0], found.tracks[0].places[0])
        assert track.loss[-1] < 0.1 * track.loss[0]


def test_names_that_there_are_not():
    with pytest.raises(ConfigurationError, match="did you mean 'dosage'"):
        picture("dosege")
    with pytest.raises(ConfigurationError, match="no hidden units"):
        picture("sigmoid", "relu")
    with pytest.raises(ConfigurationError, match="no such activation"):
        picture("exp", "relo")


def test_every_figure_says_what_it_shows():
    assert all((maker.__doc__ or "").strip().endswith(".") for maker in GALLERY.values())
