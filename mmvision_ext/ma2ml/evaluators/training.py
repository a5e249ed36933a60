"""Judging by a full training."""
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Optional

from mmengine.config import Config

from ...engine.checks import check_data
from ...engine.options import merge_options
from ..errors import SearchError
from ..executors.base import Job
from ..spec import SearchSpec, candidate_config
from ..trial_files import TrialFolder
from .base import Evaluator

_SCRIPT = Path(__file__).resolve().parents[1] / 'run_trial.py'
_HOOK = 'mmvision_ext.MA2MLSearchHook'


class TrainingEvaluator(Evaluator):
    """Trains each candidate with its config, as MA2ML does.

    Args:
        options (dict, optional): Dotted keys to set in each candidate's
            config, after its decisions, for the trials alone: the best
            config that the search ends with is without them.
        processes (int): Processes of one trial (distributed training).
            Defaults to 1.
        gpus (int, optional): GPUs that a trial takes. Defaults to None: one
            a process where there are GPUs.
        checkpoints (bool): Keep checkpoints of the trials, which fills
            disks. Defaults to False.
    """

    def __init__(self, options: Optional[Mapping[str, Any]] = None,
                 processes: int = 1, gpus: Optional[int] = None,
                 checkpoints: bool = False) -> None:
        self.options = dict(options or {})
        self.processes = processes
        self.gpus = gpus
        self.checkpoints = checkpoints

    def check(self, spec: SearchSpec) -> None:
        """Base config, validation, data.

        Args:
            spec (SearchSpec): The search.

        Raises:
            LaunchError: If one is missing.
        """
        if spec.base is None:
            raise SearchError('search.base_config is missing: the config '
                              'that candidates are trained with')
        missing = [key for key in ('val_dataloader', 'val_cfg',
                                   'val_evaluator', 'train_cfg')
                   if spec.base.get(key) is None]
        if missing:
            raise SearchError(
                f'base_config {spec.base_config} has no '
                f'{", ".join(missing)}: the reward of a candidate is '
                f'{spec.metric} on held-out data')
        check_data(spec.base, ('train', 'val'))

    def prepare(self, cfg: Config) -> None:
        """Change the config of a trial before it is run.

        Args:
            cfg (Config): Changed in place.
        """
        merge_options(cfg, self.options)

    def config(self, spec: SearchSpec, values: Mapping[str, Any],
               seed: int) -> Config:
        """The config of a trial.

        Args:
            spec (SearchSpec): The search.
            values (Mapping): The candidate.
            seed (int): Seed of the trial.

        Returns:
            Config: The candidate's, with the hook that reports it.
        """
        cfg = candidate_config(spec, values)
        self.prepare(cfg)
        hooks = [one for one in cfg.get('custom_hooks') or []
                 if one.get('type') != _HOOK]
        cfg.custom_hooks = [*hooks, dict(type=_HOOK, metric=spec.metric)]
        cfg.randomness = {**(cfg.get('randomness') or {}), 'seed': seed}
        if not self.checkpoints:
            cfg.default_hooks = {**(cfg.get('default_hooks') or {}),
                                 'checkpoint': None}
        imports = cfg.get('custom_imports') or dict(imports=[])
        names = imports['imports']
        names = [names] if isinstance(names, str) else list(names)
        if 'mmvision_ext' not in names:
            cfg.custom_imports = {
                **imports, 'imports': ['mmvision_ext', *names]}
        return cfg

    def job(self, spec: SearchSpec, values: Mapping[str, Any], number: int,
            seed: int, folder: TrialFolder) -> Job:
        """A process that trains; see :class:`Evaluator`."""
        self.config(spec, values, seed).dump(str(folder.config))
        arguments = [str(_SCRIPT), str(folder.path)]
        command = [sys.executable, *arguments]
        if self.processes > 1:
            command = [sys.executable, '-m',
                       'mmvision_ext.engine.distributed',
                       str(self.processes), *arguments,
                       '--launcher', 'pytorch']
        memory = spec.trial_memory
        return Job(
            number=number, folder=str(folder.path), command=command,
            timeout=spec.trial_timeout,
            memory=None if memory is None else int(memory * 2**30),
            gpus=self._gpus())

    def _gpus(self) -> int:
        import torch
        if self.gpus is not None:
            return self.gpus
        return self.processes if torch.cuda.is_available() else 0
