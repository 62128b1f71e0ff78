"""The devices that a program runs on: one, or several that share the rows of a batch.

Every device has all parameters and does every update; the rows of a batch are divided, and XLA's partitioner adds up
what sums over rows. A CPU's cores are made devices of their own before JAX starts.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.lax import with_sharding_constraint
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from chainrule.engine.rendezvous import START_AGAIN
from chainrule.errors import ConfigurationError, RunError

_constrained: Any = with_sharding_constraint
MOST_CORES = 8
"""So many cores are devices of their own, at most: the more there are, the longer they wait for each other."""


def use_cores() -> None:
    """Make each core a device, unless the user has said how many there are or JAX has begun already."""
    config: Any = jax.config
    if config.jax_num_cpu_devices < 0 and "host_platform_device_count" not in os.environ.get("XLA_FLAGS", ""):
        with contextlib.suppress(RuntimeError):
            config.update("jax_num_cpu_devices", min(MOST_CORES, cores()))


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def local_cores() -> int:
    """The devices here that are cores; 1 where JAX computes on something else."""
    return jax.local_device_count() if jax.default_backend() == "cpu" else 1


def on_device(name: str | None) -> contextlib.AbstractContextManager[Any]:
    """What is started inside runs on this one device: ``"cpu"``, ``"gpu"``, ``"gpu:1"``; None is JAX's choice.

    Errors: there is no such device here.
    """
    if name is None:
        return contextlib.nullcontext()
    kind, _, number = str(name).partition(":")
    try:
        chosen = jax.local_devices(backend=kind)[int(number or 0)]
    except (RuntimeError, ValueError, IndexError):
        there = [*jax.local_devices(), *jax.local_devices(backend="cpu")]
        raise ConfigurationError(
            "there is no such device",
            given=repr(name),
            expected=", ".join(dict.fromkeys(f"{d.platform}:{d.id}" for d in there)),
            hint="a GPU needs JAX's own library for it: pip install 'chainrule[cuda]'" if kind == "gpu" else None,
        ) from None
    there_alone: contextlib.AbstractContextManager[Any] = jax.default_device(chosen)
    return there_alone


@dataclass(frozen=True)
class Devices:
    """Some devices that share the rows of a batch.

    Attributes:
        mesh: they in a row; None for the one that JAX takes by itself.
    """

    mesh: Mesh | None = None

    @classmethod
    def of(cls, count: int) -> Devices:
        """So many of the devices of this process, and of each that it works together with."""
        mine = jax.local_devices()
        if count > len(mine):
            raise ConfigurationError(
                "more devices than there are",
                given=count,
                expected=f"at most {len(mine)}: {', '.join(map(str, mine[:MOST_CORES]))}",
                hint="to try it on a processor with fewer cores: jax.config.update('jax_num_cpu_devices', "
                f"{count}), before chainrule trains or compiles anything",
            )
        if count == 1 and jax.process_count() == 1:
            return cls()
        by_process: dict[int, list[Any]] = {}
        for device in jax.devices():
            by_process.setdefault(device.process_index, []).append(device)
        return cls(Mesh([d for some in by_process.values() for d in some[:count]], ("rows",)))

    @property
    def count(self) -> int:
        """How many there are."""
        return 1 if self.mesh is None else self.mesh.size

    @property
    def everywhere(self) -> NamedSharding | None:
        """How numbers lie that every device has."""
        return None if self.mesh is None else NamedSharding(self.mesh, PartitionSpec())  # type: ignore[no-untyped-call]

    def put(self, array: Any) -> Any:
        """An array on every device."""
        if self.everywhere is None:
            return jax.device_put(array)
        if jax.process_count() == 1:
            return jax.device_put(array, self.everywhere)
        whole = np.asarray(array)
        return jax.make_array_from_callback(whole.shape, self.everywhere, lambda index: whole[index])

    def divide(self, arrays: tuple[Any, ...], axis: int = 0) -> tuple[Any, ...]:
        """Arrays of rows inside a program, each device with its part; where they don't divide, everywhere."""
        if self.mesh is None or arrays[0].shape[axis] % self.count:
            return arrays
        parts = NamedSharding(self.mesh, PartitionSpec(*[None] * axis, "rows"))  # type: ignore[no-untyped-call]
        return tuple(_constrained(a, parts) for a in arrays)

    def unite(self, arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        """Arrays inside a program, all of each on every device."""
        if self.everywhere is None:
            return arrays
        return tuple(_constrained(a, self.everywhere) for a in arrays)


def processes() -> int:
    """How many processes train together."""
    return int(jax.process_count())


def join(coordinator: str | None, processes: int | None, process: int | None) -> tuple[int, int]:
    """Become one of several processes; how many there are, and which this is."""
    try:
        jax.distributed.initialize(coordinator, processes, process)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            "it is not known which processes train together",
            given=f"coordinator={coordinator}, processes={processes}, process={process}; {error}",
            expected="all three, or an environment such as Slurm's or Open MPI's that tells them",
        ) from None
    except RuntimeError as error:
        raise ConfigurationError(
            "processes are joined first of all", given=str(error).splitlines()[0], hint="before anything is computed"
        ) from None
    return int(jax.process_count()), int(jax.process_index())


def from_all(numbers: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    """The numbers of every process that trains together, in order, (processes, …)."""
    from jax.experimental.multihost_utils import process_allgather

    with partners():
        return np.asarray(process_allgather(numbers))


def greatest(number: int) -> int:
    """The greatest of the numbers that all processes which train together give at this point, each one of its own."""
    if jax.process_count() == 1:
        return number
    with partners():
        mesh, find = _comparing()
        rows = NamedSharding(mesh, PartitionSpec("rows"))  # type: ignore[no-untyped-call]
        return int(find(jax.make_array_from_callback((mesh.size,), rows, lambda _: np.array([number], np.int32))))


@cache
def _comparing() -> tuple[Mesh, Any]:
    """One device of each process, as a training has at least, and the program that they compare numbers with."""
    devices = Devices.of(1)
    assert devices.mesh is not None
    return devices.mesh, jax.jit(jnp.max, out_shardings=devices.everywhere)


@contextlib.contextmanager
def partners() -> Iterator[None]:
    """What is done together with other processes: a clear error where one of them has ended."""
    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:  # the latter while a number is fetched
        if jax.process_count() == 1 or (isinstance(error, ValueError) and "Gloo" not in str(error)):
            raise
        atexit.register(leave, 1)
        raise RunError(
            "another process of this training has ended, or cannot be reached; so this one ends too",
            given=f"process {jax.process_index()} of {jax.process_count()}: {str(error).splitlines()[0][:200]}",
            hint=START_AGAIN,
        ) from None


def leave(code: int) -> None:
    """End at once: an ordinary end waits for the other processes, gone or still at work, and then aborts."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
