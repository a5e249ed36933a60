"""``torture.py resume``: kill trainings, resume them, compare the weights."""

import argparse
import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..compat.checkpoint import safe_load
from ..compat.recovery import newest_checkpoint
from ..engine.errors import LaunchError
from .children import run_child
from .moments import KINDS, Moment
from .resume_cases import CASES, INTERVAL, STEPS, ResumeCase

_CHECKED = ('state_dict', 'ema_state_dict', 'optimizer', 'param_schedulers')


@dataclass
class Outcome:
    """What the kills did.

    Args:
        kills (Counter): How many of each kind.
        runs (int): Trainings that came to their end, killed on the way.
        unequal (list[str]): What differed from the uninterrupted training.
        lost (int): Most steps that a kill cost.
    """
    kills: Counter = field(default_factory=Counter)
    runs: int = 0
    unequal: list[str] = field(default_factory=list)
    lost: int = 0

    @property
    def kept(self) -> bool:
        """Whether the promise was kept."""
        return not self.unequal and self.lost <= INTERVAL

    def __str__(self) -> str:
        kinds = ', '.join(f'{n} {kind}' for kind, n in
                          sorted(self.kills.items()))
        verdict = 'every bit equal' if not self.unequal else (
            f'DIFFERENT: {"; ".join(self.unequal[:3])}')
        return (f'{self.kills.total()} kills ({kinds}) in {self.runs} '
                f'trainings; {verdict}; at most {self.lost} steps lost, '
                f'interval {INTERVAL}')


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subject.

    Args:
        parser (argparse.ArgumentParser): Its parser.
    """
    parser.add_argument('--task', choices=CASES, nargs='+',
                        default=list(CASES), help='default: all')
    parser.add_argument('--kills', type=int, default=20, metavar='N',
                        help='of each task (default 20)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--keep', type=Path, metavar='DIR',
                        help='work here, and leave everything there')


def run(args: argparse.Namespace) -> int:
    """Kill and compare.

    Args:
        args (argparse.Namespace): Of :func:`add_arguments`.

    Returns:
        int: 0 if every training equals the uninterrupted one and no kill
        cost more than one interval, 1 otherwise.

    Raises:
        LaunchError: If a training fails by itself.
    """
    if args.kills < 1:
        raise LaunchError(f'--kills {args.kills}: expected 1 or more')
    _import_packages()
    kept = True
    for name in args.task:
        place = args.keep / name if args.keep else Path(tempfile.mkdtemp())
        place.mkdir(parents=True, exist_ok=True)
        try:
            outcome = torture(CASES[name], place, args.kills, args.seed)
        finally:
            if not args.keep:
                shutil.rmtree(place)
        kept &= outcome.kept
        print(f'{name}: {outcome}', flush=True)
    return 0 if kept else 1


def torture(case: ResumeCase, folder: Path, kills: int,
            seed: int) -> Outcome:
    """Kill one training again and again.

    Args:
        case (ResumeCase): The training.
        folder (Path): To work in.
        kills (int): How many times.
        seed (int): Of training and moments.

    Returns:
        Outcome: What came out.

    Raises:
        LaunchError: If the training fails by itself.
    """
    rng = np.random.default_rng(seed)
    config = case.write(folder, seed)
    whole, killed = folder / 'whole', folder / 'killed'
    _train(case, config, whole, None)
    wanted = _final(whole / case.last)
    outcome, epoch = Outcome(), _Clock(case)
    while outcome.kills.total() < kills or killed.exists():
        moment = _draw(case, rng) if outcome.kills.total() < kills else None
        if _train(case, config, killed, moment):
            outcome.kills[moment.kind] += 1
            outcome.lost = max(outcome.lost, epoch.lost(killed))
            continue
        outcome.runs += 1
        outcome.unequal += find_differences(
            wanted, _final(killed / case.last))
        shutil.rmtree(killed)
    return outcome


class _Clock:
    """How many steps a killed training had done, and can go on from."""

    def __init__(self, case: ResumeCase) -> None:
        self._scale = STEPS / int(case.last.rpartition('_')[2][:-4])

    def lost(self, work_dir: Path) -> int:
        done = int(_progress(work_dir).read_text().split()[-1])
        found = newest_checkpoint(work_dir).path
        kept = 0 if found is None else int(
            Path(found).stem.rpartition('_')[2]) * self._scale
        return max(0, done - int(kept))


def _progress(work_dir: Path) -> Path:
    return work_dir.with_suffix('.steps')


def _draw(case: ResumeCase, rng: np.random.Generator) -> Moment:
    kinds = [kind for kind in KINDS
             if kind != 'validation' or case.validated]
    kind = str(rng.choice(kinds))
    most = {'step': STEPS // 2, 'load': STEPS // 2, 'validation': 6}
    return Moment(kind, int(rng.integers(1, most.get(kind, 3) + 1)))


def _train(case: ResumeCase, config: Path, work_dir: Path,
           moment: Moment | None) -> bool:
    """Train until the moment or the end; returns whether it was killed."""
    work_dir.mkdir(exist_ok=True)
    log = work_dir.with_suffix('.log')

    def body() -> int:
        from ..engine.launch import train
        _note_steps(_progress(work_dir))
        if moment is not None:
            moment.arm()
        return train([
            str(config), '--work-dir', str(work_dir), '--data-root',
            str(config.parent / 'toy' / case.layout), '--resume', 'auto'
        ])

    status = run_child(body, log)
    if status > 0:
        tail = log.read_text(errors='replace').splitlines()[-1:]
        raise LaunchError(f'{config}: the training failed with status '
                          f'{status}: {" ".join(tail)}; see --keep')
    return status < 0


def _note_steps(path: Path) -> None:
    """Write down each step that is done."""
    from mmengine.runner import IterBasedTrainLoop
    from mmengine.runner.loops import EpochBasedTrainLoop
    for loop in (IterBasedTrainLoop, EpochBasedTrainLoop):
        stock = loop.run_iter

        def run_iter(self: Any, *args: Any, stock: Any = stock) -> None:
            stock(self, *args)
            with open(path, 'a') as file:
                file.write(f'{self.iter}\n')

        loop.run_iter = run_iter
    path.touch()


def _final(path: Path) -> dict[str, Any]:
    content = safe_load(path)
    best = content['message_hub']['runtime_info'].get('best_score')
    return {**{key: content.get(key) for key in _CHECKED},
            'best_score': best}


def find_differences(wanted: Any, found: Any, name: str = '') -> list[str]:
    """Where two nests of containers, tensors and numbers differ.

    Args:
        wanted (Any): One.
        found (Any): The other.
        name (str): What they are called. Defaults to nothing.

    Returns:
        list[str]: A line for each difference; empty if all bits are equal.
    """
    if isinstance(wanted, Mapping) and isinstance(found, Mapping):
        lines = [f'{name}: {sorted(map(str, wanted.keys() ^ found.keys()))}'
                 ] if wanted.keys() != found.keys() else []
        for key in wanted.keys() & found.keys():
            lines += find_differences(wanted[key], found[key],
                                      f'{name}.{key}')
        return lines
    if isinstance(wanted, (list, tuple)) and isinstance(found, (list, tuple)):
        if len(wanted) != len(found):
            return [f'{name}: {len(wanted)} and {len(found)} entries']
        return [line for index, pair in enumerate(zip(wanted, found))
                for line in find_differences(*pair, f'{name}.{index}')]
    if isinstance(wanted, torch.Tensor) and isinstance(found, torch.Tensor):
        if torch.equal(wanted, found):
            return []
        if wanted.shape != found.shape:
            return [f'{name}: {wanted.shape} and {found.shape}']
        gap = (wanted.double() - found.double()).abs().max().item()
        return [f'{name}: up to {gap:.3g} apart']
    return [] if wanted == found else [f'{name}: {wanted} and {found}']


def _import_packages() -> None:
    """Before the children, that each needs not do it again."""
    import mmdet.apis  # noqa: F401
    import mmpretrain.apis  # noqa: F401
    import mmseg.apis  # noqa: F401
