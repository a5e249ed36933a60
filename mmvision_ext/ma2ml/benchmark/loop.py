"""Running a method on a table, by the same rules for all."""
import time
from dataclasses import dataclass
from typing import Optional, Protocol

import numpy as np

from ..proposal import TRIES, Action, Gate, balanced, nearby, uniform
from .tables import Table


class Method(Protocol):
    """A search method, of which actions are encoded candidates."""

    def ask(self) -> Action:
        """What to evaluate next."""

    def tell(self, action: Action, reward: float) -> None:
        """A result, also of candidates that were not asked for."""


@dataclass(frozen=True)
class Run:
    """What came of a run.

    Args:
        regrets (list[float]): Regret of the incumbent after each trial.
        repeats (int): Trials that evaluated a candidate again.
        violations (int): Trials above the limit.
        seconds (float): Processor time of the method, all trials together.
        slowest (float): Largest time of a trial.
    """

    regrets: list[float]
    repeats: int
    violations: int
    seconds: float
    slowest: float


def shared_warmup(table: Table, seed: int, trials: int) -> list[Action]:
    """The first trials, the same for all methods.

    Args:
        table (Table): The table.
        seed (int): Seed of the run.
        trials (int): How many.

    Returns:
        list[tuple[int, ...]]: A design in which all choices of a decision
        come up equally often, within the limit.
    """
    rng = np.random.default_rng([seed, 10])
    gate = Gate(table.space, table.feasible)
    found: list[Action] = []
    while len(found) < trials:
        found.append(
            balanced(table.space, gate, found, rng)
            or nearby(table.space, gate, set(found),
                      uniform(table.space, TRIES, rng), rng))
    return found


def play(table: Table, method: Method, seed: int, trials: int,
         warmup: int) -> Run:
    """Run a method.

    An evaluation draws one repetition of the table; the draws are the same
    for all methods of a seed. The incumbent is the candidate of the best
    reward seen; its regret is that of its mean in the table.

    Args:
        table (Table): The table.
        method (Method): The method, new.
        seed (int): Seed of the run.
        trials (int): Number of trials, those of the warm-up included.
        warmup (int): Trials that all methods share, see
            :func:`shared_warmup`.

    Returns:
        Run: What came of it.
    """
    first = shared_warmup(table, seed, min(warmup, trials))
    draws = np.random.default_rng([seed, 11]).integers(
        table.rewards.shape[-1], size=table.rewards.shape[:-1])
    seen: dict[Action, int] = {}
    regrets: list[float] = []
    times: list[float] = []
    best: Optional[float] = None
    violations = 0
    for trial in range(trials):
        begin = time.process_time()
        action = first[trial] if trial < len(first) else method.ask()
        asked = time.process_time()
        again = seen.get(action, 0)
        seen[action] = again + 1
        violations += not table.allows(action)
        results = table.rewards[action]
        reward = float(results[(draws[action] + again) % len(results)])
        told = time.process_time()
        method.tell(action, reward)
        times.append(asked - begin + time.process_time() - told)
        if table.allows(action) and (best is None or reward > best):
            best, regret = reward, table.regret(action)
        regrets.append(regret)
    return Run(regrets, trials - len(seen), violations, sum(times),
               max(times))
