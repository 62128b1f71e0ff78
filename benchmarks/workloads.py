"""What is trained: four networks on their data, and iris. Every peer gets the same arrays."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Layers = list[tuple[Array, Array]]
"""Weights (inputs, outputs) and biases (outputs,) of every layer."""


@dataclass(frozen=True)
class Workload:
    """A network of ReLU layers, its data, and how long a round of it is.

    Attributes:
        sizes: units from the inputs to the outputs.
        X: examples in rows, float32.
        Y: (rows, 1) numbers in float32, or (rows,) class numbers in int32.
        batch_size: rows in a step; the last batch of an epoch is smaller where it must be.
        epochs: epochs in a round.
    """

    sizes: tuple[int, ...]
    X: Array
    Y: Array
    batch_size: int
    epochs: int

    @property
    def name(self) -> str:
        """The sizes, such as ``64-64-10``."""
        return "-".join(map(str, self.sizes))

    @property
    def classes(self) -> bool:
        """Whether it is softmax and cross-entropy; otherwise it is a number and squared error."""
        return self.Y.ndim == 1

    @property
    def steps(self) -> int:
        """Training steps in a round."""
        return self.epochs * -(-len(self.X) // self.batch_size)

    def short(self) -> Workload:
        """A few steps of it, to see that everything runs."""
        rows = 20 * self.batch_size
        return replace(self, X=self.X[:rows], Y=self.Y[:rows], epochs=min(self.epochs, 3))

    def start(self) -> Layers:
        """Glorot's uniform weights and zero biases, for the peers that can be given theirs."""
        rng = np.random.default_rng(0)
        pairs = list(zip(self.sizes[:-1], self.sizes[1:], strict=True))
        limits = [np.sqrt(6 / (n + k)) for n, k in pairs]
        return [
            (rng.uniform(-limit, limit, pair).astype(np.float32), np.zeros(pair[1], np.float32))
            for pair, limit in zip(pairs, limits, strict=True)
        ]

    def loss(self, layers: Layers) -> float:
        """The mean loss over all rows with these parameters, computed in NumPy whoever trained them."""
        A = self.X.astype(np.float64)
        for W, b in layers[:-1]:
            A = np.maximum(A @ W + b, 0)
        Z = A @ layers[-1][0] + layers[-1][1]
        if not self.classes:
            return float(np.mean((Z - self.Y) ** 2))
        Z -= Z.max(axis=1, keepdims=True)
        return float(np.mean(np.log(np.exp(Z).sum(axis=1)) - Z[np.arange(len(Z)), self.Y]))

    def untrained_loss(self) -> float:
        """The loss of the best constant answer to numbers, of equal probabilities to classes."""
        return float(np.log(self.sizes[-1]) if self.classes else np.var(self.Y))


def small() -> Workload:
    """20-32-32-1 on 1,000 rows of a smooth function with a little noise."""
    rng = np.random.default_rng(1)
    X = rng.normal(size=(1000, 20))
    y = np.sin(X[:, :1]) + X[:, 1:2] * X[:, 2:3] + X[:, 3:] @ rng.normal(0, 0.3, (17, 1))
    Y = y + rng.normal(0, 0.1, y.shape)
    return Workload((20, 32, 32, 1), X.astype(np.float32), Y.astype(np.float32), 32, 200)


@cache
def digits() -> Workload:
    """64-64-10 on the 1,797 handwritten digits that scikit-learn carries."""
    from sklearn.datasets import load_digits

    X, Y = load_digits(return_X_y=True)
    return Workload((64, 64, 10), (X / 16).astype(np.float32), Y.astype(np.int32), 32, 50)


def watched() -> Workload:
    """64-64-64-10 on the same digits, for the cost of watching."""
    return replace(digits(), sizes=(64, 64, 64, 10))


def large() -> Workload:
    """784-512-256-10 on 12,800 noisy rows around ten centres."""
    rng = np.random.default_rng(2)
    Y = rng.integers(0, 10, 12_800)
    X = rng.normal(0, 0.1, (10, 784))[Y] + rng.normal(size=(12_800, 784))
    return Workload((784, 512, 256, 10), X.astype(np.float32), Y.astype(np.int32), 128, 2)


def logistic() -> Workload:
    """20-2, logistic regression, on a million rows of two noisy classes."""
    rng = np.random.default_rng(4)
    X = rng.normal(size=(1_000_000, 20)).astype(np.float32)
    Y = X @ rng.normal(0, 0.5, 20) + rng.logistic(size=len(X)) > 0
    return Workload((20, 2), X, Y.astype(np.int32), 1000, 1)


def iris() -> Workload:
    """4-16-3 on iris, for the cold start."""
    from sklearn.datasets import load_iris

    X, Y = load_iris(return_X_y=True)
    scaled = (X - X.mean(axis=0)) / X.std(axis=0)
    return Workload((4, 16, 3), scaled.astype(np.float32), Y.astype(np.int32), 32, 200)
