"""The same training, once per library, each in the way that its own users would write it for speed.

Everywhere: ReLU layers, Adam with α = 0.001, float32, a new order of the rows in every epoch, a smaller last
batch where the rows do not divide, and the average loss of every epoch noted.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar, Protocol

import numpy as np

from benchmarks.workloads import Layers, Workload

LEARNING_RATE = 1e-3


class Peer(Protocol):
    """A training under way in one of the libraries."""

    title: ClassVar[str]
    needs: ClassVar[tuple[str, ...]]
    """Names of the distributions that it is made of."""

    def __init__(self, workload: Workload) -> None: ...

    def train(self, epochs: int) -> None:
        """Train for so many epochs more, and return when it is done."""

    def parameters(self) -> Layers:
        """Weights and biases as they are now."""


class Chainrule(Peer):
    """This project: the epochs are one compiled program."""

    title = "chainrule"
    needs = ("jax",)
    optimizer: ClassVar[str] = "adam"
    options: ClassVar[dict[str, Any]] = {}
    """More settings of the training, such as what is watched."""

    def __init__(self, workload: Workload) -> None:
        import chainrule as cr

        hidden = [cr.Dense(units, "relu") for units in workload.sizes[1:-1]]
        last = cr.Dense(workload.sizes[-1], "softmax" if workload.classes else "linear")
        self.trainer = cr.Trainer(
            cr.Sequential(*hidden, last),
            workload.X,
            workload.Y,
            optimizer=self.optimizer,
            learning_rate=LEARNING_RATE,
            batch_size=workload.batch_size,
            metrics=[],
            **self.options,
        )

    def train(self, epochs: int) -> None:
        self.trainer.run_epochs(epochs)

    def parameters(self) -> Layers:
        values = self.trainer.run().parameters
        return [(values[f"W{i}"], values[f"b{i}"]) for i in range(1, len(values) // 2 + 1)]


class HandWritten(Peer):
    """JAX by hand: data on the device, an epoch as a jitted ``lax.scan``, donated buffers, Optax's Adam."""

    title = "JAX by hand"
    needs = ("jax", "optax")
    one_call: ClassVar[bool] = False
    """Whether all epochs are one call of the program, or every epoch is."""

    def __init__(self, workload: Workload) -> None:
        import jax
        import jax.numpy as jnp
        import optax
        from jax import lax

        rows, batch = len(workload.X), workload.batch_size
        full, rest = divmod(rows, batch)
        adam = optax.adam(LEARNING_RATE)

        def cost(layers: Any, x: Any, y: Any) -> Any:
            for W, b in layers[:-1]:
                x = jax.nn.relu(x @ W + b)
            z = x @ layers[-1][0] + layers[-1][1]
            if workload.classes:
                return optax.softmax_cross_entropy_with_integer_labels(z, y).mean()
            return jnp.mean((z - y) ** 2)

        def step(state: Any, examples: Any) -> Any:
            layers, moments = state
            J, gradient = jax.value_and_grad(cost)(layers, *examples)
            updates, moments = adam.update(gradient, moments)
            return (optax.apply_updates(layers, updates), moments), J

        def train(state: Any, orders: Any, data: Any) -> Any:
            def epoch(state: Any, order: Any) -> Any:
                shuffled = [a[order] for a in data]
                batches = [a[: full * batch].reshape(full, batch, *a.shape[1:]) for a in shuffled]
                state, J = lax.scan(step, state, batches)
                total = J.sum() * batch
                if rest:
                    state, J = step(state, [a[full * batch :] for a in shuffled])
                    total += J * rest
                return state, total / rows

            return lax.scan(epoch, state, orders)

        self.rng = np.random.default_rng(0)
        self.rows, self.data = rows, jax.device_put((workload.X, workload.Y))
        layers = jax.device_put(workload.start())
        self.state = (layers, adam.init(layers))
        self.program = jax.jit(train, donate_argnums=0)
        self.losses: list[float] = []

    def train(self, epochs: int) -> None:
        orders = np.stack([self.rng.permutation(self.rows).astype(np.int32) for _ in range(epochs)])
        reported = []
        for some in [orders] if self.one_call else np.split(orders, epochs):
            self.state, losses = self.program(self.state, some, self.data)
            reported.append(losses)
        self.losses += np.concatenate(reported).tolist()

    def parameters(self) -> Layers:
        return [(np.asarray(W), np.asarray(b)) for W, b in self.state[0]]


class HandWrittenInOneCall(HandWritten):
    """The same program, called once for all the epochs of a round: nothing is left to save on the host."""

    title = "JAX by hand, one call"
    one_call = True


class ScikitLearn(Peer):
    """scikit-learn's ``MLPClassifier`` or ``MLPRegressor``: one ``fit`` of so many epochs, without stopping early."""

    title = "scikit-learn"
    needs = ("scikit-learn",)

    def __init__(self, workload: Workload) -> None:
        from sklearn.exceptions import ConvergenceWarning
        from sklearn.neural_network import MLPClassifier, MLPRegressor

        warnings.simplefilter("ignore", ConvergenceWarning)
        self.data = (workload.X, workload.Y if workload.classes else workload.Y.ravel())
        self.model = (MLPClassifier if workload.classes else MLPRegressor)(
            hidden_layer_sizes=workload.sizes[1:-1],
            learning_rate_init=LEARNING_RATE,
            batch_size=workload.batch_size,
            alpha=0,
            tol=0,
            n_iter_no_change=1_000_000,
            warm_start=True,
            random_state=0,
        )

    def train(self, epochs: int) -> None:
        self.model.set_params(max_iter=epochs).fit(*self.data)

    def parameters(self) -> Layers:
        layers = list(zip(self.model.coefs_, self.model.intercepts_, strict=True))
        if self.model.out_activation_ == "logistic":  # one logit, that of the second of two classes
            W, b = layers[-1]
            layers[-1] = np.hstack([np.zeros_like(W), W]), np.hstack([np.zeros_like(b), b])
        return layers

    def set_threads(self, threads: int) -> None:
        """Let the BLAS under NumPy use so many."""
        from threadpoolctl import threadpool_limits

        threadpool_limits(threads, "blas")


class PyTorch(Peer):
    """PyTorch, eager: a loop over batches, cut from shuffled tensors in memory, with fused Adam."""

    title = "PyTorch"
    needs = ("torch",)

    def __init__(self, workload: Workload) -> None:
        import torch
        from torch import nn

        torch.manual_seed(0)
        layers: list[nn.Module] = []
        for W, b in workload.start():
            linear = nn.Linear(*W.shape)
            linear.load_state_dict({"weight": torch.from_numpy(W.T), "bias": torch.from_numpy(b)})
            layers += [linear, nn.ReLU()]
        self.net = nn.Sequential(*layers[:-1])
        self.cost = nn.CrossEntropyLoss() if workload.classes else nn.MSELoss()
        self.adam = torch.optim.Adam(self.net.parameters(), lr=LEARNING_RATE, fused=True)
        self.X = torch.from_numpy(workload.X)
        self.Y = torch.from_numpy(workload.Y.astype(np.int64) if workload.classes else workload.Y)
        self.batch = workload.batch_size
        self.losses: list[float] = []

    def train(self, epochs: int) -> None:
        import torch

        for _ in range(epochs):
            total = torch.zeros(())
            order = torch.randperm(len(self.X))
            for x, y in zip(self.X[order].split(self.batch), self.Y[order].split(self.batch), strict=True):
                J = self.step(x, y)
                self.adam.zero_grad()
                J.backward()
                self.adam.step()
                total += J.detach() * len(x)
            self.losses.append(total.item() / len(self.X))

    def step(self, x: Any, y: Any) -> Any:
        """The cost of a batch."""
        return self.cost(self.net(x), y)

    def parameters(self) -> Layers:
        values = [p.detach().numpy() for p in self.net.parameters()]
        return [(W.T, b) for W, b in zip(values[::2], values[1::2], strict=True)]

    def set_threads(self, threads: int) -> None:
        """Let its operations use so many."""
        import torch

        torch.set_num_threads(threads)


class PyTorchCompiled(PyTorch):
    """The same with the forward pass, the loss and their gradients compiled by ``torch.compile``."""

    title = "PyTorch, compiled"

    def __init__(self, workload: Workload) -> None:
        import torch

        super().__init__(workload)
        torch._dynamo.config.cache_size_limit = 64  # two numbers of threads, two sizes of a batch
        net, cost = self.net, self.cost
        self.compiled = torch.compile(lambda x, y: cost(net(x), y), dynamic=False)

    def step(self, x: Any, y: Any) -> Any:
        return self.compiled(x, y)


class Keras(Peer):
    """Keras on JAX: ``fit``, with all the steps of an epoch as one execution."""

    title = "Keras on JAX"
    needs = ("keras", "jax")

    def __init__(self, workload: Workload) -> None:
        os.environ["KERAS_BACKEND"] = "jax"
        import keras

        keras.utils.set_random_seed(0)
        hidden = [keras.layers.Dense(units, "relu") for units in workload.sizes[1:-1]]
        self.net = keras.Sequential([keras.Input(workload.sizes[:1]), *hidden, keras.layers.Dense(workload.sizes[-1])])
        self.net.compile(
            optimizer=keras.optimizers.Adam(LEARNING_RATE),
            loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True)
            if workload.classes
            else keras.losses.MeanSquaredError(),
            steps_per_execution=workload.steps // workload.epochs,
        )
        self.data = (workload.X, workload.Y)
        self.batch = workload.batch_size

    def train(self, epochs: int) -> None:
        self.net.fit(*self.data, batch_size=self.batch, epochs=epochs, verbose=0)

    def parameters(self) -> Layers:
        values = self.net.get_weights()
        return list(zip(values[::2], values[1::2], strict=True))


PEERS: dict[str, type[Peer]] = {
    "chainrule": Chainrule,
    "jax": HandWritten,
    "jax-one-call": HandWrittenInOneCall,
    "keras": Keras,
    "pytorch": PyTorch,
    "pytorch-compiled": PyTorchCompiled,
    "sklearn": ScikitLearn,
}
"""By the name that ``--peers`` takes; ours first, since the others are measured by it."""


def versions(names: Sequence[str]) -> dict[str, str | None]:
    """The version of every distribution that these peers need, None where it is not installed."""
    found: dict[str, str | None] = {}
    for need in dict.fromkeys(need for name in names for need in PEERS[name].needs):
        try:
            found[need] = version(need)
        except PackageNotFoundError:
            found[need] = None
    return found
