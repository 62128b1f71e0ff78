"""One training step of networks with convolutions, a recurrence, attention: beside PyTorch and straightforward JAX.

The same machinery as ``step``: every library in a process of its own, taking turns. Everywhere Adam with α = 0.001,
float32, a new order of the examples in every epoch, and the average loss of every epoch noted.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from benchmarks.peers import LEARNING_RATE
from benchmarks.report import section
from benchmarks.step import contest

Array = np.ndarray[Any, Any]
CLASSES = 10


@dataclass(frozen=True)
class Examples:
    """What is trained on: arrays around ten centres, so that there is something to learn.

    Attributes:
        name: of the network, ``"cnn"``, ``"lstm"`` or ``"transformer"``, and ``title`` in words.
        shape: of an example.
        rows: how many there are.
        batch_size: examples in a step.
        epochs: epochs in a round.
    """

    name: str
    title: str
    shape: tuple[int, ...]
    rows: int
    batch_size: int
    epochs: int

    @property
    def steps(self) -> int:
        """Training steps in a round."""
        return self.epochs * -(-self.rows // self.batch_size)

    def arrays(self) -> tuple[Array, Array]:
        """Examples (rows, …) in float32 and their classes in int32; every third class is anybody's guess.

        So all libraries come to the same loss, which is not 0, and can be held against each other.
        """
        rng = np.random.default_rng(3)
        Y = rng.integers(0, CLASSES, self.rows)
        X = rng.normal(0, 0.5, (CLASSES, *self.shape))[Y] + rng.normal(size=(self.rows, *self.shape))
        Y = np.where(rng.random(self.rows) < 1 / 3, rng.integers(0, CLASSES, self.rows), Y)
        return X.astype(np.float32), Y.astype(np.int32)

    def loss(self, reported: float) -> float:
        """The average loss of the last epoch, as the library reported it."""
        return reported

    def untrained_loss(self) -> float:
        """That of equal probabilities."""
        return float(np.log(CLASSES))

    def short(self) -> Examples:
        """A few steps, to see that everything runs."""
        return replace(self, rows=8 * self.batch_size, epochs=2)


WORKLOADS = (
    Examples("cnn", "convolution 32, pool, convolution 64, pool, dense 128, 10", (28, 28, 1), 1280, 64, 3),
    Examples("lstm", "LSTM of 128 units over 50 steps of 32 numbers, 10", (50, 32), 1280, 64, 3),
    Examples("transformer", "transformer block, 128 wide, 4 heads, 64 steps, 10", (64, 128), 640, 32, 3),
)


class Ours:
    """This project."""

    title: ClassVar[str] = "chainrule"

    def __init__(self, examples: Examples) -> None:
        import chainrule as cr

        readers: dict[str, Callable[[], list[Any]]] = {
            "cnn": lambda: [
                cr.Conv2D(32, 3, padding="same", activation="relu"),
                cr.MaxPool2D(2),
                cr.Conv2D(64, 3, padding="same", activation="relu"),
                cr.MaxPool2D(2),
                cr.Flatten(),
                cr.Dense(128, "relu"),
            ],
            "lstm": lambda: [cr.LSTM(128)],
            "transformer": lambda: [cr.TransformerEncoder(512, 4, normalize_first=True), cr.GlobalAveragePool1D()],
        }
        network = cr.Sequential(*readers[examples.name](), cr.Dense(CLASSES, "softmax"))
        X, Y = examples.arrays()
        self.trainer = cr.Trainer(
            network, X, Y, optimizer=cr.Adam(LEARNING_RATE), batch_size=examples.batch_size, metrics=[]
        )

    def train(self, epochs: int) -> None:
        """So many epochs more."""
        self.trainer.run_epochs(epochs)

    def parameters(self) -> float:
        """What is compared: the average loss of the last epoch."""
        return float(self.trainer.history["loss"][-1])


class StraightforwardJAX:
    """JAX as one writes it first: convolutions and ``reduce_window`` of ``lax``, ``lax.scan`` over time and batches."""

    title: ClassVar[str] = "JAX by hand"

    def __init__(self, examples: Examples) -> None:
        import jax
        import jax.numpy as jnp
        import optax
        from jax import lax

        batch, steps = examples.batch_size, examples.rows // examples.batch_size
        adam = optax.adam(LEARNING_RATE)
        parameters, forward = {"cnn": _jax_cnn, "lstm": _jax_lstm, "transformer": _jax_transformer}[examples.name](
            np.random.default_rng(0)
        )

        def cost(p: Any, x: Any, y: Any) -> Any:
            return optax.softmax_cross_entropy_with_integer_labels(forward(p, x), y).mean()

        def step(state: Any, batch: Any) -> Any:
            p, moments = state
            J, gradient = jax.value_and_grad(cost)(p, *batch)
            updates, moments = adam.update(gradient, moments)
            return (optax.apply_updates(p, updates), moments), J

        def epoch(state: Any, order: Any, data: Any) -> Any:
            shuffled = [a[order].reshape(steps, batch, *a.shape[1:]) for a in data]
            state, J = lax.scan(step, state, shuffled)
            return state, J.mean()

        self.rng, self.rows = np.random.default_rng(0), examples.rows
        self.data = jax.device_put(examples.arrays())
        p = jax.tree.map(lambda a: jnp.asarray(a, jnp.float32), parameters)
        self.state, self.last = (p, adam.init(p)), 0.0
        self.program = jax.jit(epoch, donate_argnums=0)

    def train(self, epochs: int) -> None:
        """So many epochs more."""
        for _ in range(epochs):
            order = self.rng.permutation(self.rows).astype(np.int32)
            self.state, J = self.program(self.state, order, self.data)
            self.last = float(J)

    def parameters(self) -> float:
        """What is compared: the average loss of the last epoch."""
        return self.last


def _glorot(rng: np.random.Generator, *shape: int) -> Array:
    fan_in, fan_out = np.prod(shape[:-1]), np.prod(shape[:-2]) * shape[-1]
    limit = np.sqrt(6 / (fan_in + fan_out))
    return rng.uniform(-limit, limit, shape)


def _jax_cnn(rng: np.random.Generator) -> tuple[dict[str, Array], Any]:
    import jax
    import jax.numpy as jnp
    from jax import lax

    p = {"K1": _glorot(rng, 3, 3, 1, 32), "K2": _glorot(rng, 3, 3, 32, 64)}
    p |= {"W3": _glorot(rng, 3136, 128), "W4": _glorot(rng, 128, CLASSES)}
    p |= {f"b{k}": np.zeros(n) for k, n in enumerate((32, 64, 128, CLASSES), 1)}

    def convolve(x: Any, kernel: Any) -> Any:
        return lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    def pool(x: Any) -> Any:
        return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")

    def forward(p: Any, x: Any) -> Any:
        x = pool(jax.nn.relu(convolve(x, p["K1"]) + p["b1"]))
        x = pool(jax.nn.relu(convolve(x, p["K2"]) + p["b2"]))
        x = jax.nn.relu(x.reshape(len(x), -1) @ p["W3"] + p["b3"])
        return x @ p["W4"] + p["b4"]

    return p, forward


def _jax_lstm(rng: np.random.Generator) -> tuple[dict[str, Array], Any]:
    import jax
    import jax.numpy as jnp
    from jax import lax

    p = {"W": _glorot(rng, 32, 512), "U": _glorot(rng, 128, 512), "b": np.repeat([0.0, 1.0, 0.0, 0.0], 128)}
    p |= {"V": _glorot(rng, 128, CLASSES), "d": np.zeros(CLASSES)}

    def forward(p: Any, x: Any) -> Any:
        def step(state: Any, x_t: Any) -> Any:
            h, c = state
            i, f, g, o = jnp.split(x_t @ p["W"] + h @ p["U"] + p["b"], 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), None

        zeros = jnp.zeros((len(x), 128))
        (h, _), _ = lax.scan(step, (zeros, zeros), x.swapaxes(0, 1))
        return h @ p["V"] + p["d"]

    return p, forward


def _jax_transformer(rng: np.random.Generator) -> tuple[dict[str, Array], Any]:
    import jax
    import jax.numpy as jnp

    p = {name: _glorot(rng, 128, 128) for name in ("Q", "K", "V", "O")}
    p |= {"W": _glorot(rng, 128, 512), "W2": _glorot(rng, 512, 128), "H": _glorot(rng, 128, CLASSES)}
    p |= {f"b{name}": np.zeros(128) for name in ("Q", "K", "V", "O")}
    p |= {"bW": np.zeros(512), "bW2": np.zeros(128), "bH": np.zeros(CLASSES)}
    p |= {"γ1": np.ones(128), "β1": np.zeros(128), "γ2": np.ones(128), "β2": np.zeros(128)}

    def norm(x: Any, gamma: Any, beta: Any) -> Any:
        mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
        return gamma * (x - mean) / jnp.sqrt(variance + 1e-5) + beta

    def forward(p: Any, x: Any) -> Any:
        m, T, n = x.shape
        h = norm(x, p["γ1"], p["β1"])
        q, k, v = ((h @ p[name] + p[f"b{name}"]).reshape(m, T, 4, 32) for name in "QKV")
        weights = jax.nn.softmax(jnp.einsum("mthd,mshd->mhts", q, k) / jnp.sqrt(32.0))
        x = x + jnp.einsum("mhts,mshd->mthd", weights, v).reshape(m, T, n) @ p["O"] + p["bO"]
        h = norm(x, p["γ2"], p["β2"])
        x = x + jax.nn.relu(h @ p["W"] + p["bW"]) @ p["W2"] + p["bW2"]
        return x.mean(1) @ p["H"] + p["bH"]

    return p, forward


class TorchEager:
    """PyTorch, eager, with its own layers and fused Adam."""

    title: ClassVar[str] = "PyTorch"

    def __init__(self, examples: Examples) -> None:
        import torch
        from torch import nn

        torch.manual_seed(0)

        class LastOfLSTM(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.lstm = nn.LSTM(32, 128, batch_first=True)

            def forward(self, x: Any) -> Any:
                return self.lstm(x)[1][0][0]

        class Mean(nn.Module):
            def forward(self, x: Any) -> Any:
                return x.mean(1)

        modules: dict[str, Callable[[], list[nn.Module]]] = {
            "cnn": lambda: [
                nn.Conv2d(1, 32, 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Conv2d(32, 64, 3, padding=1),
                nn.ReLU(),
                nn.MaxPool2d(2),
                nn.Flatten(),
                nn.Linear(3136, 128),
                nn.ReLU(),
            ],
            "lstm": lambda: [LastOfLSTM()],
            "transformer": lambda: [
                nn.TransformerEncoderLayer(128, 4, 512, dropout=0.0, batch_first=True, norm_first=True),
                Mean(),
            ],
        }
        self.net = nn.Sequential(*modules[examples.name](), nn.Linear(128, CLASSES))
        for p in self.net.parameters():  # all libraries start alike
            if p.ndim > 1:
                nn.init.xavier_uniform_(p)
        self.cost = nn.CrossEntropyLoss()
        self.adam = torch.optim.Adam(self.net.parameters(), lr=LEARNING_RATE, fused=True)
        X, Y = examples.arrays()
        X = X.transpose(0, 3, 1, 2).copy() if examples.name == "cnn" else X
        self.X, self.Y = torch.from_numpy(X), torch.from_numpy(Y.astype(np.int64))
        self.batch, self.last = examples.batch_size, 0.0

    def train(self, epochs: int) -> None:
        """So many epochs more."""
        import torch

        for _ in range(epochs):
            total, order = torch.zeros(()), torch.randperm(len(self.X))
            for x, y in zip(self.X[order].split(self.batch), self.Y[order].split(self.batch), strict=True):
                J = self.cost(self.net(x), y)
                self.adam.zero_grad()
                J.backward()
                self.adam.step()
                total += J.detach() * len(x)
            self.last = total.item() / len(self.X)

    def parameters(self) -> float:
        """What is compared: the average loss of the last epoch."""
        return self.last

    def set_threads(self, threads: int) -> None:
        """Let its operations use so many."""
        import torch

        torch.set_num_threads(threads)


BESIDE: dict[str, Any] = {"chainrule": Ours, "jax": StraightforwardJAX, "pytorch": TorchEager}


def networks(names: Sequence[str], rounds: int, smoke: bool) -> Iterator[str]:
    """A section of the report for every network; ``names`` are the peers that are installed."""
    chosen = [BESIDE[name] for name in names if name in BESIDE]
    workloads = [examples.short() if smoke else examples for examples in WORKLOADS]
    for workload, results in contest(chosen, workloads, rounds):
        yield section(
            f"One step of {workload.name}: {workload.title}, in batches of {workload.batch_size}",
            results,
            "ms per step",
            1e3 / workload.steps,
            f"loss after {workload.epochs} epochs",
        )
