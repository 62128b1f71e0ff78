"""The compiler: a graph through XLA. The only place that imports jax."""

from chainrule.engine.xla.cache import use_cache
from chainrule.engine.xla.compile import Compiled, compile_nodes
from chainrule.engine.xla.devices import Devices, local_cores, processes, use_cores
from chainrule.engine.xla.epochs import Epochs
from chainrule.engine.xla.lanes import Lanes
from chainrule.engine.xla.look import Look
from chainrule.engine.xla.streaming import StreamedEpochs

use_cache()
use_cores()

__all__ = [
    "Compiled",
    "Devices",
    "Epochs",
    "Lanes",
    "Look",
    "StreamedEpochs",
    "compile_nodes",
    "local_cores",
    "processes",
]
