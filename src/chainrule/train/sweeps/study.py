"""Candidates that a study of Optuna proposes, in the light of those before; with its storage on many machines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from chainrule.errors import ConfigurationError
from chainrule.train.sweeps.choices import Between, Choices, Recipes
from chainrule.train.sweeps.sweep import Race

AT_ONCE = 2
"""So many candidates for each worker are proposed before the study hears of them."""


def propose(study: Any, choices: Choices, recipes: Recipes, trials: int, race: Race) -> None:
    """Ask the study for candidates, train some at once, tell it how they ended, until so many are done.

    Args:
        study: of Optuna; one direction, that of the column that is monitored.
        choices: what to choose from.
        recipes: how candidates are trained.
        trials: how many to train here.
        race: what trains them.
    """
    try:
        import optuna
    except ImportError:
        raise ConfigurationError("a study needs Optuna", hint="pip install 'chainrule[optuna]'") from None
    if not isinstance(study, optuna.Study):
        raise ConfigurationError("a study is one of Optuna", given=repr(study), expected="optuna.create_study(…)")
    ranges = {name: _distribution(optuna, name, values) for name, values in choices.by_name.items()}
    left = trials
    while left:
        asked = [study.ask(ranges) for _ in range(min(left, AT_ONCE * race.workers))]
        left -= len(asked)
        chosen = [
            {name: _shown(values, trial.params[name]) for name, values in choices.by_name.items()} for trial in asked
        ]
        named = choices.named(chosen, race.chosen)
        race.run({name: (some, recipes) for name, some in named})
        names = [name for name, _ in named]
        scores = [race.score(name) for name in names]
        if np.isfinite(scores).any():
            _check_direction(optuna, study, race.column(), race.grows)
        for trial, score in zip(asked, scores, strict=True):
            good = np.isfinite(score)
            study.tell(trial, score if good else None, None if good else optuna.trial.TrialState.FAIL)


def _distribution(optuna: Any, name: str, values: Any) -> Any:
    kinds = optuna.distributions
    if isinstance(values, Mapping):
        return kinds.CategoricalDistribution([_told(v) for v in values])
    if isinstance(values, Between):
        kind = kinds.IntDistribution if values.whole else kinds.FloatDistribution
        return kind(values.low, values.high, log=values.log)
    raise ConfigurationError(
        "a study needs to know the ends of a range",
        given=f"{name}: {type(values).__name__}",
        expected="cr.Between(low, high)",
    )


def _told(shown: Any) -> Any:
    return shown if isinstance(shown, (int, float, str, bool, type(None))) else str(shown)


def _shown(values: Any, told: Any) -> Any:
    if isinstance(values, Mapping):
        return next(v for v in values if _told(v) == told)
    return told


def _check_direction(optuna: Any, study: Any, column: str, grows: bool) -> None:
    wanted = "maximize" if grows else "minimize"
    if study.direction != optuna.study.StudyDirection[wanted.upper()]:
        raise ConfigurationError(
            f"{column.replace('_', ' ')} is to be {wanted}d, and the study is made for the opposite",
            given=f"direction={study.direction.name.lower()!r}",
            hint=f"optuna.create_study(direction='{wanted}')",
        )
