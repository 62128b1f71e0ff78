"""The rules of a diagnosis, by what they look at."""

# The order of these imports is that in which findings are shown: the likelier cause first.
from chainrule.explain.rules import numbers  # isort: skip
from chainrule.explain.rules import inputs  # isort: skip
from chainrule.explain.rules import network  # isort: skip
from chainrule.explain.rules import signals  # isort: skip
from chainrule.explain.rules import steps  # isort: skip
from chainrule.explain.rules import curves  # isort: skip

__all__ = ["curves", "inputs", "network", "numbers", "signals", "steps"]
