"""Decisions that are plain keys of a config."""
from __future__ import annotations

from collections.abc import Mapping, MutableMapping, Sequence
from copy import deepcopy
from typing import Any

from mmengine.config import ConfigDict

from ...registry import TASK_UTILS
from ..decision import Decision


def find_parent(cfg: Any, key: str) -> tuple[Any, Any]:
    """The node of a config that holds the last part of a key.

    Args:
        cfg (Config): Anything with nested mappings and lists.
        key (str): Parts joined by dots, numbers for places in lists.

    Returns:
        tuple: The node, and the last part (an int in a list).

    Raises:
        ValueError: If a part on the way is missing.
    """
    node, parts = cfg, key.split('.')
    for place, part in enumerate(parts):
        index: Any = part
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                raise ValueError(
                    f'{key}: {part!r} is no place in the list '
                    f'{".".join(parts[:place])} of {len(node)} entries')
            index = int(part)
        elif not hasattr(node, 'keys'):
            raise ValueError(
                f'{key}: {".".join(parts[:place])} is {node!r}; expected a '
                'dict or a list')
        if place == len(parts) - 1:
            return node, index
        if not isinstance(index, int) and node.get(index) is None:
            raise ValueError(
                f'{key}: the base config has no '
                f'{".".join(parts[:place + 1])} (there: '
                f'{", ".join(map(str, node.keys()))})')
        node = node[index]
    raise AssertionError('unreachable')


def set_key(cfg: Any, key: str, value: Any) -> None:
    """Set one key of a config.

    The last part may be new where it is an argument of something built (a
    dict with a ``type``): its default may be what the base config uses.

    Args:
        cfg (Config): Changed in place.
        key (str): As in :func:`find_parent`.
        value (Any): Copied.

    Raises:
        ValueError: If the key leads nowhere.
    """
    node, last = find_parent(cfg, key)
    if not isinstance(last, int) and last not in node and \
            'type' not in node:
        raise ValueError(f'{key}: the base config has no such key (there: '
                         f'{", ".join(map(str, node.keys()))})')
    # dicts within lists too become what readers of the config expect
    node[last] = ConfigDict(value=deepcopy(value))['value']


@TASK_UTILS.register_module()
class KeySpace:
    """Decisions that each set one key, or several, of the base config.

    This is how any setting of any config is searched. Ours.

    Args:
        decisions (Sequence[Mapping]): For each decision the arguments of
            :class:`Decision` (``name``, ``choices``, and perhaps
            ``ordinal`` and ``condition``) and:

            - ``key`` (str | list[str]): where the value goes, such as
              'optim_wrapper.optimizer.lr' or 'param_scheduler.1.eta_min';
            - ``values`` (dict, optional): what stands for a choice that is
              a label, for values that are not scalars, such as
              ``dict(small=[1, 1, 2, 1], large=[2, 2, 6, 2])``.

    Raises:
        ValueError: If a decision has no key or a label no value.
    """

    def __init__(self, decisions: Sequence[Mapping[str, Any]]) -> None:
        self._decisions: list[Decision] = []
        self._keys: dict[str, list[str]] = {}
        self._values: dict[str, Mapping] = {}
        for one in decisions:
            arguments = dict(one)
            key = arguments.pop('key', None)
            values = arguments.pop('values', None)
            try:
                decision = Decision(**arguments)
            except TypeError as error:
                raise ValueError(
                    f'decision {dict(one)}: expected the keys name, choices '
                    'and key, and perhaps ordinal, condition, values '
                    f'({error})') from error
            if not key:
                raise ValueError(f'decision {decision.name!r} has no key; '
                                 'expected the place in the config that it '
                                 'sets, such as optim_wrapper.optimizer.lr')
            missing = [] if values is None else [
                c for c in decision.choices if c not in values]
            if missing:
                raise ValueError(f'decision {decision.name!r}: values has no '
                                 f'entry for the choices {missing}')
            self._decisions.append(decision)
            self._keys[decision.name] = [key] if isinstance(
                key, str) else list(key)
            self._values[decision.name] = values

    def decisions(self) -> list[Decision]:
        """The decisions as given."""
        return list(self._decisions)

    def apply(self, cfg: MutableMapping, values: Mapping[str, Any]) -> None:
        """Write a candidate into a config.

        Args:
            cfg (Config): A copy of the base config; changed in place.
            values (Mapping[str, Any]): This part's decisions by short name.

        Raises:
            ValueError: If the config has no place for a key.
        """
        for name, value in values.items():
            table = self._values[name]
            for key in self._keys[name]:
                set_key(cfg, key, value if table is None else table[value])
