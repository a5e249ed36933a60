"""The config of a search: what is searched, how, and within which limits.

A search is a Python config file with one dict, ``search``::

    search = dict(
        base_config='../vheat/vheat-nano_cifar10.py',
        agents=dict(
            aug=[dict(type='mmvision_ext.RandAugmentSpace')],
            hpo=[dict(type='mmvision_ext.KeySpace', decisions=[...])]),
        metric='accuracy/top1',
        flops_limit=600e6,
        trials=100)

:class:`SearchSpec` lists all its keys. A decision that changes no config,
for evaluators that need none, may stand among an agent's parts as a plain
``dict(name=..., choices=[...])``.
"""
import copy
import difflib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Optional, Union

from mmengine.config import Config

from ..engine.checks import register_scope
from ..engine.data_root import replace_data_root
from ..engine.options import merge_options
from ..registry import TASK_UTILS
from .decision import Decision
from .errors import SearchError
from .failures import read_retries
from .space import SearchSpace

Values = Mapping[str, Any]


@dataclass
class SearchSpec:
    """A search, read and checked.

    Args:
        agents (dict[str, list[dict]]): For each agent its parts: spaces
            (registry ``TASK_UTILS``) or plain decisions.
        base_config (str, optional): The config that candidates change: a
            path relative to the search's file, or ``'mmpretrain::...'``.
            Defaults to None, for evaluators that need none.
        base_options (dict): Dotted keys that are set in it first.
        metric (str): Name of the metric on held-out data that is the
            reward. Defaults to 'reward'.
        direction (str): 'maximize' or 'minimize'. Defaults to 'maximize'.
        flops_limit (float, optional): Most multiply-adds of one image.
            Defaults to None.
        flops_input (Sequence[int], optional): Channels, height and width of
            that image. Defaults to None: the image of the validation
            pipeline, which the candidate may choose.
        evaluator (dict): ``type`` 'training', 'proxy', 'tabular' or a class
            in ``TASK_UTILS``, and its arguments. Defaults to training.
        sampler (dict): ``name`` and its arguments. Defaults to 'ma2ml'.
        pruner (dict): ``type`` 'none', 'median', 'asha' or 'hyperband', and
            arguments of Optuna's class. Defaults to 'none'.
        trials (int): How many in all, failed ones too. Defaults to 100.
        timeout (float, optional): Seconds after which no trial starts and
            those that run are put off. Defaults to None.
        trial_timeout (float, optional): Seconds of one attempt at a trial.
        trial_memory (float, optional): GiB of main memory of one.
        retries (dict[str, int]): How often a trial is tried again after
            each class of failure; see :mod:`.failures`.
        workers (int): Trials at once. Defaults to 1.
        executor (dict): ``type`` 'local', 'ray' or 'slurm', and arguments.
        seed (int): Defaults to 0.
        deterministic (bool): Tell results in the order of their trials, so
            that several workers find what one seed always finds. One
            worker does so anyway. Defaults to False.
        retrain (dict, optional): ``top`` candidates that are trained in
            full at the end, from each of the ``seeds`` (a number). Defaults
            to None, not done.
        lease (float): Seconds of silence after which a process is taken
            for dead by those on other machines. Defaults to 60.
        path (str): The file it was read from.
    """

    agents: dict[str, list[dict]]
    base_config: Optional[str] = None
    base_options: dict[str, Any] = field(default_factory=dict)
    metric: str = 'reward'
    direction: str = 'maximize'
    flops_limit: Optional[float] = None
    flops_input: Optional[tuple[int, ...]] = None
    evaluator: dict[str, Any] = field(
        default_factory=lambda: dict(type='training'))
    sampler: dict[str, Any] = field(
        default_factory=lambda: dict(name='ma2ml'))
    pruner: dict[str, Any] = field(default_factory=lambda: dict(type='none'))
    trials: int = 100
    timeout: Optional[float] = None
    trial_timeout: Optional[float] = None
    trial_memory: Optional[float] = None
    retries: dict[str, int] = field(default_factory=dict)
    workers: int = 1
    executor: dict[str, Any] = field(
        default_factory=lambda: dict(type='local'))
    seed: int = 0
    deterministic: bool = False
    retrain: Optional[dict[str, int]] = None
    lease: float = 60.
    path: str = ''

    def __post_init__(self) -> None:
        self.base: Optional[Config] = None
        self.parts: list[tuple[str, Any, tuple[str, ...]]] = []
        decisions: dict[str, list[Decision]] = {}
        for agent, parts in self.agents.items():
            decisions[agent] = []
            for part in parts:
                own = self._add_part(agent, part)
                decisions[agent] += own
        self.space = SearchSpace(decisions)
        self._check()

    def _add_part(self, agent: str, part: Any) -> list[Decision]:
        if isinstance(part, Mapping) and 'type' not in part:
            return [Decision(**part)]
        if isinstance(part, Mapping):
            part = TASK_UTILS.build(copy.deepcopy(dict(part)))
        own = part.decisions()
        self.parts.append((agent, part, tuple(one.name for one in own)))
        return own

    def _check(self) -> None:
        if self.direction not in ('maximize', 'minimize'):
            raise ValueError(f'direction is {self.direction!r}; expected '
                             "'maximize' or 'minimize'")
        for name in ('trials', 'workers'):
            if not isinstance(getattr(self, name), int) or \
                    getattr(self, name) < 1:
                raise ValueError(f'{name} is {getattr(self, name)!r}; '
                                 'expected a whole number from 1')
        for name in ('flops_limit', 'timeout', 'trial_timeout',
                     'trial_memory'):
            value = getattr(self, name)
            if value is not None and not value > 0:
                raise ValueError(f'{name} is {value!r}; expected a positive '
                                 'number or None')
        self.retries = read_retries(self.retries)

    def load_base(self, data_root: Optional[str] = None,
                  options: Optional[Mapping[str, Any]] = None) -> None:
        """Read the base config.

        Args:
            data_root (str, optional): Replaces that of all its datasets.
            options (Mapping, optional): Dotted keys to set besides
                ``base_options``.

        Raises:
            LaunchError: If it cannot be read or has no such keys.
        """
        if self.base_config is None:
            if data_root or options:
                raise SearchError('the search has no base_config that '
                                  '--data-root or --cfg-options could change')
            return
        self.base = _read_base(self.base_config, self.path)
        merge_options(self.base, dict(self.base_options))
        if data_root:
            replace_data_root(self.base, data_root)
        merge_options(self.base, dict(options or {}))
        register_scope(self.base.get('default_scope'))

    def values_of(self, agent: str, names: tuple[str, ...],
                  values: Values) -> dict[str, Any]:
        """What a part decides on in a candidate.

        Args:
            agent (str): The part's agent.
            names (tuple[str, ...]): Its decisions.
            values (Mapping): The candidate.

        Returns:
            dict[str, Any]: Short name to value, of those that exist.
        """
        return {name: values[f'{agent}.{name}'] for name in names
                if f'{agent}.{name}' in values}

    def identity(self) -> dict[str, Any]:
        """What may not change between two runs of one study.

        Returns:
            dict[str, Any]: Plain data.
        """
        return dict(
            space=self.space.to_config(), metric=self.metric,
            direction=self.direction, evaluator=_plain(self.evaluator),
            base=None if self.base is None else _plain(self.base.to_dict()))


def candidate_config(spec: SearchSpec, values: Values) -> Config:
    """The full config of a candidate.

    Args:
        spec (SearchSpec): The search, with its base config read.
        values (Mapping[str, Any]): Full names to choices.

    Returns:
        Config: As ``tools/train.py`` takes it; the base is left as it is.

    Raises:
        ValueError: If the base config lacks what a decision changes.
    """
    if spec.base is None:
        raise ValueError('the search has no base_config')
    cfg = copy.deepcopy(spec.base)
    for agent, part, names in spec.parts:
        part.apply(cfg, spec.values_of(agent, names, values))
    return cfg


def build_search(settings: Mapping[str, Any], path: str = '') -> SearchSpec:
    """Read the dict ``search`` of a config.

    Args:
        settings (Mapping): The dict.
        path (str): The file it stands in. Defaults to ''.

    Returns:
        SearchSpec: The search; its base config is not read yet.

    Raises:
        SearchError: If a key is unknown or a value cannot be used.
    """
    known = [one.name for one in fields(SearchSpec) if one.name != 'path']
    for key in settings:
        if key not in known:
            close = difflib.get_close_matches(key, known, n=1)
            hint = f'; did you mean {close[0]!r}?' if close else \
                f' (it has {", ".join(known)})'
            raise SearchError(f'{path}: search has no key {key!r}{hint}')
    if not settings.get('agents'):
        raise SearchError(f'{path}: search.agents is missing: for each agent '
                          'a list of spaces')
    try:
        return SearchSpec(path=path, **_thaw(settings))
    except (ValueError, TypeError, KeyError) as error:
        text = str(error.args[0] if error.args else error)
        raise SearchError(f'{path}: {text.strip()}') from error


def read_search(path: Union[str, Path],
                options: Optional[Mapping[str, Any]] = None) -> SearchSpec:
    """Read the config file of a search.

    Args:
        path (str | Path): The file.
        options (Mapping, optional): Keys of ``search`` to set, dotted; a
            dict takes the place of the one that is there.

    Returns:
        SearchSpec: The search; its base config is not read yet.

    Raises:
        LaunchError: If there is no such file, it cannot be read, or holds
            no search.
    """
    from ..engine.launch import read_config
    cfg = read_config(str(path))
    if not isinstance(cfg.get('search'), Mapping):
        raise SearchError(f'{path} holds no dict search: it is no config of '
                          'a search (to train with it: tools/train.py)')
    options = dict(options or {})
    for key in [k for k, one in options.items() if isinstance(one, Mapping)]:
        cfg.search[key] = options.pop(key)
    cfg.merge_from_dict({f'search.{k}': v for k, v in options.items()})
    return build_search(cfg.search, str(path))


def _read_base(name: str, path: str) -> Config:
    from ..engine.launch import read_config
    if '::' in name:
        from mmengine.hub import get_config
        try:
            return get_config(name)
        except Exception as error:
            # The library may be missing, or its metafile.
            raise SearchError(
                f'base_config {name} cannot be found: {error}; give the path '
                'of a file') from error
    place = Path(name)
    if not place.is_absolute():
        place = Path(path).resolve().parent / place
    return read_config(str(place))


def _thaw(node: Any) -> Any:
    """Plain dicts and lists in place of those of a config."""
    if isinstance(node, Mapping):
        return {key: _thaw(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return type(node)(_thaw(value) for value in node)
    return node


def _plain(node: Any) -> Any:
    """The same as JSON would give it back."""
    if isinstance(node, Mapping):
        return {str(key): _plain(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_plain(value) for value in node]
    if node is None or isinstance(node, (bool, int, float, str)):
        return node
    return getattr(node, '__qualname__', str(node))
