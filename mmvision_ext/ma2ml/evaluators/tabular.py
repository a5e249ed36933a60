"""Judging from a table of all candidates."""
import json
from collections.abc import Mapping
from typing import Any, Optional

import numpy as np

from ..cost import Cost
from ..errors import SearchError
from ..spec import SearchSpec
from .base import Evaluator


class TabularEvaluator(Evaluator):
    """Looks candidates up, so that searching costs nothing.

    The table is an ``.npz`` file with an array ``names`` (the decisions, one
    an axis) and arrays of results with these axes in order, and possibly one
    more of repetitions, of which the seed of the trial draws one. Choices
    stand on an axis in the order of the decision, or, if the file has
    ``choices`` (JSON: a list for each name), where it says.

    Args:
        table (str): The file.
        value (str): Array with the results.
        flops (str, optional): Array with multiply-adds. Defaults to None.
        params (str, optional): Array with numbers of parameters.
        negative_log (bool): Take -log of the result, for losses. Defaults
            to False.

    Raises:
        ValueError: If the file has no such array.
    """

    inline = True

    def __init__(self, table: str, value: str, flops: Optional[str] = None,
                 params: Optional[str] = None,
                 negative_log: bool = False) -> None:
        with np.load(table, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        for name in ('names', value, flops, params):
            if name is not None and name not in arrays:
                raise ValueError(f'{table} has no array {name!r} (it has '
                                 f'{", ".join(sorted(arrays))})')
        self.names = [str(name) for name in arrays['names']]
        self.values = arrays[value]
        self.flops = None if flops is None else arrays[flops]
        self.params = None if params is None else arrays[params]
        self.choices = json.loads(str(arrays['choices'])) \
            if 'choices' in arrays else None
        self.negative_log = negative_log

    def check(self, spec: SearchSpec) -> None:
        """Every axis is a decision.

        Args:
            spec (SearchSpec): The search.

        Raises:
            SearchError: If one is not, or has another number of choices.
        """
        own = {name.partition('.')[2]: one for name, one in
               zip(spec.space.names, spec.space.decisions)}
        if sorted(own) != sorted(self.names):
            raise SearchError(f'the table knows the decisions '
                              f'{", ".join(self.names)}; the search has '
                              f'{", ".join(spec.space.names)}')
        for axis, name in enumerate(self.names):
            if len(own[name].choices) != self.values.shape[axis]:
                raise SearchError(
                    f'decision {name} has {len(own[name].choices)} choices, '
                    f'the table {self.values.shape[axis]}')

    def evaluate(self, spec: SearchSpec, values: Mapping[str, Any],
                 seed: int) -> dict[str, Any]:
        """Look a candidate up; see :class:`Evaluator`."""
        found = self.values[self._place(spec, values)]
        if found.ndim:
            found = np.random.default_rng(seed).choice(found)
        value = float(found)
        return dict(value=-float(np.log(value)) if self.negative_log
                    else value)

    def cost(self, spec: SearchSpec, values: Mapping[str, Any]
             ) -> Optional[Cost]:
        """As the table has it."""
        place = self._place(spec, values)
        return Cost(*(None if array is None else int(array[place])
                      for array in (self.flops, self.params)))

    def _place(self, spec: SearchSpec, values: Mapping[str, Any]
               ) -> tuple[int, ...]:
        place = {}
        for full, one in zip(spec.space.names, spec.space.decisions):
            name = full.partition('.')[2]
            choices = list(one.choices) if self.choices is None \
                else self.choices[name]
            place[name] = choices.index(values[full])
        return tuple(place[name] for name in self.names)
