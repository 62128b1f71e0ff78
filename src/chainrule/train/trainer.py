"""A training under way: what the user gave is read, the step graph built and compiled, epochs are run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from chainrule.data.lazy import batches, chosen, is_lazy
from chainrule.engine.processes import TOGETHER
from chainrule.engine.program import check_mapping, float_dtype
from chainrule.engine.sharing import Load, load, shares
from chainrule.errors import ConfigurationError, DataError, ShapeError, near
from chainrule.graph.building import building
from chainrule.graph.dim import bind, definite, show
from chainrule.graph.graph import Graph
from chainrule.graph.node import Node
from chainrule.graph.op import is_float
from chainrule.nn import LOSSES, Loss, Model, as_model, initial_value
from chainrule.nn import loss as loss_by_name
from chainrule.nn.metrics import METRICS, metric
from chainrule.optimize import optimizer as optimizer_by_name
from chainrule.rewrite import fast
from chainrule.train.facts import facts_of
from chainrule.train.first_bad import BadNumber, first_bad, updated
from chainrule.train.history import History
from chainrule.train.labels import Labels, counted_steps, example_weights, examples, padding_aside, read_labels
from chainrule.train.objective import Objective, as_loss, check_inputs, chosen_parameters, own_objectives
from chainrule.train.orders import order_of, parted
from chainrule.train.run import Origin, Run, inputs_of
from chainrule.train.step import StepGraph, labels_for, step_graph
from chainrule.train.watch import Watch, collected, idle
from chainrule.train.watch import watch as read_watch

if TYPE_CHECKING:  # with jax, which is loaded when it is first needed
    from chainrule.engine.xla.plan import Turn

Array = np.ndarray[Any, Any]

EXCHANGE = 5e-4
"""Seconds in which processes exchange the gradients of a step, about; on one machine, by sockets."""
ROWS_FOR_FACTS, NUMBERS_FOR_FACTS, FEWEST_FOR_FACTS = 2000, 1 << 24, 100
"""Of examples that are read when they are needed, so many are looked at for a diagnosis, or so many numbers of them."""


@dataclass(frozen=True)
class EarlyStopping:
    """Stop when a number no longer improves, and go back to the parameters that were best.

    Attributes:
        patience: so many epochs without improvement are waited for.
        monitor: a column of the history: ``"validation_loss"``, ``"validation_accuracy"``, ``"loss"``.
        min_delta: a smaller change is no improvement.
        larger_is_better: whether the number should grow. An accuracy should, a loss or an error should fall; of a
            metric of your own it has to be said.
    """

    patience: int = 20
    monitor: str = "validation_loss"
    min_delta: float = 0.0
    larger_is_better: bool | None = None

    def __post_init__(self) -> None:
        if self.patience < 1:
            raise ConfigurationError("patience is at least one epoch", given=self.patience)


class Trainer:
    """A training under way; :func:`fit` drives it. Takes the same settings.

    ``as_before`` takes the steps of a run as they are: network, loss, optimizer and metrics.

    Attributes:
        step: the training step as one graph.
        history: what every epoch reported so far.
        chunk: how many epochs go into one call of the compiled program.
        shared: from which step on how many devices, of all processes together, share the rows of a batch.
        origin: what it was given, to go back to its steps.
        setup: those of its settings that are not to be seen in ``settings``.
        rows_of: where a part is held out, the rows that are trained on.
    """

    def __init__(
        self,
        network: Any,
        X: Any,
        Y: Any = None,
        *,
        loss: Any = None,
        optimizer: Any = "adam",
        learning_rate: Any = None,
        batch_size: int | None = 32,
        validation_data: Any = None,
        validation_split: float = 0.0,
        metrics: Sequence[Any] | None = None,
        early_stopping: EarlyStopping | int | None = None,
        sample_weight: Any = None,
        class_weight: Any = None,
        frozen: Any = (),
        start: Any = None,
        shuffle: bool = True,
        watch: Any = None,
        every: int = 1,
        seed: int = 0,
        dtype: Any = "float32",
        devices: Any = "auto",
        as_before: bool = False,
    ) -> None:
        start = network if isinstance(network, Run) and start is None and not as_before else start
        model = model_of(network, X)
        own = own_objectives(loss, optimizer, learning_rate)
        arrays = inputs_of(model, X)
        with building():
            if as_before:
                self.steps, self.labels = network.steps, network.labels
                if Y is None and self.labels.kind != "none":
                    raise DataError("the labels are missing", given="Y=None", expected="a label for every example")
                codes = None if self.labels.kind == "none" else _codes(self.labels, Y, model, arrays)
                found = np.zeros(len(arrays[0])) if codes is None else codes
                there = counted_steps(model, arrays) if codes is not None else None
                weights = example_weights(self.labels, found, sample_weight, class_weight, there)
                if (weights is None) != (self.steps[0].weights is None):
                    before, hint = ("with", "sample_weight=…") if weights is None else ("without", "leave them out")
                    raise ConfigurationError(f"the training was begun {before} weights of the examples", hint=hint)
            elif own:
                rows = len(arrays[0])
                self.steps, codes, weights = self._own_steps(
                    model, own, rows, Y, frozen, metrics, sample_weight, class_weight
                )
            else:
                chosen = default_loss(model) if loss is None else loss_by_name(loss)
                rule = optimizer_by_name(optimizer, learning_rate)
                counted = counted_steps(model, arrays)
                Y = padding_aside(Y, counted)
                self.labels = read_labels(Y, model.output, chosen)
                codes = _codes(self.labels, Y, model, arrays)
                weights = example_weights(self.labels, codes, sample_weight, class_weight, counted)
                if metrics is None:
                    metrics = ["accuracy"] if self.labels.kind in ("classes", "binary", "rows") else []
                labels = labels_for(model.output, chosen, self.labels.whole)
                self.steps = (
                    step_graph(
                        model,
                        chosen,
                        rule,
                        labels,
                        learned=_learned(model.graph, frozen),
                        weighted=0 if weights is None else weights.ndim,
                        metrics=[metric(m) for m in metrics],
                    ),
                )
        self.step: StepGraph = self.steps[0]
        self.setup = {
            "validation_split": validation_split,
            "class_weight": [[k, v] for k, v in class_weight.items()]
            if isinstance(class_weight, Mapping)
            else class_weight,
        }
        self.rows_of: Array | None = None
        self.seed = int(seed)
        self.shuffle = shuffle
        held_out = self._validation(arrays, codes, weights, validation_data, validation_split)
        training, validation = held_out
        self.rows = len(training[0])
        batch = self.rows if batch_size is None else min(at_least_one(batch_size, "batch_size"), self.rows)
        columns = ["loss", *self.step.metrics] if len(self.steps) == 1 else [s.loss.name for s in self.steps]
        if validation:
            columns += [f"validation_{c}" for c in columns]
        self.history = History(columns)
        self.settings = {
            "loss": ", ".join(s.loss.name for s in self.steps),
            "optimizer": ", ".join(repr(s.optimizer) for s in self.steps),
            "batch_size": batch,
            "rows": self.rows,
            "validation_rows": len(validation[0]) if validation else 0,
            "seed": self.seed,
            "shuffle": shuffle,
            "dtype": str(float_dtype(dtype).name),
        }
        self.early_stopping = EarlyStopping(early_stopping) if isinstance(early_stopping, int) else early_stopping
        self.first_bad: BadNumber | None = None
        self.watch = watch if isinstance(watch, Watch) else Watch()
        if watch is not None and watch is not False and not isinstance(watch, Watch):
            self.watch = read_watch(self.step, watch, every)
        self.looked_at: list[Array] = []
        self._parts = training, validation
        self._initial = self.first_values(start, self.seed)
        self.origin = Origin(
            X,
            Y,
            {
                "batch_size": batch_size,
                "validation_data": validation_data,
                "validation_split": validation_split,
                "early_stopping": self.early_stopping,
                "sample_weight": sample_weight,
                "class_weight": class_weight,
                # Not the run that it went on from, which would keep all that were before it.
                "start": {n: self._initial[n] for n in self._given(start) if n in self._initial},
                "shuffle": shuffle,
                "watch": self.watch,
                "every": every,
                "seed": seed,
                "dtype": dtype,
                "devices": devices,
            },
        )
        self.epochs = self._compile(training, validation, batch, columns, dtype, devices)
        self._batch_size = batch_size
        self.chunk = self._chunk()
        self._drawn: tuple[int, int, Array] | None = None

    def _own_steps(
        self,
        model: Model,
        objectives: Sequence[Objective],
        rows: int,
        Y: Any,
        frozen: Any,
        metrics: Any,
        sample_weight: Any,
        class_weight: Any,
    ) -> tuple[tuple[StepGraph, ...], None, Array | None]:
        """A step for each cost of the user's own; there are no labels."""
        for given, what in ((Y, "Y"), (metrics, "metrics"), (class_weight, "class_weight")):
            if given is not None:
                raise ConfigurationError(
                    f"{what} belongs to a loss that compares outputs with labels",
                    given=f"{what} beside a loss that is a formula",
                    hint="labels are inputs of the network here: cr.Model([x, y], output), X={'x': …, 'y': …}",
                )
        check_inputs(model, objectives)
        self.labels = Labels("none")
        weights = example_weights(self.labels, np.zeros(rows), sample_weight, None)
        costs = [o.cost for o in objectives]
        whole = Graph([*model.outputs, *costs])
        free = _learned(whole, frozen)
        steps = []
        for o in objectives:
            wanted = whole.parameters if o.parameters is None else chosen_parameters(o.parameters, whole, o.name)
            steps.append(
                step_graph(
                    model,
                    as_loss(o),
                    optimizer_by_name(o.optimizer, o.learning_rate),
                    None,
                    losses=o.cost,
                    learned=[p for p in wanted if p in free],
                    weighted=0 if weights is None else weights.ndim,
                    beside=costs,
                )
            )
        return tuple(steps), None, weights

    def _validation(
        self, arrays: list[Array], codes: Array | None, weights: Array | None, data: Any, share: float
    ) -> tuple[list[Array], list[Array]]:
        extra = [weights] if weights is not None else []
        labels = [codes] if codes is not None else []
        everything = [*arrays, *labels, *extra]
        if data is not None and share:
            raise ConfigurationError(
                "validation_data and validation_split are two ways to say one thing",
                given=f"validation_data and validation_split={share}",
                expected="one of them",
            )
        if data is not None and codes is None:
            held = inputs_of(self.step.model, data)
            return everything, held + [np.ones(len(held[0]))] * len(extra)
        if data is not None:
            if not isinstance(data, (tuple, list)) or len(data) != 2:
                raise ConfigurationError("validation_data is a pair (X, Y)", given=type(data).__name__)
            X, Y = data
            held = inputs_of(self.step.model, X)
            Y = padding_aside(Y, counted_steps(self.step.model, held))
            held.append(self.labels.encode(Y, self.step.model.output))
            if len(held[0]) != len(held[-1]):
                raise ShapeError(
                    "validation examples and labels differ in number",
                    given=f"{len(held[0])} examples, {len(held[-1])} labels",
                    expected="a label for every example",
                )
            return everything, held + [np.ones(held[-1].shape[: w.ndim]) for w in extra]
        if not 0 <= share < 1:
            raise ConfigurationError(
                "validation_split is a share of the examples", given=share, expected="0 ≤ share < 1"
            )
        if share == 0:
            return everything, []
        rest, apart = parted(len(arrays[0]), share, self.seed)
        self.rows_of = rest
        held_out = [chosen(a, apart) for a in (*arrays, *labels)] + [np.ones_like(w[apart]) for w in extra]
        return [chosen(a, rest) for a in everything], held_out

    @cached_property
    def facts(self) -> dict[str, Any]:
        """What a diagnosis has to know of the examples; labels, where there are any, stand behind the inputs."""
        training, validation = self._parts
        inputs, loss = len(self.step.model.inputs), self.step.loss.name
        in_a_row = sum(int(np.prod(a.shape[1:])) for a in training[:inputs])
        few = max(FEWEST_FOR_FACTS, min(ROWS_FOR_FACTS, NUMBERS_FOR_FACTS // max(in_a_row, 1)))
        some = slice(few if any(map(is_lazy, training)) else None)
        self.looked_at = [np.asarray(a[some]) for a in training[:inputs]]
        looked_at = zip(self.step.model.inputs, self.looked_at, strict=True)  # the names of rows have no scale
        tables = [a if is_float(n.dtype) else a.reshape(len(a), -1)[:, :0] for n, a in looked_at]
        if self.step.labels is None:
            return facts_of(tables, None, loss)
        held_out = self._steps_that_count(validation) if validation else None
        return facts_of(tables, self._steps_that_count(training, some), loss, held_out)

    def _steps_that_count(self, arrays: list[Array], some: slice = slice(None)) -> Array:
        """The labels; where each is of a step, those of all steps that are not padding, in a row."""
        inputs = len(self.step.model.inputs)
        labels = np.asarray(arrays[inputs][some])
        if any(map(is_lazy, arrays[:inputs])):
            return labels.reshape(-1) if self.labels.whole else labels
        counted = counted_steps(self.step.model, [a[some] for a in arrays[:inputs]])
        if counted is not None and labels.shape[: counted.ndim] == counted.shape:
            return labels[counted]
        return labels.reshape(-1) if self.labels.whole else labels

    def _compile(
        self,
        training: list[Array],
        validation: list[Array],
        batch: int,
        columns: list[str],
        dtype: Any,
        devices: Any,
    ) -> Any:
        from chainrule.engine.xla import Devices, Epochs, StreamedEpochs, processes
        from chainrule.engine.xla.plan import Plan

        step, stopping = self.step, self.early_stopping
        leaves = tuple(n for n in (*step.model.inputs, step.labels, step.weights) if n is not None)
        monitor = None
        if stopping is not None:
            if stopping.monitor not in columns:
                raise ConfigurationError(
                    f"early stopping watches {stopping.monitor}, which is not reported",
                    given=stopping.monitor,
                    expected=", ".join(columns),
                    hint=near(stopping.monitor.replace("val_", "validation_"), columns)
                    if validation
                    else "give validation_data, or validation_split=0.2",
                )
            monitor = columns.index(stopping.monitor)
        plan = Plan(
            turns=self.turns([self.watch.nodes if s is step else () for s in self.steps]),
            examples=leaves,
            validation=tuple(n for s in self.steps for n in s.validation) if validation else (),
            totals=step.losses.shape == () and step.labels is not None,
            constants={c: c.attrs["value"] for s in self.steps for c in s.constants},
            batch_size=batch,
            monitor=monitor,
            larger_is_better=stopping is not None
            and should_grow(stopping.monitor, stopping.larger_is_better, step.metrics),
            patience=stopping.patience if stopping else 0,
            min_delta=stopping.min_delta if stopping else 0.0,
            every=self.watch.every,
            validation_rows=Graph(step.validation).rows_at_once(),
            draws=step.draws,
            counter=step.update.counter,
            seed=self.seed,
        )
        streamed = any(map(is_lazy, (*training, *validation)))
        self.load = self._load_of(plan, training)
        count = self._shared_by(devices, plan)
        self.settings["devices"] = count
        self.shared = [(0, count * processes())]
        if processes() > 1:
            from chainrule.train.together import check_all_the_same

            check_all_the_same(self, training, validation)
        what = plan, self._initial, training, validation, dtype, Devices.of(count)
        with building():
            return StreamedEpochs(*what, stream=batches) if streamed else Epochs(*what)

    def _load_of(self, plan: Any, training: list[Array]) -> Load:
        """What a step does, on a process's share of the rows of a batch."""
        from chainrule.engine.xla import processes

        outputs = [n for turn in plan.turns for n in (*turn.carry.values(), *turn.outputs)]
        sizes = {str(leaf.shape[0]): max(1, plan.batch_size // processes()) for leaf in plan.examples}
        for leaf, array in zip(plan.examples, training, strict=True):
            bind(leaf.shape[1:], array.shape[1:], sizes, str(leaf.name))
        return load(outputs, plan.carry, sizes)

    def _shared_by(self, devices: Any, plan: Any) -> int:
        """Among how many devices, here and in each process that it works together with, a batch is divided."""
        from chainrule.engine.xla import local_cores, processes

        rows, together = plan.batch_size, processes()
        if rows % together:
            raise ConfigurationError(
                "the rows of a batch are divided evenly among the processes",
                given=f"{rows} rows, {together} processes",
                hint=f"batch_size={max(1, round(rows / together)) * together}",
            )
        share = rows // together
        if devices == "auto":
            return shares(self.load, share, local_cores())
        count = at_least_one(devices, "devices")
        if share % count:
            raise ConfigurationError(
                "the rows of a batch are divided evenly among the devices",
                given=f"{share} rows, {count} devices",
                hint=f"batch_size={max(1, round(share / count)) * count * together}, or "
                f"devices={max(d for d in range(1, count) if share % d == 0)}",
            )
        return count

    def turns(self, watched: Sequence[Sequence[Node]]) -> tuple[Turn, ...]:
        """What happens to a batch, with the nodes to look at in each turn."""
        from chainrule.engine.xla.plan import Turn

        moving = {p for s in self.steps for p in s.learned}
        resting = {p: p for p in self.step.parameters if p not in moving}
        turns = []
        for s, nodes in zip(self.steps, watched, strict=True):
            carry = {**s.update.parameters, **s.update.states, **s.carried, **(resting if s is self.step else {})}
            run = iter(fast([*carry.values(), s.cost, *s.metrics.values(), *nodes]).outputs)
            carry = {leaf: next(run) for leaf in carry}
            outputs = tuple(next(run) for _ in (s.cost, *s.metrics))
            turns.append(Turn(carry, outputs, tuple(run)))
        return tuple(turns)

    @property
    def position(self) -> int:
        """How many steps are done."""
        inside = self.epochs.inside
        return int(self.history.epochs * self.epochs.steps + (0 if inside is None else inside.steps))

    def first_values(self, before: Any, seed: int) -> dict[Node, Any]:
        """What parameters and states begin with under a seed; ``before`` as ``start`` of :func:`fit`."""
        given = self._given(before)
        values: dict[Node, Any] = {}
        for index, node in enumerate(self.step.parameters):
            fresh = node not in given
            shape = definite(node.shape)
            values[node] = initial_value(shape, node.attrs.get("initializer"), seed, index) if fresh else given[node]
        for step in self.steps:
            for state in (*step.update.states, *step.carried):
                values[state] = given.get(state, np.full(definite(state.shape), state.attrs["initial"]))
        return values

    def _given(self, before: Any) -> dict[Node, Any]:
        """Numbers to begin with, by node."""
        if before is None:
            return {}
        if isinstance(before, Run):
            return before.values
        check_mapping(before, "numbers to begin with are", "its numbers")
        names = self.step.parameter_names | {k: n for s in self.steps for k, n in s.state_names.items()}
        out: dict[Node, Any] = {}
        for key, value in before.items():
            node = key if isinstance(key, Node) else names.get(key)
            if node is None or node not in names.values():
                raise ConfigurationError(
                    "numbers for a parameter that the network has not",
                    given=repr(key),
                    expected=", ".join(names),
                    hint=near(str(key), names),
                )
            array = np.asarray(value)
            if array.shape != definite(node.shape):
                raise ShapeError(
                    f"the numbers that {node.name} begins with have another shape",
                    given=show(array.shape),
                    expected=show(node.shape),
                )
            out[node] = array
        return out

    @property
    def seconds(self) -> float:
        """About how long an epoch takes, from the size of the work alone."""
        return float(self.epochs.steps * (self.load.seconds + (EXCHANGE if TOGETHER.count > 1 else 0)))

    def _chunk(self) -> int:
        """So many epochs that a call takes about a tenth of a second."""
        return int(min(max(1, round(0.1 / self.seconds)), 1000, max(1, 2_000_000 // self.rows)))

    def at_once(self, epochs: int) -> int:
        """How many of these epochs the next call is for: few where nobody has drawn the orders of many meanwhile."""
        return min(epochs, self.chunk if self._drawn or self.chunk < 16 else self.chunk // 8)

    def advance(self, epochs: int, ahead: int = 0, stop: int | None = None) -> None:
        """Train for some epochs more; the orders of ``ahead`` further ones are drawn meanwhile.

        With ``stop``, only for the steps of the present epoch before this one.
        """
        done = self.history.epochs
        orders = self._orders(done, epochs)
        if stop is not None:
            self._drawn = done, epochs, orders  # the next call goes on in it
        self.epochs.start_run(orders, epochs, self.epochs.steps if stop is None else stop)
        if stop is None:
            self._drawn = (done + epochs, ahead, self._orders(done + epochs, ahead)) if ahead else None
        self.history.extend(self.epochs.finish_run())
        self._note_the_end()

    def lowered(self) -> Any:
        """The compiled epoch as it is handed to XLA, to be read (``.as_text()``) or compiled (``.compile()``)."""
        return self.epochs.lowered(np.zeros((1, self.rows), np.int32))

    def run_epochs(self, epochs: int) -> None:
        """Train for exactly so many epochs more, in calls of ``chunk`` epochs."""
        while epochs > 0 and not self.history.stopped:
            now = self.at_once(epochs)
            epochs -= now
            self.advance(now, min(epochs, self.chunk))

    def feed(self, X: Any, Y: Any, sample_weight: Any = None) -> None:
        """Go on with other examples, of the same kinds and classes; what was learned and remembered stays.

        Errors: :class:`ShapeError` where they do not fit the network, or weights are given where there were none.
        """
        arrays = inputs_of(self.step.model, X)
        codes = _codes(self.labels, Y, self.step.model, arrays)
        weights = example_weights(self.labels, codes, sample_weight, None, counted_steps(self.step.model, arrays))
        if (weights is None) != (self.step.weights is None):
            raise ShapeError(
                "other examples come as those before did",
                given="no weights" if weights is None else "weights",
                expected="no weights" if self.step.weights is None else "a weight for each example",
            )
        self.rows, self._drawn = len(codes), None
        batch = self.rows if self._batch_size is None else min(self._batch_size, self.rows)
        self.epochs.feed([*arrays, codes, *([] if weights is None else [weights])], batch)

    def _orders(self, first: int, epochs: int) -> Array:
        """The order of the rows in each of some epochs; for ``chunk`` of them, or for one, so that two programs do."""
        if self._drawn is not None and self._drawn[:2] == (first, epochs):
            return self._drawn[2]
        orders = np.zeros((max(epochs, self.chunk if epochs > 1 else 1), self.rows), np.int32)
        for i in range(epochs):
            orders[i] = self.order(first + i)
        return orders

    def order(self, epoch: int) -> Array:
        """The order of the rows in an epoch, counted from 0."""
        return order_of(self.rows, self.seed, epoch) if self.shuffle else np.arange(self.rows, dtype=np.int32)

    def _note_the_end(self) -> None:
        from chainrule.engine.xla.plan import NOT_FINITE, STOPPED_EARLY

        history, epochs = self.history, self.epochs
        if self.early_stopping is not None and epochs.best_epoch >= 0:
            history.best_epoch = epochs.best_epoch + 1
        if epochs.status == STOPPED_EARLY:
            history.stopped = (
                f"stopped after epoch {history.epochs}: {self.early_stopping.monitor.replace('_', ' ')} was best in "  # type: ignore[union-attr]
                f"epoch {history.best_epoch}, whose parameters are kept"
            )
        elif epochs.status == NOT_FINITE:
            history.diverged = history.epochs
            self.first_bad = self._find_first_bad(history.epochs)
            rate = self.step.optimizer.learning_rate
            wrong = (f"the {c.replace('_', ' ')}" for c, v in history.row(-1).items() if not np.isfinite(v))
            kept = history.best_epoch or history.epochs - 1
            history.stopped = (
                f"stopped in epoch {history.epochs}: {next(wrong, 'a parameter')} was no longer finite. "
                f"The parameters are those of {f'epoch {kept}' if kept else 'the start'}"
                + ("" if self.first_bad else f". Try a learning rate smaller than {rate}, or clip_norm=1")
            )

    def _find_first_bad(self, epoch: int) -> BadNumber | None:
        number, feeds = self.epochs.bad_step(self.order(epoch - 1))
        batch = None if number is None else number + 1
        key = (self.seed % 2**32, int(feeds[self.step.update.counter]))
        for step in self.steps:
            found = first_bad(step, epoch, batch, feeds, self._initial, self.settings["dtype"], key)
            if found is not None:
                return found
            feeds = feeds | updated(step, feeds, self.settings["dtype"], key)
        return None

    def run(self, settings: Mapping[str, Any] | None = None) -> Run:
        """The run so far."""
        epochs = self.epochs
        values = epochs.values(best=self.history.best_epoch is not None)
        parameters, states = self.network(values)
        watched = None
        if self.watch.nodes:
            facts = self.facts if settings is None else self.facts | {"idle": idle(self.step, self.looked_at, values)}
            watched = collected(self.watch, epochs.samples, epochs.sampled_at, epochs.steps, facts)
        settings = {**self.settings, **(settings or {})}
        if self.shared != [(0, settings["devices"])]:
            settings["shared"] = self.shared
        run = Run(self.steps, parameters, self.history, self.labels, settings, watched, self.first_bad, states)
        run.origin = self.origin
        return run

    def network(self, values: Mapping[Node, Array] | None = None) -> tuple[dict[str, Array], dict[str, Array]]:
        """Parameters and the network's states by name; the present ones by default."""
        values = self.epochs.values() if values is None else values
        parameters = {name: values[node] for name, node in self.step.parameter_names.items()}
        return parameters, {name: values[node] for step in self.steps for name, node in step.state_names.items()}


def _codes(labels: Labels, Y: Any, model: Model, arrays: list[Array]) -> Array:
    """The labels as the array that is fed, one for every example."""
    codes = labels.encode(padding_aside(Y, counted_steps(model, arrays)), model.output)
    if len(codes) != len(arrays[0]):
        raise ShapeError(
            "examples and labels differ in number",
            given=f"{len(arrays[0])} examples, {len(codes)} labels",
            expected="a label for every example",
            hint="examples are rows: X has the shape (m, features), Y (m,) or (m, outputs)",
        )
    return codes


def should_grow(column: str, told: bool | None, metrics: Iterable[str]) -> bool:
    """Whether a column of the history should grow; of a metric of the user's own, among these, it has to be told."""
    if told is not None:
        return told
    name = column.removeprefix("validation_")
    if name in metrics and name not in METRICS and not name.endswith("accuracy"):
        raise ConfigurationError(
            "whether a metric of your own should grow is not known",
            given=column,
            expected="larger_is_better=True where it should, larger_is_better=False where it should fall",
        )
    return name.endswith("accuracy")


def _learned(graph: Graph, frozen: Any) -> tuple[Node, ...]:
    """The parameters of a graph but for those that stay as they are."""
    still = chosen_parameters(frozen, graph, "frozen") if not isinstance(frozen, tuple) or frozen else ()
    return tuple(p for p in graph.parameters if p not in still)


def default_loss(model: Model) -> Loss:
    """The loss that belongs to the network's last activation."""
    last = model.output.op.name
    return LOSSES[
        {"sigmoid": "binary_cross_entropy", "softmax": "categorical_cross_entropy"}.get(last, "squared_error")
    ]


def model_of(network: Any, X: Any) -> Model:
    """The network, for these examples."""
    if isinstance(network, Run):
        return network.model
    if isinstance(network, (Model, Node)):  # these have inputs; the others get one for the examples
        return as_model(network, ())
    shape = examples(next(iter(X.values())) if isinstance(X, Mapping) else X, "X").shape
    return as_model(network, shape[1:] or (1,))


def at_least_one(value: Any, what: str) -> int:
    """A setting that is a whole number from 1 on."""
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise ConfigurationError(f"{what} is a whole number of at least 1", given=repr(value))
    return int(value)
