"""Logic of ``tools/train.py`` and ``tools/test.py``."""
import argparse
import errno
import os
import os.path as osp
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.error import URLError

from .checks import (
    check_checkpoint,
    check_data,
    check_launcher,
    check_mmengine,
    check_weights,
    register_scope,
)
from .data_root import replace_data_root
from .determinism import set_randomness, warn_of_other_operations
from .errors import LaunchError
from .messages import catch_interrupt, is_local_main, report
from .options import merge_options, test_parser, train_parser

_TRAIN_KEYS = ('model', 'train_dataloader', 'train_cfg', 'optim_wrapper')
# A disk, a quota or a limit that has no room left.
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_TEST_KEYS = ('model', 'test_dataloader', 'test_cfg', 'test_evaluator')
# What torch says when a process that loads data has gone.
_LOST_WORKER = re.compile(
    r'DataLoader worker \(pid\(?s?\)? [^)]*\) (is killed by|exited)')
# What Python says of a constructor that got the words of a config.
_UNFIT_ARGUMENT = re.compile(
    r'__init__\(\) (got an unexpected keyword|missing \d+ required)')


def train(argv: Sequence[str] | None = None) -> int:
    """Train with a config.

    Args:
        argv (Sequence[str], optional): Command line, see
            ``tools/train.py --help``. Default: that of the process.

    Returns:
        int: Exit status: 0, 2 after a mistake in the command line or
        missing files (one line on stderr), 130 after Ctrl-C.
    """
    return _guard('train.py', _train, train_parser().parse_args(argv))


def test(argv: Sequence[str] | None = None) -> int:
    """Evaluate a checkpoint with a config.

    Args:
        argv (Sequence[str], optional): Command line, see
            ``tools/test.py --help``. Default: that of the process.

    Returns:
        int: Exit status, as :func:`train`.
    """
    return _guard('test.py', _test, test_parser().parse_args(argv))


def read_config(path: str) -> Any:
    """Read a config file.

    Args:
        path (str): Path of a ``.py``, ``.json`` or ``.yaml`` file.

    Returns:
        mmengine.Config: The config.

    Raises:
        LaunchError: If there is no such file or it cannot be read.
    """
    from mmengine.config import Config
    if not osp.isfile(path):
        raise LaunchError(f'config {path} does not exist (looked in '
                          f'{os.getcwd()})')
    try:
        return Config.fromfile(path)
    except Exception as error:
        # A config is code of the user's: anything may be raised in it.
        reason = str(error).strip().partition('\n')[0]
        raise LaunchError(f'config {path} cannot be read: '
                          f'{type(error).__name__}: {reason}') from error


def _guard(prog: str, body: Callable[[argparse.Namespace], None],
           args: argparse.Namespace) -> int:
    """Run a tool and turn what the user can mend into one line."""
    os.environ.setdefault('LOCAL_RANK', str(args.local_rank))
    with catch_interrupt(f'{prog}: interrupted') as interrupt:
        try:
            return _run(prog, body, args)
        except BaseException:
            # What is raised once the other processes are on their way down
            # is no error of its own.
            if not interrupt.seen:
                raise
    return 130


def _run(prog: str, body: Callable[[argparse.Namespace], None],
         args: argparse.Namespace) -> int:
    try:
        body(args)
    except LaunchError as error:
        report(f'{prog}: {error}')
        return 2
    except Exception as error:
        line = _explain(error)
        if line is None:
            raise
        report(f'{prog}: {line}')
        return 2
    return 0


def _explain(error: Exception) -> str | None:
    """One line for an error about the user's files, None for any other."""
    from mmvision_ext.compat.checkpoint import CheckpointError
    from mmvision_ext.engine.match import WeightMismatchError
    text = str(error.args[0] if error.args else error).strip()
    if isinstance(error, (CheckpointError, WeightMismatchError)):
        return text
    if isinstance(error, URLError):
        return (f'cannot download: {error.reason}; fetch the file elsewhere '
                'and give its path')
    # A worker may also die while its tensors are being handed over.
    if isinstance(error, RuntimeError) and _LOST_WORKER.search(text) or (
            isinstance(error, (ConnectionError, EOFError))
            and _raised_by(error) in ('_recv', 'answer_challenge')):
        return ('a worker that loads data was killed or has crashed, often '
                'for want of memory: lower num_workers or the batch size, or '
                'give more (shared) memory, then go on with --resume auto')
    if isinstance(error, FileNotFoundError):
        # From a worker of a loader the message ends a copied stack trace.
        return text.splitlines()[-1] if not error.filename else (
            f'{error.filename} does not exist')
    if isinstance(error, OSError) and error.errno in _FULL:
        where = f'{error.filename}: ' if error.filename else ''
        return (f'{where}{error.strerror}: what was written before is whole; '
                'make room, then go on with --resume auto')
    if isinstance(error, OSError) and error.filename:
        return f'{error.filename}: {error.strerror}'
    if isinstance(error, KeyError) and 'is not in the' in text:
        return text.partition('\n')[0]
    if isinstance(error, TypeError) and (
            _raised_by(error) == 'build_from_cfg'
            or _UNFIT_ARGUMENT.search(text)):
        # An argument that the type does not take, or one that it misses.
        return f'{text}: check the config'
    if isinstance(error, ValueError) and (
            _raised_by(error) == '_serialize_data'):
        # numpy says that it needs at least one array to concatenate.
        return ('a dataset of the config is empty: its folder or file holds '
                'no images, or none of the names in metainfo.classes is a '
                'category of its annotations')
    return None


def _raised_by(error: Exception) -> str:
    """Name of the function that raised an error."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace.tb_frame.f_code.co_name if trace is not None else ''


def _train(args: argparse.Namespace) -> None:
    cfg = _prepare(args, _TRAIN_KEYS, 'train')
    if args.no_validate:
        cfg.val_cfg = cfg.val_dataloader = cfg.val_evaluator = None
    _set_amp(cfg, args.amp)
    _set_auto_scale_lr(cfg, args.auto_scale_lr)
    _set_resume(cfg, args.resume)
    set_randomness(cfg, args.seed, args.deterministic)
    validates = cfg.get('val_cfg') is not None
    check_data(cfg, ('train', 'val') if validates else ('train', ))
    runner = _build_runner(cfg)
    if args.deterministic:
        warn_of_other_operations()
    runner.train()


def _test(args: argparse.Namespace) -> None:
    cfg = _prepare(args, _TEST_KEYS, 'test')
    check_checkpoint('arguments', args.checkpoint)
    cfg.load_from, cfg.resume = args.checkpoint, False
    if args.out is not None:
        _dump_predictions(cfg, args.out)
    if args.show_dir is not None:
        _draw_predictions(cfg, args.show_dir)
    if args.tta:
        _set_tta(cfg)
    check_data(cfg, ('test', ))
    _build_runner(cfg).test()


def _prepare(args: argparse.Namespace, needed: tuple[str, ...],
             purpose: str) -> Any:
    """Read the config and apply what both tools share."""
    check_mmengine()
    check_launcher(args.launcher)
    cfg = read_config(args.config)
    options = dict(args.cfg_options)
    data_root = options.pop('data_root', None)
    # The root first, so that single paths given as options have the last say.
    if args.data_root or data_root:
        replace_data_root(cfg, args.data_root or data_root)
    merge_options(cfg, options)
    missing = [key for key in needed if cfg.get(key) is None]
    if missing:
        raise LaunchError(f'config {args.config} has no '
                          f'{", ".join(missing)}, which it needs to '
                          f'{purpose}')
    cfg.launcher = args.launcher
    name = Path(args.config).stem
    work_dir = args.work_dir or cfg.get('work_dir') or f'./work_dirs/{name}'
    cfg.work_dir = osp.expanduser(work_dir)
    register_scope(cfg.get('default_scope'))
    return cfg


def _build_runner(cfg: Any) -> Any:
    import torch
    from mmengine.registry import RUNNERS
    from mmengine.runner import Runner

    from mmvision_ext.compat.cpu import adapt_config_for_cpu
    check_weights(cfg)
    for name in ('train_dataloader', 'val_dataloader', 'test_dataloader'):
        if cfg.get(name) is not None:
            _complete_loader(cfg[name], cfg.get('default_scope'))
    if not torch.cuda.is_available():
        cfg = adapt_config_for_cpu(cfg) or cfg
    if cfg.get('runner_type'):
        return RUNNERS.build(cfg)
    return Runner.from_cfg(cfg)


def _complete_loader(loader: dict, scope: str | None) -> None:
    """Defaults of mmpretrain's own tools, and workers that can persist."""
    import torch
    workers = loader.get('num_workers', 0)
    if scope == 'mmpretrain':
        loader.setdefault('pin_memory', torch.cuda.is_available())
        loader.setdefault('collate_fn', dict(type='default_collate'))
        loader.setdefault('persistent_workers', workers > 0)
    if workers == 0:
        # torch raises otherwise; a config meant for workers stays usable
        # with num_workers=0.
        loader['persistent_workers'] = False


def _set_amp(cfg: Any, amp: bool) -> None:
    if not amp:
        return
    kind = cfg.optim_wrapper.get('type', 'OptimWrapper')
    if kind not in ('OptimWrapper', 'AmpOptimWrapper'):
        raise LaunchError(f'--amp: cannot replace optim_wrapper.type={kind}, '
                          'expected OptimWrapper')
    cfg.optim_wrapper.type = 'AmpOptimWrapper'
    cfg.optim_wrapper.setdefault('loss_scale', 'dynamic')


def _set_auto_scale_lr(cfg: Any, enable: bool) -> None:
    if not enable:
        return
    if 'base_batch_size' not in (cfg.get('auto_scale_lr') or {}):
        raise LaunchError(
            '--auto-scale-lr: the config has no auto_scale_lr with a '
            'base_batch_size; give it with --cfg-options '
            'auto_scale_lr.base_batch_size=16')
    cfg.auto_scale_lr.enable = True


def _set_resume(cfg: Any, resume: str | None) -> None:
    if resume is None:
        return
    path: str | None = resume
    if resume == 'auto':
        path = latest_checkpoint(cfg.work_dir)
    else:
        check_checkpoint('--resume', resume)
    if path is None:
        cfg.resume = False
        if is_local_main():
            print(f'--resume: no checkpoint in {cfg.work_dir}, training '
                  'starts anew')
        return
    cfg.resume, cfg.load_from = True, path


def latest_checkpoint(work_dir: str) -> str | None:
    """The newest whole checkpoint of a run in this directory.

    What was passed over for it is said in a line.

    Args:
        work_dir (str): Work directory, which may have been moved since.

    Returns:
        str | None: Its path; None if no run has written one.

    Raises:
        LaunchError: If there are checkpoints but none is whole.
    """
    from mmvision_ext.compat import CheckpointError
    from mmvision_ext.compat.recovery import newest_checkpoint
    try:
        found = newest_checkpoint(work_dir)
    except CheckpointError as error:
        raise LaunchError(f'--resume: {error}') from error
    if is_local_main():
        for line in found.notes:
            print(f'--resume: {line}')
    return found.path


def _dump_predictions(cfg: Any, out: str) -> None:
    evaluator = cfg.test_evaluator
    several = isinstance(evaluator, (list, tuple))
    metrics = list(evaluator) if several else [evaluator]
    scope = cfg.get('default_scope')
    if scope == 'mmseg':
        # A pickle of its predictions would hold a score map of every class.
        metrics[0] = dict(metrics[0], output_dir=out)
    elif not out.endswith(('.pkl', '.pickle')):
        raise LaunchError(f'--out {out}: expected a file name ending in .pkl')
    else:
        # mmdet's own dump compresses the masks.
        kind = 'DumpDetResults' if scope == 'mmdet' else 'DumpResults'
        metrics.append(dict(type=kind, out_file_path=out))
    cfg.test_evaluator = metrics


def _draw_predictions(cfg: Any, folder: str) -> None:
    scope = cfg.get('default_scope')
    hook = (cfg.get('default_hooks') or {}).get('visualization')
    if hook is None or scope not in ('mmdet', 'mmseg', 'mmpretrain'):
        raise LaunchError('--show-dir: the config has no visualization hook '
                          'in default_hooks')
    if scope == 'mmpretrain':
        hook.update(enable=True, out_dir=folder, interval=1)
    elif scope == 'mmdet':
        # mmdet puts the folder below the log folder of the run unless it is
        # absolute.
        hook.update(draw=True, test_out_dir=osp.abspath(folder))
    else:
        hook.update(draw=True)
        cfg.visualizer.update(
            save_dir=folder, vis_backends=[dict(type='LocalVisBackend')])


def _set_tta(cfg: Any) -> None:
    missing = [k for k in ('tta_model', 'tta_pipeline') if not cfg.get(k)]
    if missing:
        raise LaunchError(f'--tta: the config has no {", no ".join(missing)}')
    dataset = cfg.test_dataloader.dataset
    while 'dataset' in dataset:
        dataset = dataset.dataset
    dataset.pipeline = cfg.tta_pipeline
    cfg.model = dict(**cfg.tta_model, module=cfg.model)
