"""``chainrule replay``, and what ``train --resume`` needs: a training that a run folder tells of, on its data."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule.cli import show
from chainrule.cli.one_row import Data, Layer, Picture, shown
from chainrule.engine.processes import leads
from chainrule.errors import ConfigurationError, DataError, RunError, ShapeError
from chainrule.train import load
from chainrule.train.checkpoint_files import TRAINING, newest, place_for, read_training
from chainrule.train.table import fit_table, folder_dataset, labelled, table_dataset

ANEW = ("file", "epochs", "keep_every", "formulas", "resume", "coordinator", "processes", "process", "in_parallel")
"""The options of ``train`` that may be given beside ``--resume``."""


def asked_before(folder: Path) -> dict[str, Any]:
    """The options that a training was begun with."""
    place = place_for(folder)
    described, training = read_training(place)
    asked = described["notes"].get("asked")
    if asked is None:
        raise RunError(
            "the training was not begun by chainrule train, so that it is not known which file it was on",
            given=str(folder),
            hint=f"in Python: cr.resume('{folder}', X, Y), cr.load('{folder}').at(step, X=X, Y=Y)",
        )
    return dict(asked) | {"epochs": newest(place, training)[0].state["epochs"]}


def options(context: typer.Context, names: Sequence[str], resume: Path | None) -> dict[str, Any]:
    """What is asked of ``train``, as plain data: what it was begun with where it is gone on with."""
    given = {name: _plain(context.params[name]) for name in names}
    if resume is None:
        return given
    named = [n for n in context.params if getattr(context.get_parameter_source(n), "name", "") == "COMMANDLINE"]
    others = [f"--{name.replace('_', '-')}" for name in named if name not in ANEW]
    if others:
        raise ConfigurationError(
            "a training that is gone on with keeps its settings",
            given=f"--resume and {', '.join(others)}",
            expected="--resume RUN, and at most --epochs for more of them, --keep-every to keep it more or less often, "
            "or FILE where the data lie elsewhere now",
        )
    asked = asked_before(resume) | {name: given[name] for name in named if name in given}
    check_data_are_there(asked, f"train FILE --resume {shlex.quote(str(resume))}")
    _check_epochs(resume, asked["epochs"])
    return asked


def check_data_are_there(asked: dict[str, Any], command: str) -> None:
    """Refuse to go on without the data; ``command`` is how a user says where they lie now."""
    if not Path(asked["file"]).exists():
        raise ConfigurationError(
            "what it was trained on is not there",
            given=asked["file"],
            hint=f"say where it lies now: chainrule {command}",
        )


def _check_epochs(folder: Path, epochs: int) -> None:
    """Refuse fewer epochs than are done, and tell where none is left to train."""
    place = place_for(folder)
    state = newest(place, read_training(place)[1])[0].state
    done = state["epochs_done"]
    if epochs < done:
        raise ConfigurationError(
            "more epochs are done already",
            given=f"--epochs {epochs}, of which {done:,} are done",
            expected=f"at least {done:,}, those that are done among them",
        )
    if state["finished"] and (state["stopped"] or epochs == done) and leads():
        why = "" if state["stopped"] else f": all {show.counted(done, 'epoch')} are done; for more of them: --epochs"
        show.err.print(f"note: nothing is left to train{why}", markup=False)


def told_interrupted(folder: Path) -> None:
    """After a Ctrl-C that no run came back from: a line on what is kept."""
    if leads():
        kept = (place_for(folder) / TRAINING).exists()
        show.err.print(
            f"\ninterrupted; its checkpoints are kept; to go on: chainrule train --resume {shlex.quote(str(folder))}"
            if kept
            else "\ninterrupted before it trained",
            markup=False,
        )


def _place_of(example: Any, source: str) -> str:
    """Where an example that was trained on is found: its row, as ``chainrule explain`` counts, or its file."""
    if isinstance(example, Path):
        return f"the file {example.relative_to(source)}"
    return f"row {example + 1:,} of the table"


def _plain(value: Any) -> Any:
    return str(value.resolve()) if isinstance(value, Path) else value


def replay_with(what_to_train_on: Callable[[dict[str, Any]], tuple[Any, ...]]) -> Callable[..., None]:
    """The command; ``what_to_train_on`` reads the data that options name."""

    def replay(
        run: Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)],
        file: Annotated[
            Path | None,
            typer.Argument(metavar="FILE", help="Its data, where they lie elsewhere now.", show_default=False),
        ] = None,
        step: Annotated[int | None, typer.Option(help="The step, counted from 0.", show_default=False)] = None,
        row: Annotated[
            int | None,
            typer.Option(help="Every number for this row of the step's batch, from 1.", show_default=False),
        ] = None,
        to_first_nan: Annotated[
            bool, typer.Option("--to-first-nan", help="The step that made the first number that was not finite.")
        ] = False,
        layer: Layer = None,
        picture: Picture = None,
        data: Data = None,
    ) -> None:
        """Go back to a step of the training, bit for bit, and show its numbers: all of them, or those of one row."""
        if (step is None) is not to_first_nan:
            raise ConfigurationError(
                "which step?", given="both" if to_first_nan else "none", expected="--step NUMBER, or --to-first-nan"
            )
        of_a_row = {"--open": layer, "--svg": picture, "--json": data}
        given = [option for option, value in of_a_row.items() if value is not None]
        if row is None and given:
            raise ConfigurationError(f"{given[0]} is for one row", given=", ".join(given), hint="which? --row NUMBER")
        loaded = load(run)
        if to_first_nan and loaded.first_bad is None:
            raise ConfigurationError(
                "every number of this training was finite",
                given="--to-first-nan",
                hint="any of its steps: --step NUMBER",
            )
        asked = asked_before(run) | {"file": str(file.resolve()) if file else loaded.settings["table"]}
        check_data_are_there(asked, f"replay {shlex.quote(str(run))} FILE --step NUMBER")
        trains, what, own = what_to_train_on(asked)
        own = {k: v for k, v in own.items() if v is not None} | {"seed": asked["seed"]}
        if trains is fit_table:
            dataset = table_dataset(*what, loss=asked["loss"], **own)
        else:
            dataset = folder_dataset(*what, **own)
        X, Y = labelled(dataset, asked["loss"])[:2]
        try:
            moment = loaded.at(step, X, Y)
        except ShapeError as error:  # other rows have other categories, and so other inputs
            raise DataError(
                "the data are not those that the training was begun with",
                given=f"{asked['file']}: {error.what}, {error.given}",
                expected=error.expected,
                hint="the file as it was, its rows in the same order",
            ) from None
        if to_first_nan:
            show.plain(f"{loaded.first_bad}\n")
        if row is None:
            show.plain(moment)
            return
        if not 1 <= row <= len(moment.rows):
            raise ConfigurationError("the batch has no such row", given=row, expected=f"1 to {len(moment.rows)}")
        head = str(moment).partition("\n")[0]
        example = _place_of(dataset.training[moment.rows[row - 1]], asked["file"])
        shown(moment.trace(row - 1), f"{head}\nrow {row} of the batch is {example}", layer, picture, data)

    return replay
