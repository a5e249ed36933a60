"""Optuna's samplers as methods, with duplicate avoidance inside.

Drawing anew until a proposal is new starves a sampler that has settled, and
uniform draws in its place hide what it knows. So both samplers are taught to
leave out what was tried, and what is above the limit, where they compare
candidates by their own criterion; where nothing is left, they compare the
untried neighbours of the best trials. This reaches into private parts of
Optuna 5.
"""
from collections.abc import Callable, Sequence
from typing import Any, Optional

import numpy as np
import optuna
from optuna.samplers import BaseSampler, GPSampler, TPESampler
from optuna.trial import TrialState, create_trial

from ..proposal import TRIES, Action, one_changed, uniform
from .methods import Unrepeated
from .tables import Table

#: Best trials whose neighbours are looked at, and uniform draws beside them.
_PARENTS, _DRAWS = 10, 500


class _UntriedTPE(TPESampler):
    """TPE that ranks only what may be tried."""

    def __init__(self, study: 'Study', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._owner = study

    def _compute_acquisition_func(
            self, samples: dict[str, np.ndarray], mpe_below: Any,
            mpe_above: Any) -> np.ndarray:
        names = list(samples)
        for more in (lambda: mpe_below.sample(self._rng.rng, _DRAWS),
                     lambda: self._owner.columns(
                         names, self._owner.neighbours())):
            if self._owner.untried(self._owner.rows(samples)).any():
                break
            # the caller looks at the same dict
            samples.update(more())
        scores = super()._compute_acquisition_func(
            samples, mpe_below, mpe_above)
        free = self._owner.untried(self._owner.rows(samples))
        return np.where(free, scores, -np.inf)


class _UntriedGP(GPSampler):
    """GP sampler that proposes only what may be tried."""

    def __init__(self, study: 'Study', **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._owner = study

    def _optimize_acqf(self, acqf: Any,
                       best_params: Optional[np.ndarray]) -> np.ndarray:
        found = super()._optimize_acqf(acqf, best_params)
        names = list(acqf.search_space._optuna_search_space)
        levels = acqf.search_space.get_choices_of_discrete_params()
        indices = np.array([[
            np.abs(level - value).argmin()
            for level, value in zip(levels, found)
        ]])
        best = self._owner.rows(dict(zip(names, indices.T)))
        if self._owner.untried(best)[0]:
            return found
        near = one_changed(self._owner.space, tuple(best[0].tolist()),
                           self._owner.rng)
        rows = np.concatenate([
            near[self._owner.untried(near)], self._owner.neighbours()])
        columns = self._owner.columns(names, rows)
        places = np.stack([level[columns[name].astype(int)]
                           for name, level in zip(names, levels)], 1)
        return places[acqf.eval_acqf_no_grad(places).argmax()]


class Study(Unrepeated):
    """A study that is asked and told.

    Ordinal decisions are integers to the sampler, so that it knows of the
    order as the other methods do.

    Args:
        table (Table): The table.
        seed (int): Seed.
        warmup (int): Trials of the shared warm-up; without one, the sampler
            draws its first 10 trials, as is its default.
        build (Callable): Study and settings of all samplers to the sampler.
    """

    def __init__(self, table: Table, seed: int, warmup: int,
                 build: Callable[..., BaseSampler]) -> None:
        super().__init__(table, seed, warmup)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._kinds = self.space.distributions(ordinal_index=True)
        self._study = optuna.create_study(
            direction='maximize', sampler=build(
                self, seed=seed, n_startup_trials=warmup or 10))

    def ask(self) -> Action:
        """See :class:`Method`."""
        trial = self._study.ask(self._kinds)
        self._study.tell(trial, state=TrialState.FAIL)
        return self.check(self.space.encode(self.space.values_of(
            self._study.trials[-1])))

    def check(self, action: Action) -> Action:
        """Let a proposal pass, or what is near it if it was tried."""
        return self.new(np.array([action]))

    def tell(self, action: Action, reward: float) -> None:
        """See :class:`Method`."""
        super().tell(action, reward)
        values = self.space.decode(action)
        params = {
            name: action[place] if hasattr(kind, 'low') else values[name]
            for place, (name, kind) in enumerate(self._kinds.items())
        }
        self._study.add_trial(create_trial(
            params=params, distributions=self._kinds, value=reward))

    def rows(self, columns: dict[str, np.ndarray]) -> np.ndarray:
        """Candidates, shape (N, D), of Optuna's columns of indices."""
        return np.stack([columns[name] for name in self.space.names],
                        1).astype(int)

    def columns(self, names: Sequence[str],
                rows: np.ndarray) -> dict[str, np.ndarray]:
        """Inverse of :meth:`rows`."""
        return {name: rows[:, self.space.names.index(name)].astype(float)
                for name in names}

    def neighbours(self) -> np.ndarray:
        """One decision away from the best trials, and draws.

        Untried ones alone, unless none is found: then all, of which
        :meth:`check` takes what may be repeated.
        """
        best = sorted(self.log, key=self.log.get, reverse=True)[:_PARENTS]
        for _ in range(TRIES):
            rows = np.concatenate([
                *(one_changed(self.space, one, self.rng) for one in best),
                uniform(self.space, _DRAWS, self.rng)])
            free = self.untried(rows)
            if free.any():
                return rows[free]
        return rows

    def untried(self, rows: np.ndarray) -> np.ndarray:
        """Which of some candidates are new and within the limit."""
        return np.array([row not in self.log and self.gate.allows(row)
                         for row in map(tuple, rows.tolist())], bool)


class TPE(Study):
    """Multivariate TPE.

    Args:
        table (Table): The table.
        seed (int): Seed.
        warmup (int): Trials of the shared warm-up.
        **changes: Arguments of the sampler.
    """

    def __init__(self, table: Table, seed: int, warmup: int,
                 **changes: Any) -> None:
        super().__init__(table, seed, warmup, lambda study, **common:
                         _UntriedTPE(study, multivariate=True, **changes,
                                     **common))


class RepeatingTPE(Study):
    """Multivariate TPE as it is, which proposes candidates again.

    Under a limit, what is above it is still replaced.

    Args:
        table (Table): The table.
        seed (int): Seed.
        warmup (int): Trials of the shared warm-up.
    """

    def __init__(self, table: Table, seed: int, warmup: int) -> None:
        super().__init__(table, seed, warmup, lambda study, **common:
                         TPESampler(multivariate=True, **common))

    def check(self, action: Action) -> Action:
        """Let a proposal pass that was tried."""
        return action if self.gate.allows(action) else self.new(
            np.array([action]))


class GP(Study):
    """Optuna's Gaussian process.

    Args:
        table (Table): The table.
        seed (int): Seed.
        warmup (int): Trials of the shared warm-up.
    """

    def __init__(self, table: Table, seed: int, warmup: int) -> None:
        super().__init__(table, seed, warmup, _UntriedGP)
