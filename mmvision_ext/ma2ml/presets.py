"""Settings of the learner by name.

The paper states none of them. ``plain`` is the published form as far as it
could be reconstructed, with numbers of ours where the foundations have none;
``lite``, ``no-credit`` and ``no-replay`` are the paper's simpler variant and
two ablations, in our construction. ``ma2ml``, the default, and ``network``
are our own developments of it.
"""
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Optional, Union


@dataclass(frozen=True)
class Settings:
    """What can be set of a learner.

    Args:
        critic (str, optional): ``'kernel'``, a Gaussian process, or
            ``'network'``, an ensemble of networks. None for policies trained
            by REINFORCE on the reward itself. Defaults to ``'kernel'``.
        ranked (bool): Whether the critic chooses among many candidates. If
            not, what the joint policy draws is proposed. Defaults to True.
        warmup (int, optional): Trials that fill the space before the agents
            propose. Defaults to None: as many as decisions, at least 6, at
            most 20.
        policy (str | Mapping[str, str]): ``'factored'`` or ``'lstm'``, for
            all agents or one for each. Defaults to ``'factored'``.
        actor_lr (float): Learning rate of Adam for the policies. Defaults to
            0.02.
        tau (float): How fast target policies follow. Defaults to 0.005.
        omega (float): Strength of the divergence regularisation, for
            standardised rewards. Defaults to 0.3.
        updates (int): Steps of the policies a trial. Defaults to 4.
        actions (int): Joint actions drawn a step. Defaults to 16.
        alternatives (int): Counterfactual actions an agent and joint action.
            Defaults to 8.
        credit (bool): Whether agents are credited by counterfactuals. If
            not, the mean value of the drawn actions is every agent's
            baseline. Defaults to True.
        critic_steps (int): Steps of the critic a trial. Defaults to 8.
        members (int): Networks of the ensemble. Defaults to 1.
        hidden (int): Width of the networks. Defaults to 64.
        critic_lr (float): Learning rate of the networks. Defaults to 3e-3.
        recent (int, optional): Train the networks on this many newest trials
            only. Defaults to None, all.
    """

    critic: Optional[str] = 'kernel'
    ranked: bool = True
    warmup: Optional[int] = None
    policy: Union[str, Mapping[str, str]] = 'factored'
    actor_lr: float = 0.02
    tau: float = 0.005
    omega: float = 0.3
    updates: int = 4
    actions: int = 16
    alternatives: int = 8
    credit: bool = True
    critic_steps: int = 8
    members: int = 1
    hidden: int = 64
    critic_lr: float = 3e-3
    recent: Optional[int] = None

    def __post_init__(self) -> None:
        if self.critic not in ('kernel', 'network', None):
            raise ValueError(f'critic is {self.critic!r}; expected '
                             "'kernel', 'network' or None")
        if self.ranked and self.critic is None:
            raise ValueError('ranked proposals need a critic; set '
                             "ranked=False or critic='kernel'")
        if not 0 <= self.tau <= 1:
            raise ValueError(f'tau is {self.tau}; expected 0 to 1')


_PLAIN = Settings(critic='network', ranked=False, warmup=20, critic_steps=4)

PRESETS: dict[str, Settings] = {
    'ma2ml': Settings(),
    'network': Settings(critic='network', warmup=20, critic_steps=24,
                        members=5, critic_lr=5e-3),
    'plain': _PLAIN,
    'lite': Settings(critic=None, ranked=False, warmup=0, actor_lr=0.05),
    'no-credit': replace(_PLAIN, credit=False),
    'no-replay': replace(_PLAIN, recent=8),
}


def settings(preset: str = 'ma2ml', **changes: object) -> Settings:
    """A preset, changed where asked for.

    Args:
        preset (str): Name of the preset. Defaults to ``'ma2ml'``.
        **changes: Fields of :class:`Settings`.

    Returns:
        Settings: The settings.

    Raises:
        ValueError: If there is no such preset or field.
    """
    if preset not in PRESETS:
        raise ValueError(f'there is no preset {preset!r}; expected one of '
                         f'{", ".join(PRESETS)}')
    unknown = set(changes) - set(Settings.__dataclass_fields__)
    if unknown:
        raise ValueError(
            f'there is no setting {sorted(unknown)[0]!r}; expected one of '
            f'{", ".join(Settings.__dataclass_fields__)}')
    return replace(PRESETS[preset], **changes)
