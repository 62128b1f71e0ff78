"""Processes that train together train the same: what each was given is compared before anything is computed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.errors import ConfigurationError
from chainrule.train.checkpoints import fingerprint, plain, renumbered
from chainrule.train.files import describe_steps

if TYPE_CHECKING:
    from chainrule.train.trainer import Trainer


def check_all_the_same(trainer: Trainer, training: Sequence[Any], validation: Sequence[Any]) -> None:
    """Refuse a training that is another one in another process; every process raises the same error.

    Errors: :class:`ConfigurationError` naming what differs, and in which processes.
    """
    from chainrule.engine.xla.devices import from_all

    steps = renumbered(describe_steps(trainer.steps))
    parts = {
        "the network": steps["graph"],
        "the loss, the optimizer or what is learned": steps["objectives"],
        "the seed": trainer.seed,
        "the settings": {k: v for k, v in trainer.settings.items() if k not in ("training", "devices")},
        "the examples": [fingerprint(a) for a in training],
        "the validation examples": [fingerprint(a) for a in validation],
        "early stopping": repr(trainer.early_stopping),
        "what is watched": trainer.watch.keys,
    }
    digests = [hashlib.sha256(json.dumps(p, default=plain, sort_keys=True).encode()).digest() for p in parts.values()]
    found = from_all(np.frombuffer(b"".join(digests), np.uint8).reshape(len(parts), -1))
    others = (found != found[:1]).any(axis=2)  # (processes, parts)
    if others.any():
        names = [name for name, differs in zip(parts, others.any(axis=0), strict=True) if differs]
        who = ", ".join(str(i) for i in np.flatnonzero(others.any(axis=1)))
        raise ConfigurationError(
            "processes that train together are given the same",
            given=f"another than in process 0: {'; '.join(names)}, in process {who}",
            expected="one command, or one program, for all of them",
        )
