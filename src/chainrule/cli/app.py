"""The commands and their options."""

from __future__ import annotations

import contextlib
import shlex
import sys
import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from chainrule import __version__
from chainrule.cli import again, show
from chainrule.cli.compare import compare
from chainrule.cli.figures import figure
from chainrule.cli.folders import check_folder, free_folder, made_room
from chainrule.cli.one_row import Data, Layer, Picture, shown
from chainrule.cli.values import how_often, rate_or_auto, two_numbers, whole_numbers
from chainrule.engine.processes import INTERRUPTED, distributed, leads, leave_the_others
from chainrule.errors import ChainruleError, ConfigurationError, RunError
from chainrule.train import Checkpoints, Run, TrainingWarning, load
from chainrule.train.checkpoints import put_aside
from chainrule.train.table import TableRun, fit_folder, fit_table, load_table

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(wanted: bool) -> None:
    if wanted:
        show.plain(f"chainrule {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Networks as mathematics: train on a table or a folder, predict, read the formulas."""


app.command()(compare)

Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace the run that the folder holds.")]
RunFolder = Annotated[Path, typer.Argument(metavar="RUN", help="The folder of a run.", show_default=False)]
Source = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="A table: CSV or Parquet; or a folder of images, recordings or texts.",
        show_default=False,
    ),
]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line (sys.argv by default); what a user can mend is printed without a traceback, exit code 2."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # formulas need more than the ASCII of a bare locale
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        app(arguments)
    except ChainruleError as error:
        show.failure(error)
        sys.exit(2)
    except MemoryError as error:
        show.failure(ChainruleError("there is not enough memory", given=error, hint="fewer rows, layers or units"))
        sys.exit(2)
    except OSError as error:
        show.failure(ChainruleError("the system refuses to read or write", given=error))
        with contextlib.suppress(OSError):
            sys.stdout.close()  # what it could not write is not tried again at the end of the process
        sys.exit(2)


@app.command()
def train(
    context: typer.Context,
    file: Annotated[
        Path | None,
        typer.Argument(
            metavar="FILE",
            help="A table: CSV or Parquet; or a folder of images, recordings or texts.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option(help="The column to predict; of a folder, its subfolders are.", show_default=False)
    ] = None,
    text: Annotated[
        str | None, typer.Option(help="A column of texts to predict it from, alone.", show_default=False)
    ] = None,
    missing: Annotated[
        str | None,
        typer.Option(help="A row without a text: error, empty (an empty text) or drop (left out).", show_default=False),
    ] = None,
    categories: Annotated[
        list[str] | None,
        typer.Option(help="A column whose numbers are codes, not amounts; may be repeated.", show_default=False),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(help="regression, binary or categorical; found from the column by default."),
    ] = None,
    layers: Annotated[str, typer.Option(help="Units of the hidden layers.")] = "64,32",
    activation: Annotated[str, typer.Option(help="Of the hidden layers; one, or one for each: relu,tanh.")] = "relu",
    loss: Annotated[str | None, typer.Option(help="By name; by default the one that fits the task.")] = None,
    optimizer: Annotated[
        str, typer.Option(help="gradient_descent, momentum, nesterov, adagrad, rmsprop, adam, adamw.")
    ] = "adam",
    learning_rate: Annotated[
        str | None, typer.Option(help="A number, or auto: found by a range test. By default the optimizer's.")
    ] = None,
    epochs: Annotated[int, typer.Option(help="At most so many passes over the rows.")] = 300,
    batch_size: Annotated[int, typer.Option(help="Rows in a step; 0 for all at once.")] = 32,
    patience: Annotated[int, typer.Option(help="Stop after so many epochs without improvement.")] = 20,
    seed: Annotated[int, typer.Option(help="The same seed gives the same bits.")] = 0,
    validation: Annotated[
        Path | None,
        typer.Option(help="A table to validate on; a fifth of the rows by default.", show_default=False),
    ] = None,
    size: Annotated[
        str | None,
        typer.Option(help="Height and width that images are brought to: 32,32.", show_default=False),
    ] = None,
    rate: Annotated[
        int | None, typer.Option(help="Samples per second that recordings are brought to.", show_default=False)
    ] = None,
    seconds: Annotated[
        float | None, typer.Option(help="The length that recordings are brought to.", show_default=False)
    ] = None,
    skip_broken: Annotated[bool, typer.Option("--skip-broken", help="Leave out files that cannot be read.")] = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where to save the run; runs/NAME by default.", show_default=False),
    ] = None,
    overwrite: Overwrite = False,
    keep_every: Annotated[
        str | None,
        typer.Option(
            help="How often it is kept: '5 epochs', '200 steps', '10 minutes'; every minute by default.",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            help="Go on with the training of this run where it stopped, or for more --epochs.",
            metavar="RUN",
            show_default=False,
        ),
    ] = None,
    formulas: Annotated[bool, typer.Option("--formulas", help="Print the formula sheet as well.")] = False,
    coordinator: Annotated[
        str | None,
        typer.Option(help="HOST:PORT of process 0, to train with several processes.", show_default=False),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(help="How many processes train together.", show_default=False)
    ] = None,
    process: Annotated[int | None, typer.Option(help="The number of this one, from 0.", show_default=False)] = None,
    in_parallel: Annotated[
        bool, typer.Option("--distributed", help="With the processes that Slurm or MPI started; they tell the rest.")
    ] = False,
) -> None:
    """Train a network to predict a column of a table, or the class of a file, and compare it with a linear model.

    The classes of images, recordings and text files are the names of the folders that they lie in.
    Where the loss stops being finite, the run is saved with the last finite parameters and the exit code is 2.
    Ctrl-C ends the training, saves the run and leaves with 130; a second one leaves at once, with what was kept.
    While it trains it is kept in the run's folder; what was stopped goes on bit for bit with --resume.
    """
    if file is None and resume is None:
        raise ConfigurationError("what is to be trained on?", given="no FILE", expected="FILE, or --resume RUN")
    if in_parallel or any(told is not None for told in (coordinator, processes, process)):
        distributed(coordinator, processes, process)
    asked = again.options(context, ASKED, resume)
    file = Path(asked["file"])
    folder = resume or out or free_folder(file.stem)
    check_folder(folder, overwrite, resumed=resume is not None)
    often = how_often(asked.get("keep_every"))
    kept = Checkpoints(folder, **often, resume=resume is not None, notes={"asked": asked})
    with made_room(folder) if resume is None else contextlib.nullcontext():
        try:
            result = _train(asked, source=file, checkpoints=kept)
        except KeyboardInterrupt:  # the second one; after the first the run comes back, and is saved
            leave_the_others()
            again.told_interrupted(folder)
            raise typer.Exit(INTERRUPTED) from None
    if not leads():
        _end(result)
        return
    where = result.save(folder)  # first of all: whoever reads the rest may close the pipe
    report(result)
    if formulas:
        show.heading("Formulas")
        show.plain(result.run.formulas())
    quoted, new = shlex.quote(str(where)), "FOLDER" if file.is_dir() else "NEW.csv"
    explain_it = "" if file.is_dir() else f"chainrule explain {quoted} --row 1   "
    show.plain(
        f"\nsaved in {where}\nnext: chainrule predict {quoted} {new} -o OUT.csv   chainrule formulas {quoted}"
        f"\n      {explain_it}chainrule why {quoted}"
        + (f"   chainrule replay {quoted} --to-first-nan" if result.run.first_bad else "")
    )
    if put_aside(result.run.history):
        show.plain(f"it was {result.run.history.stopped}; to go on: chainrule train --resume {quoted}")
    _end(result)


@app.command()
def predict(
    run: RunFolder,
    file: Source,
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="A CSV or Parquet file; standard output by default.", show_default=False),
    ] = None,
) -> None:
    """Predict every row of a table, or every file of a folder: numbers, or labels with their probabilities."""
    from chainrule.data import check_writable, read_source, write_table

    if out is not None:
        check_writable(out)
    trained = load_table(run)
    table = read_source(trained.preprocessing.encoder, file)
    remarks: list[str] = []
    if not isinstance(table, Path):
        _check_known_classes(trained, table)
    found = trained.predict(table, remarks)
    for remark in remarks:
        show.err.print(f"note: {remark}", markup=False)
    if out is None:
        sys.stdout.write(found.write_csv())
        sys.stdout.flush()  # here a closed pipe is met in silence, at the end of the process it is not
        return
    write_table(found, out)
    show.plain(f"{show.counted(found.height, 'prediction')} in {out}")


@app.command()
def formulas(
    run: RunFolder,
    latex: Annotated[bool, typer.Option("--latex", help="LaTeX instead of text.")] = False,
    columns: Annotated[
        bool, typer.Option("--columns", help="In the course's notation: an example is a column, not a row.")
    ] = False,
    rewrites: Annotated[bool, typer.Option("--rewrites", help="Also what was rewritten, into what, and why.")] = False,
) -> None:
    """Print the formulas of a run: forward, cost, backward, update."""
    loaded: Run = load(run)
    sheet = loaded.formulas(columns=columns)
    show.plain(sheet.latex() if latex else sheet)
    if rewrites:
        show.heading("Rewritten for stability")
        show.plain(loaded.rewrites)


@app.command()
def explain(
    run: RunFolder,
    file: Annotated[
        Path | None,
        typer.Argument(metavar="FILE", help="A table; by default the one it was trained on.", show_default=False),
    ] = None,
    row: Annotated[int, typer.Option("--row", help="The row to explain, counted from 1.")] = 1,
    layer: Layer = None,
    picture: Picture = None,
    data: Data = None,
) -> None:
    """Every number of one training step for one row: values forward, derivatives backward, on every edge."""
    trained = load_table(run)
    table = _table_of(trained, file, f"explain {shlex.quote(str(run))} FILE")
    if isinstance(table, Path):
        raise ConfigurationError(
            "a row is explained of a table",
            given=str(table),
            expected="a run that was trained on a table",
            hint=f"a file that was trained on: chainrule replay {shlex.quote(str(run))} --step NUMBER --row NUMBER",
        )
    found = trained.trace(table, row)
    target = trained.preprocessing.target.name
    shown(found, f"row {row}, {target} as the label; derivatives of the cost J of this row", layer, picture, data)


def _table_of(trained: TableRun, file: Path | None, command: str) -> Any:
    from chainrule.data import ames, read_source

    source = trained.run.settings.get("table")
    if file is None and source == "ames":
        return ames()
    if file is None and source is None:
        raise ConfigurationError("the run does not say which table it was trained on", hint="name a FILE")
    if file is None:
        again.check_data_are_there({"file": source}, command)
    return read_source(trained.preprocessing.encoder, file or Path(str(source)))


@app.command()
def why(run: RunFolder) -> None:
    """Why a network does not train as it should: what rules find in the numbers watched while it trained."""
    from chainrule.explain.diagnosis import why as diagnose

    try:
        trained = load_table(run)
    except RunError:
        show.plain(load(run).why())
    else:
        show.plain(diagnose(trained.run, trained.preprocessing.encoder.features))


app.command()(figure)
app.command("replay")(again.replay_with(lambda asked: _what_to_train_on(asked)))


@app.command()
def demo(
    out: Annotated[
        Path | None,
        typer.Option("--out", "-o", help="Where to save the run; runs/ames by default.", show_default=False),
    ] = None,
    overwrite: Overwrite = False,
) -> None:
    """Train on real house prices (Ames, Iowa: 2,930 sales), read the formulas, compare with a linear model."""
    from chainrule.data import ames

    started = time.perf_counter()
    folder = free_folder("ames") if out is None else out
    check_folder(folder, overwrite)
    table = ames()
    show.plain(f"Ames, Iowa: {table.height:,} house sales, {table.width - 1} columns about each, and its price")
    result = _fit(fit_table, (table, "Sale_Price"), {"layers": (64, 32), "learning_rate": 0.001})
    where = result.save(folder)
    report(result)
    show.heading("What was computed in every step")
    show.plain(result.run.formulas())
    show.plain(
        f"\nsaved in {where} after {time.perf_counter() - started:.1f} s"
        f"\nnext: chainrule train YOUR.csv --target COLUMN   chainrule formulas {shlex.quote(str(where))} --latex"
    )
    _end(result)


ASKED = (
    *(
        "file",
        "target",
        "text",
        "missing",
        "categories",
        "task",
        "layers",
        "activation",
        "loss",
        "optimizer",
        "learning_rate",
        "epochs",
    ),
    *("batch_size", "patience", "seed", "validation", "size", "rate", "seconds", "skip_broken", "keep_every"),
)
"""The options of ``train`` that say what is trained, and how often it is kept."""


def _what_to_train_on(asked: dict[str, Any]) -> tuple[Any, ...]:
    """The function that trains, what it takes first, and those of its options that belong to files or to tables."""
    from chainrule.data import read_table
    from chainrule.data.tables import quoted

    file, size = Path(asked["file"]), asked["size"]
    of_files = {name: asked[name] for name in ("rate", "seconds")}
    of_files |= {"size": None if size is None else two_numbers(size), "skip_broken": asked["skip_broken"] or None}
    of_tables = {name: asked.get(name) or None for name in ("target", "text", "missing", "categories", "task")}
    of_tables["validation"] = asked["validation"]
    foreign = of_tables if file.is_dir() else of_files
    given = [f"--{name.replace('_', '-')}" for name, value in foreign.items() if value is not None]
    if given:
        raise ConfigurationError(
            f"{given[0]} is for {'a table' if file.is_dir() else 'a folder of images or recordings'}",
            given=f"{', '.join(given)} and the {'folder' if file.is_dir() else 'file'} {file}",
            hint="of a folder, the classes are its subfolders" if file.is_dir() else None,
        )
    if file.is_dir():
        return fit_folder, (file,), {name: value for name, value in of_files.items() if value is not None}
    target, text, validation = (of_tables[name] for name in ("target", "text", "validation"))
    table = read_table(file, texts=[text] if text else ())
    if target is None:
        raise ConfigurationError(
            "a table needs the column to predict",
            given=str(file),
            expected=f"one of its columns: {quoted(table.columns)}",
            hint="name it: --target COLUMN",
        )
    options = {name: of_tables[name] for name in ("text", "missing", "task") if of_tables[name] is not None}
    options["validation_table"] = read_table(Path(validation)) if validation else None
    options["categories"] = [
        part.strip()
        for name in of_tables["categories"] or ()
        for part in ([name] if name in table.columns else name.split(","))
    ]
    return fit_table, (table, target), options


def _train(asked: dict[str, Any], source: Path, checkpoints: Checkpoints) -> TableRun:
    """Train as was asked."""
    trains, what, own = _what_to_train_on(asked)
    activation = asked["activation"]
    return _fit(
        trains,
        what,
        own,
        layers=whole_numbers(asked["layers"], "--layers"),
        activation=[part.strip() for part in activation.split(",")] if "," in activation else activation,
        learning_rate=rate_or_auto(asked["learning_rate"]),
        batch_size=asked["batch_size"] or None,
        **{name: asked[name] for name in ("loss", "optimizer", "epochs", "patience", "seed")},
        source=source,
        checkpoints=checkpoints,
    )


def _fit(
    train: Any, what: tuple[Any, ...], own: dict[str, Any], source: Path | None = None, **options: Any
) -> TableRun:
    """Train, tell warnings, and note where the data came from, so that rows can be explained later."""
    with warnings.catch_warnings():
        warnings.simplefilter("always", TrainingWarning)
        warnings.showwarning = _tell
        result: TableRun = train(*what, progress=True, **own, **options)
    result.run.settings = {**result.run.settings, "table": str(source.resolve()) if source else "ames"}
    return result


def _tell(message: Warning | str, category: type[Warning], *where: object, **more: object) -> None:
    """A warning of the training as it comes, for it may be hours before the end; others are none of a user's."""
    if issubclass(category, TrainingWarning):
        show.warning(message)


def _end(result: TableRun) -> None:
    """Leave with the exit code of what ended the training, where that was not its own end."""
    if result.run.history.diverged is not None:
        raise typer.Exit(2)
    if put_aside(result.run.history):
        raise typer.Exit(INTERRUPTED)


def report(result: TableRun) -> None:
    """What was learned, on how many rows, and how well."""
    rows = ", ".join(f"{n:,} {part}" for part, n in result.rows.items())
    classes = result.preprocessing.classes
    kind = result.task + (f", {len(classes)} classes" if classes else "")
    history = result.run.history
    if history.diverged is None:  # else it has been told, as a warning
        show.plain(history.stopped or f"trained for {show.counted(history.epochs, 'epoch')}")
    inputs = show.counted(len(result.preprocessing.encoder.features), "input")
    show.plain(f"target {result.preprocessing.target.name}: {kind}; {rows} rows; {inputs}")
    show.notes(result.notes)
    if result.scores and history.diverged != 1:  # then nothing was learned
        show.plain("")
        show.scores(result.scores, f"On {show.counted(result.rows['test'], 'held-out row')}")


def _check_known_classes(trained: TableRun, table: Any) -> None:
    """Where the file also has the target, its classes have to be known ones."""
    target = trained.preprocessing.target
    if trained.preprocessing.classes and target.name in table.columns:
        column = table[target.name]
        target.encode(column, column.is_not_null().arg_true().to_numpy())
