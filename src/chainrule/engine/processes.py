"""Several processes, on one machine or many, that train together: who takes part, and who speaks for all."""

from __future__ import annotations

import atexit
from dataclasses import dataclass

from chainrule.engine.rendezvous import rendezvous, watch_over
from chainrule.errors import ConfigurationError


@dataclass
class Together:
    """The processes that train together.

    Attributes:
        count: how many there are.
        index: the number of this one, from 0.
    """

    count: int = 1
    index: int = 0


TOGETHER = Together()


def leads() -> bool:
    """Whether this process speaks for all: it alone writes files and reports."""
    return TOGETHER.index == 0


INTERRUPTED = 130
"""The exit code after Ctrl-C, as shells have it: 128 and the number of the signal."""


def leave_the_others() -> None:
    """After a Ctrl-C that was thrown, let this process end without waiting for those that it trained with."""
    if TOGETHER.count > 1:
        from chainrule.engine.xla.devices import leave

        atexit.register(leave, INTERRUPTED)


def distributed(coordinator: str | None = None, processes: int | None = None, process: int | None = None) -> None:
    """Train together with other processes, which run the same program on the same data.

    Called once, before anything is trained or compiled. Afterwards :func:`chainrule.fit` divides the rows of every
    batch among all processes; each of them returns the same run, and process 0 alone writes files.

    Args:
        coordinator: ``"HOST:PORT"`` of process 0, as the others reach it.
        processes: how many there are.
        process: the number of this one, from 0.

    What is left out is taken from the environment that Slurm, Open MPI or Kubernetes gives, see
    https://docs.jax.dev/en/latest/multi_process.html

    Errors: :class:`ConfigurationError` where something is missing, or where JAX has begun to work already. A process
    that ends while others train with it ends their training with a :class:`RunError`.
    """
    from chainrule.engine.xla.devices import join

    if coordinator is not None and not _host_and_port(coordinator):
        raise ConfigurationError("the coordinator is process 0, as HOST:PORT", given=repr(coordinator))
    if processes is not None and processes < 1:
        raise ConfigurationError("processes train together, at least one", given=processes)
    if process is not None and not 0 <= process < (processes or process + 1):
        raise ConfigurationError(
            "processes are numbered from 0",
            given=f"process {process}" + ("" if processes is None else f" of {processes}"),
            expected="0 for the first" if processes is None else f"0 to {processes - 1}",
        )
    if coordinator is not None and processes is not None and process is not None:
        connections = rendezvous(coordinator, processes, process)
        watch_over(process, connections)
    TOGETHER.count, TOGETHER.index = join(coordinator, processes, process)


def _host_and_port(address: str) -> bool:
    host, _, port = address.rpartition(":")
    return bool(host) and port.isdigit()
