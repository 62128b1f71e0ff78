"""Activations as curves: values against the op's independent reference, slopes against central differences."""

import numpy as np
import pytest
import scipy

import chainrule as cr
from chainrule.explain.curves import all_curves
from chainrule.graph.op import REGISTRY
from chainrule.nn.activations import ACTIVATIONS

CURVES = {curve.name: curve for curve in all_curves()}
ROWS = {"softmax": scipy.special.expit, "log_softmax": scipy.special.log_expit}


def reference(name):
    if name in ROWS:
        return ROWS[name]
    if name == "linear":
        return lambda z: z
    op = REGISTRY[name].reference
    return (lambda z: op(z, 0.25)) if name == "parametric_relu" else op


@pytest.mark.parametrize("name", CURVES)
def test_value_and_derivative(name):
    curve, g = CURVES[name], reference(name)
    np.testing.assert_allclose(curve.value, g(curve.z), atol=1e-12)
    z = curve.z[np.abs(curve.z - np.round(curve.z)) > 1e-3]  # kinks and jumps lie at whole numbers
    central = (g(z + 1e-6) - g(z - 1e-6)) / 2e-6
    np.testing.assert_allclose(curve.slope[np.isin(curve.z, z)], central, atol=1e-8)


def test_every_activation_is_there_once():
    assert set(CURVES) == set(ACTIVATIONS) - {"swish"}


def test_formulas_are_the_derived_ones():
    assert CURVES["sigmoid"].slope_formula == "σ(z) · (1 − σ(z))"
    assert CURVES["tanh"].slope_formula == "1 − tanh(z)²"
    assert "not differentiable at 0; 0 is taken" in str(CURVES["relu"])


def test_a_jump_is_no_line_and_the_value_that_is_taken_is_marked():
    (axes,) = CURVES["relu"].figure().axes
    slope = next(line for line in axes.lines if "g'(z)" in str(line.get_label()))
    assert np.isnan(slope.get_ydata()).sum() == 1
    dots = {
        (line.get_markerfacecolor() == "white"): line.get_xydata().tolist()
        for line in axes.lines
        if line.get_marker() == "o"
    }
    assert dots == {True: [[0.0, 1.0]], False: [[0.0, 0.0]]}


def test_a_function_of_one_s_own():
    curve = cr.activation_curve(lambda z: z**3, span=(-1, 1), points=5)
    np.testing.assert_allclose(curve.slope, 3 * curve.z**2)
    assert curve._repr_png_().startswith(b"\x89PNG")
