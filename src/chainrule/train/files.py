"""The folder of a run: ``model.json``, ``weights.safetensors``, ``history.csv``, ``watched.safetensors`` if any.

Checkpoints of its training, in a subfolder, stay when the run is saved; see :mod:`chainrule.train.checkpoint_files`.

Everything is written to a temporary folder beside and renamed, so that a killed process leaves the last
complete one. Reading a run never executes code from it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from chainrule.engine.processes import leads
from chainrule.errors import ChainruleError, RunError
from chainrule.graph.dim import show
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node
from chainrule.graph.serialize import from_data, to_data
from chainrule.nn import LOSSES, Loss, Model, mask_of
from chainrule.nn.masking import with_mask
from chainrule.nn.metrics import METRICS, Metric
from chainrule.notation import unique_names
from chainrule.optimize import OPTIMIZERS, Optimizer, Schedule, schedules
from chainrule.train.checkpoint_files import CHECKPOINTS, belongs_to, held, recover
from chainrule.train.first_bad import BadNumber
from chainrule.train.history import History
from chainrule.train.labels import Labels
from chainrule.train.objective import chosen_parameters
from chainrule.train.run import Origin, Run
from chainrule.train.step import StepGraph, step_graph
from chainrule.train.watch import Watched

FORMAT = 1
"""The version of the folder's format; a reader refuses newer ones."""
STATE = "state "
"""Stands before the names of what is no parameter: running means and variances."""
MODEL, WEIGHTS, HISTORY, WATCHED = "model.json", "weights.safetensors", "history.csv", "watched.safetensors"


def save(run: Run, folder: str | Path, also: Mapping[str, Callable[[Path], Any]] | None = None) -> Path:
    """Write a run to a folder, replacing an earlier run there.

    Args:
        run: the run.
        folder: where to; folders above it are made.
        also: further things to write: for each subfolder a function that is given its path.

    Of processes that train together the first alone writes.

    Errors: :class:`RunError` when the folder holds something else, or cannot be written.
    """
    target = Path(folder)
    if not leads():
        return target
    if not may_hold_a_run(target):
        raise RunError(
            "the folder holds something that is not a run; it is left as it is",
            given=str(target),
            hint="choose another folder",
        )
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    except OSError as error:
        raise RunError("the run cannot be written there", given=str(target), hint=str(error)) from None
    try:
        _write(run, beside)
        for name, write in (also or {}).items():
            (beside / name).mkdir()
            write(beside / name)
        os.chmod(beside, 0o755)
        recover(target)
        keep = belongs_to(target, run.settings)
        others = not keep and (target / CHECKPOINTS).is_dir()
        with held(target / CHECKPOINTS) if others else contextlib.nullcontext():
            _put_in_place(beside, target, keep)
    except OSError as error:
        raise RunError(
            "the run could not be written",
            given=str(target),
            hint=str(error)
            + (f"; its checkpoints are kept: cr.resume('{target}', X, Y)" if belongs_to(target, run.settings) else ""),
        ) from None
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return target


def packed(run: Run) -> dict[str, bytes]:
    """The files of a run's folder by name, in memory."""
    with tempfile.TemporaryDirectory() as folder:
        return {f.name: f.read_bytes() for f in save(run, Path(folder) / "run").iterdir()}


def unpacked(files: Mapping[str, bytes]) -> Run:
    """The run of such files."""
    with tempfile.TemporaryDirectory() as folder:
        for name, content in files.items():
            (Path(folder) / name).write_bytes(content)
        return load(folder)


def _put_in_place(new: Path, target: Path, keep: bool) -> None:
    earlier = _earlier(target)
    if target.exists():
        shutil.rmtree(earlier, ignore_errors=True)
        target.rename(earlier)
    try:
        new.rename(target)
    except OSError:
        if earlier.exists():
            earlier.rename(target)
        raise
    if keep:
        recover(target)
    shutil.rmtree(earlier, ignore_errors=True)


def _earlier(folder: Path) -> Path:
    """Where the run that is being replaced waits until the new one is in its place."""
    return folder.parent / f".{folder.name}.earlier"


def place_of(folder: str | Path) -> Path:
    """Where the run of a folder lies: there, or beside it when a process was killed between two renames."""
    path = Path(folder)
    return path if path.exists() or not _earlier(path).is_dir() else _earlier(path)


def may_hold_a_run(folder: Path) -> bool:
    """Whether nothing but a run would be replaced there, or what a training of it has left."""
    if not folder.exists():
        return True
    return folder.is_dir() and ((folder / MODEL).exists() or not {p.name for p in folder.iterdir()} - {CHECKPOINTS})


def _write(run: Run, folder: Path) -> None:
    from safetensors.numpy import save as to_bytes

    arrays = dict(run.parameters) | {f"{STATE}{k}": v for k, v in run.states.items()}
    weights = to_bytes({k: np.asarray(v, order="C") for k, v in arrays.items()})
    (folder / WEIGHTS).write_bytes(weights)
    files = {WEIGHTS: hashlib.sha256(weights).hexdigest()}
    watched = run.watched
    if watched is not None:
        samples = to_bytes({"steps": watched.steps} | {" ".join(k): np.array(v) for k, v in watched.columns.items()})
        (folder / WATCHED).write_bytes(samples)
        files[WATCHED] = hashlib.sha256(samples).hexdigest()
    described = {
        "format": FORMAT,
        "made by": "chainrule",
        "formulas": str(run.formulas()).split("\n"),
        "settings": dict(run.settings),
        "labels": {"kind": run.labels.kind, "classes": list(run.labels.classes)},
        "history": {
            "stopped": run.history.stopped,
            "best_epoch": run.history.best_epoch,
            "diverged": run.history.diverged,
            "first_bad": run.first_bad and asdict(run.first_bad),
        },
        "watched": None
        if watched is None
        else {k: getattr(watched, k) for k in ("keys", "every", "steps_per_epoch", "facts")},
        "sha256": files,
        **describe_steps(run.steps),
    }
    (folder / MODEL).write_text(json.dumps(described, indent=1, ensure_ascii=False), encoding="utf-8")
    rows = [",".join(["epoch", *run.history.columns])]
    rows += [",".join([str(i + 1), *(repr(float(v)) for v in row)]) for i, row in enumerate(run.history.table)]
    (folder / HISTORY).write_text("\n".join(rows) + "\n", encoding="utf-8")


def describe_steps(steps: Sequence[StepGraph]) -> dict[str, Any]:
    """The training step, or those that take turns, as plain data."""
    step = steps[0]
    labels = [step.labels] if step.labels is not None else []
    mask = mask_of(step.model.outputs[0])
    masks = [mask] if mask is not None else []
    return {
        "objectives": [_objective(s, steps) for s in steps],
        "metrics": [name for name in step.metrics if name in METRICS],
        "weighted": 0 if step.weights is None else step.weights.ndim,
        "masked": mask is not None,
        "inputs": [str(n.name) for n in step.model.inputs],
        "outputs": len(step.model.outputs),
        "graph": to_data([*step.model.outputs, *(s.losses for s in steps), *labels, *step.model.inputs, *masks]),
    }


def _objective(step: StepGraph, steps: Sequence[StepGraph]) -> dict[str, Any]:
    """A step by its loss, the parameters that it changes, as :func:`read_steps` calls them, and its optimizer."""
    names = unique_names(Graph([*steps[0].model.outputs, *(s.losses for s in steps)]).nodes)
    return {
        **{k: getattr(step.loss, k) for k in ("name", "labels", "output", "logits")},
        "learned": [names[p].text for p in step.learned],
        "optimizer": _describe(step.optimizer),
    }


def _describe(value: Any) -> Any:
    """An optimizer or schedule by its name and settings."""
    if isinstance(value, (Optimizer, Schedule)):
        return {
            "name": type(value).__name__,
            **{f.name: _describe(getattr(value, f.name)) for f in fields(value)},
        }
    if isinstance(value, Mapping):
        return {k: _describe(v) for k, v in value.items()}
    return value.item() if isinstance(value, np.generic) else value


def _restore(data: Any) -> Any:
    if not isinstance(data, Mapping) or "name" not in data:
        return data
    known: dict[str, Any] = {c.__name__: c for c in OPTIMIZERS.values()} | {
        c.__name__: c for c in vars(schedules).values() if isinstance(c, type) and issubclass(c, Schedule)
    }
    if data["name"] not in known:
        raise RunError("the run was trained with an optimizer that is not part of chainrule", given=data["name"])
    return known[data["name"]](**{k: _restore(v) for k, v in data.items() if k != "name"})


def load(folder: str | Path) -> Run:
    """Read a run that was written by ``run.save``.

    Errors: :class:`RunError` naming what is missing, altered, or of a newer format.
    """
    path = place_of(folder)
    if not path.is_dir():
        raise RunError("there is no such run", given=str(path), expected=f"a folder with {MODEL}")
    described = _read_json(path)
    arrays = _read_arrays(path / WEIGHTS, described)
    states = {k.removeprefix(STATE): v for k, v in arrays.items() if k.startswith(STATE)}
    weights = {k: v for k, v in arrays.items() if not k.startswith(STATE)}
    try:
        steps = read_steps(described)
        step = steps[0]
        noted = described["history"]
        history = History(*_read_history(path), noted["stopped"], noted["best_epoch"], noted["diverged"])
        kinds = Labels(described["labels"]["kind"], tuple(described["labels"]["classes"]))
        settings = described["settings"]
        watched = _read_watched(path, described)
        bad = noted.get("first_bad") and BadNumber.from_data(noted["first_bad"])
    except RunError:
        raise
    except (KeyError, TypeError, ValueError, ChainruleError) as error:
        raise RunError(
            f"{MODEL} cannot be read",
            given=f"{type(error).__name__}: {error}",
            where=path,
            hint="was it edited by hand?",
        ) from None
    _check_arrays(step.parameter_names, weights, path)
    for s in steps:
        _check_arrays(s.state_names, states, path)
    run = Run(steps, weights, history, kinds, settings, watched, bad, states)
    run.origin = Origin(None, None, {}, path)
    return run


def read_steps(described: Mapping[str, Any], metrics: Sequence[tuple[str, Metric]] = ()) -> tuple[StepGraph, ...]:
    """What :func:`describe_steps` wrote; ``metrics`` of the user's own are given again."""
    nodes, objectives = list(from_data(described["graph"])), described["objectives"]
    if described.get("masked"):  # earlier runs do not say
        with_mask(nodes[0], nodes.pop())
    outputs, rest = nodes[: described["outputs"]], nodes[described["outputs"] :]
    costs, rest = rest[: len(objectives)], rest[len(objectives) :]
    labels, inputs = (rest[0], rest[1:]) if len(rest) > len(described["inputs"]) else (None, rest)
    model, beside = Model(inputs, outputs), costs if len(costs) > 1 or labels is None else []
    whole = Graph([*outputs, *costs])
    return tuple(
        step_graph(
            model,
            replace(LOSSES.get(o["name"], Loss(o["name"], _no_function, o["labels"], o["output"])), logits=o["logits"]),
            _restore(o["optimizer"]),
            labels,
            losses=cost,
            learned=chosen_parameters(o["learned"], whole, "learned"),
            weighted=int(described["weighted"]),
            metrics=[*((name, METRICS[name]) for name in described["metrics"]), *metrics],
            beside=beside,
        )
        for o, cost in zip(objectives, costs, strict=True)
    )


def _check_arrays(expected: Mapping[str, Node], found: Mapping[str, Any], path: Path) -> None:
    for name, node in expected.items():
        if name not in found or found[name].shape != node.shape:
            raise RunError(
                f"{WEIGHTS} does not belong to {MODEL}",
                given=f"{name} {show(found[name].shape)}" if name in found else f"no {name}",
                expected=f"{name} {show(node.shape)}",
                where=path,
            )


def _no_function(y_hat: Any, y: Any) -> Any:
    raise RunError(
        "this run was trained with a loss of your own, which is not part of the folder",
        hint="give it again: cr.fit(run, X, Y, loss=…)",
    )


def _read_json(path: Path) -> dict[str, Any]:
    missing = [name for name in (MODEL, WEIGHTS, HISTORY) if not (path / name).exists()]
    if len(missing) == 3 and (path / CHECKPOINTS).is_dir():
        raise RunError(
            "the training of this run did not come to its end",
            given=f"{path} with nothing but {CHECKPOINTS}",
            hint=f"go on with it: cr.resume('{path}', X, Y), or chainrule train --resume '{path}'",
        )
    if missing:
        raise RunError(
            "the run folder is not complete",
            given=f"{path} without {' and '.join(missing)}",
            expected=", ".join((MODEL, WEIGHTS, HISTORY)),
            hint="train again, or take the folder from where it was saved",
        )
    try:
        described = json.loads((path / MODEL).read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise RunError(f"{MODEL} cannot be read", given=str(error), where=path) from None
    version = described.get("format") if isinstance(described, dict) else None
    if not isinstance(version, int):
        raise RunError(f"{MODEL} is not a run's", given=f"format {version!r}", where=path)
    if version > FORMAT:
        raise RunError(
            "the run is of a newer format",
            given=f"format {version}",
            expected=f"at most {FORMAT}",
            hint="pip install --upgrade chainrule",
            where=path,
        )
    return described  # type: ignore[no-any-return]


def _read_arrays(file: Path, described: Mapping[str, Any]) -> dict[str, np.ndarray[Any, Any]]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as from_bytes

    content = file.read_bytes() if file.exists() else b""
    expected = described.get("sha256", {}).get(file.name)
    if hashlib.sha256(content).hexdigest() != expected:
        raise RunError(
            f"{file.name} has been altered or cut short",
            given=f"{len(content)} bytes, another checksum",
            where=file.parent,
            hint="take the file from where the run was saved",
        )
    try:
        return from_bytes(content)
    except SafetensorError as error:
        raise RunError(f"{file.name} cannot be read", given=str(error), where=file.parent) from None


def _read_watched(path: Path, described: Mapping[str, Any]) -> Watched | None:
    noted = described.get("watched")
    if noted is None:
        return None
    arrays = _read_arrays(path / WATCHED, described)
    keys = [(quantity, statistic) for quantity, statistic in noted["keys"]]
    columns = [arrays[" ".join(k)] for k in keys]
    return Watched(keys, columns, arrays["steps"], noted["every"], noted["steps_per_epoch"], noted["facts"])


def _read_history(path: Path) -> tuple[list[str], np.ndarray[Any, Any]]:
    header, *rows = (path / HISTORY).read_text(encoding="utf-8").strip().split("\n")
    columns = header.split(",")[1:]
    table = np.array([[float(v) for v in row.split(",")[1:]] for row in rows]).reshape(-1, len(columns))
    return columns, table


__all__ = ["FORMAT", "describe_steps", "load", "may_hold_a_run", "place_of", "read_steps", "save"]
