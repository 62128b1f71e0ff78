"""The compiler: a graph through XLA. The only module that imports jax.

Every program compiled here goes through JAX's persistent compilation cache, so that the second process that
trains the same network starts at once. The cache lies in the user's cache folder, or in ``CHAINRULE_CACHE``.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from chainrule.engine.program import Feeds, Kinds, Program, as_array, float_dtype, learn_sizes
from chainrule.graph.node import Node


def cache_folder() -> Path:
    """Where compiled programs are kept."""
    if "CHAINRULE_CACHE" in os.environ:
        return Path(os.environ["CHAINRULE_CACHE"])
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "chainrule"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "chainrule" / "cache"
    return Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "chainrule"


def _use_cache() -> None:
    if jax.config.jax_compilation_cache_dir is None:
        with contextlib.suppress(OSError):
            folder = cache_folder() / "xla"
            folder.mkdir(parents=True, exist_ok=True)
            jax.config.update("jax_compilation_cache_dir", str(folder))
            # The default keeps only what took a second to compile; small programs are what costs here.
            jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
            jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


_use_cache()


class XlaNamespace:
    """jax.numpy as the array namespace that ops are written against."""

    def __getattr__(self, name: str) -> Any:
        return getattr(jnp, name)

    @staticmethod
    def astype(x: Any, dtype: Any) -> Any:
        """The array in another type."""
        return x if x.dtype == dtype else lax.convert_element_type(x, dtype)

    @staticmethod
    def erf(x: Any) -> Any:
        """The error function."""
        return lax.erf(x)

    @staticmethod
    def einsum(spec: str, *xs: Any) -> Any:
        """A contraction; of two operands as one ``dot_general``, without a detour."""
        if len(xs) != 2:
            return jnp.einsum(spec, *xs)
        (a, b), result = spec.split("->")[0].split(","), spec.split("->")[1]
        batch = [c for c in a if c in b and c in result]
        summed = [c for c in a if c in b and c not in result]
        dims = (
            (tuple(a.index(c) for c in summed), tuple(b.index(c) for c in summed)),
            (tuple(a.index(c) for c in batch), tuple(b.index(c) for c in batch)),
        )
        out = lax.dot_general(xs[0], xs[1], dims)
        letters = batch + [c for c in a + b if c not in batch and c not in summed]
        order = tuple(letters.index(c) for c in result)
        return out if order == tuple(range(len(order))) else lax.transpose(out, order)

    @staticmethod
    def interior_pad(x: Any, widths: Any) -> Any:
        """Zeros before, after and between."""
        return lax.pad(x, jnp.zeros((), x.dtype), widths)

    @staticmethod
    def add_at(out: Any, where: Any, values: Any) -> Any:
        """``out[where] += values``, repeated places added up."""
        return out.at[where].add(values)


XLA = XlaNamespace()


def precision(dtype: Any) -> contextlib.AbstractContextManager[Any]:
    """The setting under which XLA computes in this precision."""
    return jax.enable_x64(True) if np.dtype(dtype) == np.float64 else contextlib.nullcontext()


def kinds_for(dtype: Any) -> Kinds:
    """The machine types of a run in this precision."""
    working = float_dtype(dtype)
    return Kinds(working, np.int64 if working == np.float64 else np.int32)


def trace(outputs: Sequence[Node], fed: Mapping[Node, Any], kinds: Kinds) -> list[Any]:
    """The outputs' values inside a function that JAX is tracing."""
    return trace_program(Program(outputs), fed, kinds)


def trace_program(program: Program, fed: Mapping[Node, Any], kinds: Kinds) -> list[Any]:
    """The same for a program that is at hand."""
    values = program.run(XLA, fed, kinds, learn_sizes(fed))
    return [values[n] for n in program.outputs]


class Compiled:
    """Outputs compiled through XLA: call it with the same mapping as :func:`chainrule.evaluate`.

    A new program is compiled for every new combination of array shapes, and found again in the persistent
    cache by later processes.
    """

    def __init__(self, outputs: Sequence[Node], dtype: Any = None, single: bool = False) -> None:
        self.program = Program(outputs)
        self.kinds = kinds_for(dtype)
        self.single = single
        self._compiled: dict[tuple[Node, ...], Callable[..., list[Any]]] = {}

    def __call__(self, feeds: Feeds) -> Any:
        """Values of the outputs for these numbers: a list, or one value when one node was compiled."""
        matched = self.program.match(feeds)
        nodes = tuple(matched)
        arrays = [as_array(n, matched[n], self.kinds) for n in nodes]
        learn_sizes(dict(zip(nodes, arrays, strict=True)))
        with precision(self.kinds.float):
            if nodes not in self._compiled:
                self._compiled[nodes] = jax.jit(
                    lambda *xs: trace_program(self.program, dict(zip(nodes, xs, strict=True)), self.kinds)
                )
            values = [np.asarray(v) for v in self._compiled[nodes](*arrays)]
        return values[0] if self.single else values


def compile_nodes(outputs: Iterable[Node], dtype: Any = None, single: bool = False) -> Compiled:
    """Compile outputs through XLA in a working precision (float32 by default)."""
    return Compiled(tuple(outputs), dtype, single)
