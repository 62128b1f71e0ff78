"""Every number explained: traces, Jacobians, curvature, the anatomy of a network, surfaces, diagnosis, comparisons."""

from chainrule.explain import histories, rankings, rates, replayed
from chainrule.explain.anatomy import Anatomy, LayerCurves, Unit, anatomy
from chainrule.explain.boundaries import Boundary, boundary
from chainrule.explain.compare import (
    ActivationComparison,
    LossComparison,
    OptimizerComparison,
    PerExampleComparison,
    compare_activations,
    compare_losses,
    compare_optimizers,
    compare_per_example,
)
from chainrule.explain.convexity import Convexity, convexity
from chainrule.explain.curves import ActivationCurve, activation_curve
from chainrule.explain.cut import Cut
from chainrule.explain.diagnosis import Diagnosis, Finding
from chainrule.explain.jacobian import Chain, Jacobian, hessian, hessian_vector, jacobian
from chainrule.explain.matrix import Matrix
from chainrule.explain.paths import Path
from chainrule.explain.surfaces import LossSurface, surface
from chainrule.explain.trace import Moment, Passage, Return, Trace, trace

__all__ = [
    "ActivationComparison",
    "ActivationCurve",
    "Anatomy",
    "Boundary",
    "Chain",
    "Convexity",
    "Cut",
    "Diagnosis",
    "Finding",
    "Jacobian",
    "LayerCurves",
    "LossComparison",
    "LossSurface",
    "Matrix",
    "Moment",
    "OptimizerComparison",
    "Passage",
    "Path",
    "PerExampleComparison",
    "Return",
    "Trace",
    "Unit",
    "activation_curve",
    "anatomy",
    "boundary",
    "compare_activations",
    "compare_losses",
    "compare_optimizers",
    "compare_per_example",
    "convexity",
    "hessian",
    "hessian_vector",
    "histories",
    "jacobian",
    "rankings",
    "rates",
    "replayed",
    "surface",
    "trace",
]
