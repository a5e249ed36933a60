"""The learner: agents that propose candidates, and learn from the log."""
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Optional

import numpy as np
import torch

from .credit import (
    counterfactual_credit,
    counterfactual_values,
    regularised_advantage,
)
from .critic import Critic, NetworkCritic
from .kernel_critic import KernelCritic
from .policy import Agents
from .presets import Settings
from .proposal import (
    TRIES,
    Action,
    Feasible,
    Gate,
    balanced,
    nearby,
    one_changed,
    uniform,
)
from .replay import FLOOR, Replay
from .space import SearchSpace

#: Where ranked candidates come from: draws of the joint policy, moves of one
#: agent by its policy, uniform draws, and best trials that are moved from.
JOINT, MOVES, UNIFORM, BEST = 64, 64, 256, 5

#: Single changes of best trials that are looked at, at most.
CHANGES = 256

#: Trials a step of the networks.
BATCH = 64


@dataclass(frozen=True)
class Proposal:
    """A candidate and why.

    Args:
        action (tuple[int, ...]): The candidate, encoded.
        credit (dict[str, float]): For each agent what its part adds to the
            value that the critic expects, in standard deviations of the
            reward. Empty where there is no critic, and in the warm-up.
    """

    action: Action
    credit: dict[str, float]


class MA2MLLearner:
    """Agents with a shared critic that search a space together.

    Each trial is one step of a cooperative game: all agents act, the
    assembled pipeline is evaluated, and its reward, to be maximised, is
    shared. The critic is trained on all trials; the policies ascend its
    values of freshly drawn actions, each agent by its counterfactual credit,
    regularised towards its target policy. By default the critic also
    chooses: among draws of the joint policy, moves of a single agent from
    the best trials (the more an agent's action matters to the critic, the
    more of them), single changes of their decisions, and uniform draws.

    The state is a function of the seed and of the candidates and rewards
    observed, in order; proposing changes nothing. So a search that was
    killed goes on as it would have, once its log is observed again.

    Failed trials, and rewards that are not finite, count as evaluated and
    teach the worst reward of the log, see :class:`Replay`.

    Args:
        space (SearchSpace): The space.
        seed (int): Seed. Defaults to 0.
        settings (Settings, optional): Defaults to None, those of the preset
            ``ma2ml``.
        feasible (Callable, optional): A candidate, a dict of values, to
            whether it may be evaluated, by what is known beforehand (FLOPs).
            Only such ones are proposed, and drawn actions that are not are
            worth little to the policies. Defaults to None: all are.
    """

    def __init__(self, space: SearchSpace, seed: int = 0,
                 settings: Optional[Settings] = None,
                 feasible: Optional[Feasible] = None) -> None:
        self.space = space
        self.seed = seed
        self.settings = settings or Settings()
        self.replay = Replay()
        self._gate = Gate(space, feasible)
        first = np.random.default_rng([seed, 2])
        self.agents = Agents(
            space, self.settings.policy, self.settings.actor_lr,
            self.settings.tau, first)
        self._critic = self._build_critic(first)
        self.warmup = self.settings.warmup
        if self.warmup is None:
            self.warmup = min(max(len(space), 6), 20)

    def observe(self, action: Sequence[int],
                reward: Optional[float]) -> None:
        """Learn from a finished trial.

        Args:
            action (Sequence[int]): The candidate as ``space.encode`` gives
                it, whoever proposed it.
            reward (float, optional): Its reward, to be maximised; None if
                the trial failed.
        """
        rng = np.random.default_rng([self.seed, 0, len(self.replay)])
        self.replay.append(action, reward)
        if self._critic is None:
            self._reinforce()
        elif len(self.replay) >= self.warmup:
            self._critic.update(self.replay, rng)
            for _ in range(self.settings.updates):
                self._improve(rng)

    def propose(self, pending: Sequence[Sequence[int]] = (),
                key: Optional[int] = None) -> Proposal:
        """Choose what to evaluate next.

        Args:
            pending (Sequence[Sequence[int]]): Encoded candidates that are
                under evaluation. They are not proposed again, and the kernel
                critic believes that they end as it expects.
            key (int, optional): Tells proposals of the same state apart.
                Defaults to None, the number of trials finished and pending.

        Returns:
            Proposal: The candidate. It is new and feasible, unless no new
            one was found.

        Raises:
            NoCandidateError: If none is feasible.
        """
        waiting = [tuple(action) for action in pending]
        if key is None:
            key = len(self.replay) + len(waiting)
        rng = np.random.default_rng([self.seed, 1, key])
        taken = self.replay.seen.union(waiting)
        learnt = len(self.replay) >= max(self.warmup, 1)
        action = None
        if len(self.replay) + len(waiting) < self.warmup:
            action = balanced(self.space, self._gate,
                              self.replay.actions + waiting, rng)
        elif self.settings.ranked and learnt:
            action = self._best(self._critic.with_pending(waiting), taken,
                                rng)
        if action is None:
            draws = self.agents.canonical(self.agents.sample(TRIES, rng))
            action = nearby(self.space, self._gate, taken, draws.numpy(),
                            rng)
        return Proposal(action, self._credit(action, rng) if learnt else {})

    def _build_critic(self, rng: np.random.Generator) -> Optional[Critic]:
        chosen = self.settings
        if chosen.critic == 'kernel':
            return KernelCritic(self.space, chosen.critic_steps)
        if chosen.critic == 'network':
            return NetworkCritic(
                self.space, rng, chosen.members, chosen.hidden,
                chosen.critic_lr, chosen.critic_steps, BATCH, chosen.recent)
        return None

    def _reinforce(self) -> None:
        """One step of REINFORCE on the newest trial, as MA2ML-Lite."""
        reward = self.replay.standardised()[-1]
        chosen = self.agents.log_ratios(
            self.replay.rows()[-1:])[0]
        self.agents.step(-reward * chosen.sum())

    def _improve(self, rng: np.random.Generator) -> None:
        """One step of all agents on freshly drawn actions."""
        chosen = self.settings
        actions = self.agents.sample(chosen.actions, rng)
        q, others = counterfactual_values(
            self._critic.value, self.agents, actions, chosen.alternatives,
            rng)
        allowed = torch.tensor([
            self._gate.allows(tuple(action))
            for action in self.agents.canonical(actions).tolist()])
        q = q.where(allowed, q.clamp(max=FLOOR))
        baseline = others.mean(2) if chosen.credit else q.mean()
        log_prob, ratio, divergence = self.agents.log_ratios(actions)
        advantage = regularised_advantage(
            q[:, None] - baseline, ratio, divergence, chosen.omega)
        self.agents.step(-(log_prob * advantage).mean(0).sum())

    def _best(self, critic: Critic, taken: set[Action],
              rng: np.random.Generator) -> Optional[Action]:
        """The candidate that the critic scores highest, then climb."""
        pool = list(dict.fromkeys(
            map(tuple, self._pool(critic, rng).tolist())))
        order = critic.score(torch.tensor(pool)).argsort(
            descending=True, stable=True)
        found = self._gate.first((pool[i] for i in order.tolist()), taken)
        while found is not None:
            rows = np.concatenate([
                [found], one_changed(self.space, found, rng)])
            scores = critic.score(torch.from_numpy(rows))
            better = (scores > scores[0]).nonzero()[:, 0]
            order = scores[better].argsort(descending=True, stable=True)
            higher = self._gate.first(
                map(tuple, rows[better[order].numpy()].tolist()), taken)
            if higher is None:
                return found
            found = higher
        return None

    def _pool(self, critic: Critic, rng: np.random.Generator) -> np.ndarray:
        tried = self.replay.rows()
        order = critic.value(tried).argsort(descending=True, stable=True)
        best = tried[order[:BEST]]
        joint = self.agents.canonical(self.agents.sample(JOINT, rng))
        changed = np.concatenate([
            one_changed(self.space, tuple(action), rng)
            for action in best.tolist()])
        if len(changed) > CHANGES:
            changed = rng.permutation(changed)[:CHANGES]
        return np.concatenate([
            joint.numpy(), self._moves(critic, best, rng), changed,
            uniform(self.space, UNIFORM, rng)])

    def _moves(self, critic: Critic, best: torch.Tensor,
               rng: np.random.Generator) -> np.ndarray:
        """Moves of one agent each, shared out by what depends on it."""
        best = best.clamp(min=0)
        _, others = counterfactual_values(
            critic.value, self.agents, best, self.settings.alternatives, rng)
        # double precision: single may sum up to more than 1 as shares
        weights = others.double().std(
            2, correction=0).mean(0).numpy() + 1e-9
        shares = rng.multinomial(MOVES, weights / weights.sum())
        moved = []
        for name, share in zip(self.agents.names, shares):
            rows = best[torch.from_numpy(
                rng.integers(0, len(best), int(share)))]
            rows[:, self.space.slices[name]] = self.agents.sample_agent(
                name, int(share), rng)
            moved.append(rows)
        return self.agents.canonical(torch.cat(moved)).numpy()

    def _credit(self, action: Action,
                rng: np.random.Generator) -> dict[str, float]:
        if self._critic is None:
            return {}
        joint = torch.tensor([action]).clamp(min=0)
        credit = counterfactual_credit(
            self._critic.value, self.agents, joint, 4 * JOINT, rng)[1][0]
        return dict(zip(self.agents.names, credit.tolist()))
