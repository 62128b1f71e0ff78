"""Predictions of 64-64-10, one row at a time and a million rows at once; everybody has the same parameters."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np

from benchmarks.report import section
from benchmarks.step import contest
from benchmarks.workloads import digits

Array = np.ndarray[Any, Any]
MILLISECONDS = 0.2
"""The aim for one row, once warm."""


@dataclass(frozen=True)
class Question:
    """Rows to predict at once, and how often in a round.

    Attributes:
        name: in words.
        rows: at once.
        epochs: calls in a round.
    """

    name: str
    rows: int
    epochs: int

    @property
    def steps(self) -> int:
        """Calls in a round."""
        return self.epochs

    def X(self) -> Array:
        """Handwritten digits, again and again."""
        X = digits().X
        return np.resize(X, (self.rows, X.shape[1]))

    def loss(self, probabilities: Array) -> float:
        """What is compared: how sure the network is, on average."""
        return float(np.mean(-np.log(np.max(probabilities, axis=1))))

    def untrained_loss(self) -> float:
        """Of equal probabilities."""
        return float(np.log(10))


QUESTIONS = (Question("one row", 1, 1000), Question("a million rows", 1_000_000, 1))


class Predicts:
    """A library with the parameters of a trained network."""

    title: ClassVar[str]
    predict: Callable[[Array], Any]

    def __init__(self, question: Question) -> None:
        rng = np.random.default_rng(0)
        W1, W2 = rng.normal(0, 0.3, (64, 64)), rng.normal(0, 0.3, (64, 10))
        self.predict = self.made([(W1.astype("float32"), np.zeros(64, "f")), (W2.astype("float32"), np.zeros(10, "f"))])
        self.X, self.found = question.X(), np.zeros(0)

    def made(self, layers: list[tuple[Array, Array]]) -> Callable[[Array], Any]:
        """The function from rows to probabilities, as an array of NumPy's."""
        raise NotImplementedError

    def train(self, epochs: int) -> None:
        """Predict so many times."""
        for _ in range(epochs):
            self.found = self.predict(self.X)

    def parameters(self) -> Array:
        """What is compared: the probabilities."""
        return np.asarray(self.found)


class Ours(Predicts):
    """This project: ``run.predict``, with all that it checks."""

    title = "chainrule"

    def made(self, layers: list[tuple[Array, Array]]) -> Callable[[Array], Any]:
        import chainrule as cr

        network = cr.Sequential(cr.Dense(64, "relu"), cr.Dense(10, "softmax"))
        start = {f"{letter}{k}": a for k, pair in enumerate(layers, 1) for letter, a in zip("Wb", pair, strict=True)}
        few = digits()
        still = cr.GradientDescent(1e-30)
        run: Any = cr.fit(network, few.X[:32], few.Y[:32], epochs=1, optimizer=still, start=start)
        return run.predict  # type: ignore[no-any-return]


class ByHand(Predicts):
    """JAX: a jitted function."""

    title = "JAX by hand"

    def made(self, layers: list[tuple[Array, Array]]) -> Callable[[Array], Any]:
        import jax

        (W1, b1), (W2, b2) = jax.device_put(layers)
        forward = jax.jit(lambda x, W1, b1, W2, b2: jax.nn.softmax(jax.nn.relu(x @ W1 + b1) @ W2 + b2))
        return lambda X: np.asarray(forward(X, W1, b1, W2, b2))


class Torch(Predicts):
    """PyTorch, eager, in inference mode."""

    title = "PyTorch"

    def made(self, layers: list[tuple[Array, Array]]) -> Callable[[Array], Any]:
        import torch
        from torch import nn

        net = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10), nn.Softmax(1))
        for linear, (W, b) in zip((net[0], net[2]), layers, strict=True):
            linear.load_state_dict({"weight": torch.from_numpy(W.T), "bias": torch.from_numpy(b)})

        def predict(X: Array) -> Array:
            with torch.inference_mode():
                return net(torch.from_numpy(X)).numpy()  # type: ignore[no-any-return]

        return predict

    def set_threads(self, threads: int) -> None:
        """Let its operations use so many."""
        import torch

        torch.set_num_threads(threads)


class ScikitLearn(Predicts):
    """scikit-learn: ``predict_proba`` of an ``MLPClassifier``."""

    title = "scikit-learn"

    def made(self, layers: list[tuple[Array, Array]]) -> Callable[[Array], Any]:
        from sklearn.neural_network import MLPClassifier

        few = digits()
        model = MLPClassifier((64,)).partial_fit(few.X[:32], few.Y[:32], classes=range(10))
        model.coefs_, model.intercepts_ = map(list, zip(*layers, strict=True))
        return model.predict_proba  # type: ignore[no-any-return]


BESIDE: dict[str, type[Predicts]] = {"chainrule": Ours, "jax": ByHand, "pytorch": Torch, "sklearn": ScikitLearn}


def prediction(names: Sequence[str], rounds: int, smoke: bool) -> Iterator[str]:
    """Two sections of the report; ``names`` are the peers that are installed."""
    chosen: list[Any] = [BESIDE[name] for name in names if name in BESIDE]
    questions = [replace(q, rows=min(q.rows, 100), epochs=1) if smoke else q for q in QUESTIONS]
    for asked, results in contest(chosen, questions, rounds):
        yield section(
            f"Predicting {asked.name} with 64-64-10",
            results,
            "ms per call",
            1e3 / asked.steps,
            "mean −log of the largest probability",
        )
        if rounds and asked.rows == 1:
            ours = float(np.median(results[0].seconds)) * 1e3 / asked.steps
            less = "less" if ours < MILLISECONDS else "NOT less"
            yield f"one row: {ours:.3f} ms, {less} than {MILLISECONDS} ms\n"
