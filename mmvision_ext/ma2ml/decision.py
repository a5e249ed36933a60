"""Decisions of agents: what there is to choose, and when it exists."""
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Optional, Union

import numpy as np

Choice = Union[None, bool, int, float, str]

_SCALARS = (bool, int, float, str)


def is_name(name: object) -> bool:
    """Whether an agent or a decision can be called so.

    Args:
        name (object): The name.

    Returns:
        bool: True for letters, digits, ``_`` and ``-``, none of ``-`` first.
    """
    return isinstance(name, str) and bool(
        re.fullmatch(r'[A-Za-z0-9_][A-Za-z0-9_-]*', name))


@dataclass(frozen=True)
class Condition:
    """When a decision exists.

    Args:
        parent (str): The decision that is looked at: its short name within
            the same agent, or its full name ``'<agent>.<name>'``. It has to
            be declared before the decision that depends on it.
        values (Sequence): The choices of the parent for which the decision
            exists. It does not exist either where the parent does not.
    """

    parent: str
    values: tuple[Choice, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, 'values', tuple(self.values))


@dataclass(frozen=True)
class Decision:
    """One categorical decision of an agent.

    Args:
        name (str): Short name: letters, digits, ``_`` and ``-``.
        choices (Sequence): The values to choose from: None, bool, int, float
            or str, which is what every storage of Optuna keeps. Anything
            larger (a transform, a list of widths) is what a label stands
            for.
        ordinal (bool): Whether the choices stand in order, so that
            neighbours are expected to do alike. Defaults to False.
        condition (Condition | dict, optional): When the decision exists.
            Defaults to None, always.

    Raises:
        ValueError: If the name or the choices cannot be used; the message
            names the decision.
    """

    name: str
    choices: tuple[Choice, ...]
    ordinal: bool = False
    condition: Optional[Condition] = None

    def __post_init__(self) -> None:
        if not is_name(self.name):
            raise ValueError(
                f'decision {self.name!r}: a name consists of letters, '
                "digits, '_' and '-'")
        if isinstance(self.choices, str) or not isinstance(
                self.choices, Iterable):
            raise ValueError(f'decision {self.name!r}: choices is '
                             f'{self.choices!r}; expected a list')
        object.__setattr__(self, 'choices', tuple(self.choices))
        self._check_choices()
        if isinstance(self.condition, Mapping):
            object.__setattr__(
                self, 'condition', self._read_condition(self.condition))

    def _check_choices(self) -> None:
        if not self.choices:
            raise ValueError(f'decision {self.name!r} has no choices; '
                             'expected at least one')
        for place, choice in enumerate(self.choices):
            if choice is not None and type(choice) not in _SCALARS:
                raise ValueError(
                    f'decision {self.name!r}: choice {choice!r} is a '
                    f'{type(choice).__name__}; expected None, bool, int, '
                    'float or str (let a label stand for anything else)')
            if isinstance(choice, float) and not np.isfinite(choice):
                raise ValueError(f'decision {self.name!r}: choice {choice!r} '
                                 'is not a finite number')
            # == as Optuna compares: 1, 1.0 and True would be one choice
            if choice in self.choices[:place]:
                raise ValueError(f'decision {self.name!r}: choice {choice!r} '
                                 'is there twice (1, 1.0 and True are equal)')

    def _read_condition(self, condition: Mapping[str, Any]) -> Condition:
        if set(condition) != {'parent', 'values'}:
            raise ValueError(
                f'decision {self.name!r}: condition has the keys '
                f'{sorted(condition)}; expected parent and values')
        return Condition(**condition)
