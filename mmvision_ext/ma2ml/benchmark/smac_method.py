"""SMAC3 as a method; needs the package smac."""
import tempfile

import numpy as np
from ConfigSpace import (
    CategoricalHyperparameter,
    Configuration,
    ConfigurationSpace,
    OrdinalHyperparameter,
)
from smac import HyperparameterOptimizationFacade, Scenario
from smac.runhistory import TrialInfo, TrialValue

from ..proposal import Action
from .methods import Unrepeated
from .tables import Table


class SMAC(Unrepeated):
    """SMAC3 with its random forest, settings for hyper-parameters.

    Args:
        table (Table): The table.
        seed (int): Seed.
        warmup (int): Trials of the shared warm-up; without one SMAC draws
            its own initial design.
    """

    def __init__(self, table: Table, seed: int, warmup: int) -> None:
        super().__init__(table, seed, warmup)
        space = ConfigurationSpace(seed=seed)
        for name, one in zip(self.space.names, self.space.decisions):
            kind = OrdinalHyperparameter if one.ordinal \
                else CategoricalHyperparameter
            # indices, as strings: all kinds of choices look alike
            space.add(kind(name, list(map(str, range(len(one.choices))))))
        self._configs = space
        self._folder = tempfile.TemporaryDirectory()
        scenario = Scenario(
            space, deterministic=True, n_trials=10**6, seed=seed,
            output_directory=self._folder.name)
        design = HyperparameterOptimizationFacade.get_initial_design(
            scenario, n_configs=0 if warmup else 10)
        self._smac = HyperparameterOptimizationFacade(
            scenario, lambda config, seed: 0., initial_design=design,
            logging_level=False, overwrite=True)

    def ask(self) -> Action:
        """See :class:`Method`."""
        config = self._smac.ask().config
        proposal = [int(config[name]) for name in self.space.names]
        return self.new(np.array([proposal]))

    def tell(self, action: Action, reward: float) -> None:
        """See :class:`Method`."""
        super().tell(action, reward)
        config = Configuration(self._configs, {
            name: str(index)
            for name, index in zip(self.space.names, action)
        })
        self._smac.tell(TrialInfo(config, seed=0), TrialValue(-reward),
                        save=False)
