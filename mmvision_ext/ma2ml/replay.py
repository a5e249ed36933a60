"""The trial log, and what the critic is taught of it."""
import math
from collections.abc import Sequence
from typing import Optional

import torch

#: Standardised rewards are not let below this: how badly a hopeless
#: candidate fails tells nothing about the good ones.
FLOOR = -3.0


class Replay:
    """Every finished trial of a study, in the order of its results.

    Rewards are to be maximised. A trial that failed (out of memory, crash,
    time-out) or whose reward is not a finite number is kept with the reward
    None: it counts as evaluated, so that it is not proposed again, and the
    critic is taught the worst finite reward of the log for it, as nothing is
    known but that it should be avoided. A log without any finite reward
    teaches zeros.

    Attributes:
        actions (list[tuple[int, ...]]): Encoded candidates.
        rewards (list[float | None]): Their rewards.
        seen (set[tuple[int, ...]]): All candidates of the log.
    """

    def __init__(self) -> None:
        self.actions: list[tuple[int, ...]] = []
        self.rewards: list[Optional[float]] = []
        self.seen: set[tuple[int, ...]] = set()
        self._rows = torch.empty(0, 0, dtype=torch.long)

    def __len__(self) -> int:
        return len(self.actions)

    def append(self, action: Sequence[int], reward: Optional[float]) -> None:
        """Add a finished trial.

        Args:
            action (Sequence[int]): Encoded candidate.
            reward (float, optional): Its reward; None or a number that is
                not finite for a failed trial.
        """
        action = tuple(int(index) for index in action)
        if reward is not None and not math.isfinite(reward):
            reward = None
        self.actions.append(action)
        self.rewards.append(None if reward is None else float(reward))
        self.seen.add(action)
        place = len(self.actions) - 1
        if place == len(self._rows):
            # twice the room, so that appending costs little on average
            room = torch.empty(2 * place + 16, len(action), dtype=torch.long)
            if place:
                room[:place] = self._rows
            self._rows = room
        self._rows[place] = torch.tensor(action)

    def rows(self) -> torch.Tensor:
        """Encoded candidates.

        Returns:
            torch.Tensor: Shape (N, D), a view that is not to be changed.
        """
        return self._rows[:len(self.actions)]

    def filled(self) -> torch.Tensor:
        """Rewards with the worst finite one in place of failures.

        Returns:
            torch.Tensor: Shape (N,), float64.
        """
        finite = [r for r in self.rewards if r is not None]
        worst = min(finite, default=0.)
        return torch.tensor(
            [worst if r is None else r for r in self.rewards],
            dtype=torch.float64)

    def standardised(self) -> torch.Tensor:
        """Rewards minus their mean, over their standard deviation.

        Both are those of the log so far, as "running mean/std over the
        buffer" of the reconstruction; the clipping at :data:`FLOOR` is ours.

        Returns:
            torch.Tensor: Shape (N,), float64.
        """
        rewards = self.filled()
        spread = rewards.std(correction=0)
        if not spread > 0:
            return torch.zeros_like(rewards)
        return ((rewards - rewards.mean()) / spread).clamp(min=FLOOR)
