"""The persistent compilation cache: the second process that trains the same network starts at once.

Every program compiled here goes through it. It lies in the user's cache folder, or in ``CHAINRULE_CACHE``;
where the user has set up a cache of JAX's own, that one is used.
"""

from __future__ import annotations

import contextlib
from typing import Any

import jax

from chainrule.engine.user_folder import cache_folder


def use_cache() -> None:
    """Keep every compiled program, however small, for the next process."""
    config: Any = jax.config
    if config.jax_compilation_cache_dir is None:
        with contextlib.suppress(OSError, RuntimeError):  # a folder that cannot be made, a user without a home
            folder = cache_folder() / "xla"
            folder.mkdir(parents=True, exist_ok=True)
            config.update("jax_compilation_cache_dir", str(folder))
            # The default keeps only what took a second to compile; small programs are what costs here.
            config.update("jax_persistent_cache_min_compile_time_secs", 0)
            config.update("jax_persistent_cache_min_entry_size_bytes", -1)
