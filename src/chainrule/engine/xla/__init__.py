"""The compiler: a graph through XLA. The only place that imports jax."""

from chainrule.engine.xla.cache import use_cache
from chainrule.engine.xla.compile import Compiled, compile_nodes
from chainrule.engine.xla.epochs import Epochs

use_cache()

__all__ = ["Compiled", "Epochs", "compile_nodes"]
