"""Graph → graph: simplify, stabilise, share. Each rule is named, logged, and tested for equality."""

# The order of these imports is the order in which rules are tried.
from chainrule.rewrite import stabilise  # isort: skip
from chainrule.rewrite import arithmetic  # isort: skip
from chainrule.rewrite import scalars  # isort: skip
from chainrule.rewrite import shapes  # isort: skip
from chainrule.rewrite import choices  # isort: skip
from chainrule.rewrite import collect  # isort: skip
from chainrule.rewrite.hoist import fast
from chainrule.rewrite.phases import Phase, in_phase
from chainrule.rewrite.rewriter import RULES, Rewriter, Rewriting, Rule, Step, rewrite
from chainrule.rewrite.unroll import unrolled

__all__ = [
    "RULES",
    "Phase",
    "Rewriter",
    "Rewriting",
    "Rule",
    "Step",
    "arithmetic",
    "choices",
    "collect",
    "fast",
    "in_phase",
    "rewrite",
    "scalars",
    "shapes",
    "stabilise",
    "unrolled",
]
