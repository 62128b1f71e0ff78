"""Every number explained: traces of one forward and backward pass, Jacobians and second derivatives."""

from chainrule.explain.convexity import Convexity, convexity
from chainrule.explain.diagnosis import Diagnosis, Finding
from chainrule.explain.jacobian import Jacobian, hessian, hessian_vector, jacobian
from chainrule.explain.trace import Moment, Passage, Trace, trace

__all__ = [
    "Convexity",
    "Diagnosis",
    "Finding",
    "Jacobian",
    "Moment",
    "Passage",
    "Trace",
    "convexity",
    "hessian",
    "hessian_vector",
    "jacobian",
    "trace",
]
