"""A sweep beside GridSearchCV: 24 settings of a 64-64 network on the digits, three folds, all cores, the same rules."""

from __future__ import annotations

import gc
import os
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import numpy as np

from benchmarks.measure import PAUSE, Result
from benchmarks.report import cores, section
from benchmarks.workloads import digits

RATES = (0.0003, 0.001, 0.003, 0.01)
PENALTIES = (0.0001, 0.01, 1.0)
"""scikit-learn's alpha: half of it times the sum of squared weights, over the rows of a batch, is added to the loss."""
ACTIVATIONS = ("relu", "tanh")
BATCH, EPOCHS, PATIENCE, TOLERANCE = 32, 100, 10, 1e-4
"""Both end after 100 epochs, or where the training loss has not fallen by 0.0001 for ten."""
AIM = 10.0


def sweep(rounds: int, smoke: bool) -> Iterator[str]:
    """The section of the report."""
    contestants = [
        Contestant("chainrule (compiled before)", ours, smoke, warm=True),
        Contestant("chainrule (the first time)", ours, smoke),
        Contestant("chainrule, halving=2", halved, smoke, warm=True),
        Contestant("chainrule, halving=3", thinned, smoke, warm=True),
        Contestant(f"GridSearchCV, n_jobs={cores()}", theirs, smoke),
    ]
    places = list(range(len(contestants)))
    for seed in range(max(1, rounds)):
        for place in places:
            time.sleep(PAUSE)
            contestants[place].turn(seed)
        places.reverse()
    results = [Result(c.title, c.seconds, float(np.mean(c.scores))) for c in contestants]
    yield section(
        f"A sweep: {len(RATES) * len(PENALTIES) * len(ACTIVATIONS)} settings × 3 folds of 64-64-64-10 on the digits",
        results,
        "seconds",
        1.0,
        "best accuracy",
    )
    if smoke:
        return
    for result in results[:-1]:
        ratio = 1 / result.ratio(results[-1])[0]
        more = (result.loss - results[-1].loss) * len(digits().X)  # the folds cover them once
        yield (
            f"{result.title}: {ratio:.1f} times as fast, {'at least' if ratio >= AIM else 'NOT at least'} {AIM:.0f}; "
            f"of {len(digits().X):,} digits held out it has {abs(more):.1f} {'more' if more >= 0 else 'FEWER'} right\n"
        )


class Contestant:
    """A sweep that is made in a new process each time; with programs compiled before, or with an empty cache."""

    def __init__(self, title: str, made: Callable[[bool, int], float], smoke: bool, warm: bool = False) -> None:
        self.title, self.made, self.smoke = title, made, smoke
        self.seconds: list[float] = []
        self.scores: list[float] = []
        self._cache = tempfile.TemporaryDirectory() if warm else None
        if warm:
            self._once(0)

    def turn(self, seed: int) -> None:
        seconds, score = self._once(seed)
        self.seconds.append(seconds)
        self.scores.append(score)

    def _once(self, seed: int) -> tuple[float, float]:
        with tempfile.TemporaryDirectory() as empty, ProcessPoolExecutor(1, get_context("spawn")) as process:
            return process.submit(
                _timed, self.made, self.smoke, seed, self._cache.name if self._cache else empty
            ).result()


# --- in the new process -----------------------------------------------------------------------------------------


def _timed(made: Callable[[bool, int], float], smoke: bool, seed: int, cache: str) -> tuple[float, float]:
    """Seconds of a sweep, everything imported, the data read, no garbage left over, and the best mean accuracy."""
    os.environ["CHAINRULE_CACHE"] = cache
    import sklearn.model_selection
    import sklearn.neural_network  # noqa: F401

    import chainrule.engine.xla  # noqa: F401

    digits()
    gc.collect()
    begin = time.perf_counter()
    score = made(smoke, seed)
    return time.perf_counter() - begin, score


def data(smoke: bool, seed: int) -> tuple[Any, Any, list[Any], int, Sequence[float]]:
    """The digits, the folds of both, and how long and over how many rates."""
    from sklearn.model_selection import StratifiedKFold

    workload = digits()
    X, Y = (workload.X[:300], workload.Y[:300]) if smoke else (workload.X, workload.Y)
    pairs = list(StratifiedKFold(3, shuffle=True, random_state=seed).split(X, Y))
    return X, Y, pairs, 3 if smoke else EPOCHS, RATES[:1] if smoke else RATES


def theirs(smoke: bool, seed: int) -> float:
    """scikit-learn's grid search over its network, on all cores, without a last training of the winner."""
    from joblib.externals.loky import get_reusable_executor
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.model_selection import GridSearchCV
    from sklearn.neural_network import MLPClassifier

    X, Y, pairs, epochs, rates = data(smoke, seed)
    network = MLPClassifier(
        (64, 64), batch_size=BATCH, max_iter=epochs, n_iter_no_change=PATIENCE, tol=TOLERANCE, random_state=seed
    )
    grid = {"activation": ACTIVATIONS, "learning_rate_init": rates, "alpha": PENALTIES}
    search = GridSearchCV(network, grid, cv=pairs, n_jobs=cores(), refit=False)
    os.environ["PYTHONWARNINGS"] = "ignore"  # in its workers: that 100 epochs are not enough for all
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        score = float(search.fit(X, Y).best_score_)
    get_reusable_executor().shutdown(kill_workers=True)  # they would stay for five minutes, and this process with them
    return score


def ours(smoke: bool, seed: int, halving: int | None = None) -> float:
    """The same as a sweep."""
    import chainrule as cr

    X, Y, pairs, epochs, rates = data(smoke, seed)

    def network(activation: str) -> Any:
        return cr.Sequential(cr.Dense(64, activation), cr.Dense(64, activation), cr.Dense(10, "softmax"))

    ranking = cr.sweep(
        network,
        X,
        Y,
        {"activation": ACTIVATIONS, "learning_rate": rates, "weight_decay": [p / BATCH for p in PENALTIES]},
        folds=pairs,
        seeds=[seed],
        epochs=epochs,
        batch_size=BATCH,
        early_stopping=cr.EarlyStopping(PATIENCE, "loss", TOLERANCE),
        halving=halving,
        workers=cores(),
        progress=False,
    )
    return float(np.max([c.mean for c in ranking.candidates if c.finished]))


def halved(smoke: bool, seed: int) -> float:
    """With half of the candidates given up twice."""
    return ours(smoke, seed, 2)


def thinned(smoke: bool, seed: int) -> float:
    """With two thirds of the candidates given up twice."""
    return ours(smoke, seed, 3)
