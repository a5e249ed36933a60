"""Arguments of the tools and the merging of ``--cfg-options``."""
import argparse
import difflib
import inspect
from collections.abc import Sequence
from typing import Any, NoReturn

from .determinism import seed_number
from .errors import LaunchError

_LAUNCHERS = ('none', 'pytorch', 'slurm', 'mpi')

# Options of the tools that a config may hold besides the runner's own.
_EXTRA_KEYS = ('auto_scale_lr', 'custom_imports', 'runner_type', 'tta_model',
               'tta_pipeline')

# Where a word instead of a number would only fail much later, or never.
_NUMBERS = ('batch_size', 'num_workers', 'max_epochs', 'max_iters',
            'val_interval', 'base_batch_size')


class OneLineParser(argparse.ArgumentParser):
    """A parser whose errors are one line."""

    def error(self, message: str) -> NoReturn:
        """Print the message without the usage and exit with status 2."""
        self.exit(2, f'{self.prog}: {message} (see {self.prog} --help)\n')


class CfgOptions(argparse.Action):
    """``KEY=VALUE`` pairs, values as mmengine reads them.

    Unlike ``mmengine.DictAction`` it keeps the spaces of a plain string, so
    that a path may have some, and leaves ``data_root``, ``work_dir`` and the
    ``checkpoint`` of an ``init_cfg`` unparsed.
    """

    def __call__(self,
                 parser: argparse.ArgumentParser,
                 namespace: argparse.Namespace,
                 values: Sequence[str],
                 option_string: str | None = None) -> None:
        """Add the pairs to those of earlier uses of the option."""
        options = dict(getattr(namespace, self.dest) or {})
        for pair in values:
            key, equals, text = pair.partition('=')
            if not key or not equals:
                parser.error(f'{option_string} {pair!r}: expected KEY=VALUE, '
                             'e.g. train_dataloader.batch_size=4')
            try:
                options[key] = _parse_value(key, text)
            except AssertionError:
                parser.error(f'{option_string} {pair!r}: the brackets of the '
                             'value do not match')
        setattr(namespace, self.dest, options)


def _parse_value(key: str, text: str) -> Any:
    from mmengine.config import DictAction
    if key in ('data_root', 'work_dir') or key.endswith('.checkpoint'):
        return text
    if text[:1] in '([\'"' or ',' in text:
        return DictAction._parse_iterable(text)
    return DictAction._parse_int_float_bool(text)


def _common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--work-dir',
        help='where logs and checkpoints go; default: work_dir of the '
        'config, else ./work_dirs/NAME_OF_CONFIG')
    parser.add_argument(
        '--data-root',
        help='where the data is: replaces data_root of the config in every '
        'dataset and evaluator')
    parser.add_argument(
        '--cfg-options',
        nargs='+',
        action=CfgOptions,
        default={},
        metavar='KEY=VALUE',
        help='settings to change in the config, e.g. model.backbone.arch=tiny '
        'or key="[a,b]"; data_root=DIR is the same as --data-root DIR')
    parser.add_argument(
        '--launcher',
        choices=_LAUNCHERS,
        default='none',
        help='how the processes of a distributed job were started')
    parser.add_argument('--local-rank', '--local_rank', type=int, default=0)


def train_parser() -> argparse.ArgumentParser:
    """Parser of ``tools/train.py``."""
    parser = OneLineParser(
        prog='train.py',
        description='Train with a config of mmdet, mmseg, mmpretrain or '
        'mmvision_ext')
    parser.add_argument('config', help='config file')
    parser.add_argument(
        '--resume',
        nargs='?',
        const='auto',
        metavar='auto|PATH',
        help='go on from this checkpoint, or, without a path, from the '
        'latest one in the work directory, if there is any')
    parser.add_argument(
        '--amp', action='store_true', help='train in mixed precision')
    parser.add_argument(
        '--auto-scale-lr',
        action='store_true',
        help='scale the learning rate with the total batch size, relative '
        'to auto_scale_lr.base_batch_size of the config')
    parser.add_argument(
        '--no-validate',
        action='store_true',
        help='do not evaluate during training')
    parser.add_argument(
        '--seed',
        type=seed_number,
        metavar='N',
        help='of weights, order and augmentation; default: that of the '
        'config, else another one each time')
    parser.add_argument(
        '--deterministic',
        action='store_true',
        help='the same command gives the same weights, as far as the '
        'operations allow, at some cost of speed; the seed is 0 where none '
        'is given')
    _common(parser)
    return parser


def test_parser() -> argparse.ArgumentParser:
    """Parser of ``tools/test.py``."""
    parser = OneLineParser(
        prog='test.py',
        description='Evaluate a checkpoint with a config of mmdet, mmseg, '
        'mmpretrain or mmvision_ext')
    parser.add_argument('config', help='config file')
    parser.add_argument('checkpoint', help='checkpoint file')
    parser.add_argument(
        '--out',
        help='write the predictions: mmdet and mmpretrain to this .pkl file, '
        'mmseg into this directory, as label images')
    parser.add_argument(
        '--show-dir', help='draw the predictions into this directory')
    parser.add_argument(
        '--tta',
        action='store_true',
        help='test-time augmentation by tta_model and tta_pipeline of the '
        'config')
    _common(parser)
    return parser


def merge_options(cfg: Any, options: dict[str, Any]) -> None:
    """Merge ``--cfg-options`` into a config, refusing obvious mistakes.

    mmengine adds an unknown key without a word, so that a slip of the pen
    changes nothing. Refused here: a first part that neither the config nor
    the runner knows, a part on the way that almost equals an existing one, a
    word where a number has to be, a path through something that is no dict.

    Args:
        cfg (mmengine.Config): The config, changed in place.
        options (dict[str, Any]): Dotted key to value.

    Raises:
        LaunchError: If an option cannot be meant.
    """
    for key, value in options.items():
        _check_option(cfg, key, value)
    try:
        # All at once, so that the order of a _delete_ does not matter.
        cfg.merge_from_dict(options)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        pairs = ' '.join(f'{key}={value}' for key, value in options.items())
        raise LaunchError(f'--cfg-options {pairs}: does not fit the config: '
                          f'{_first_line(error)}') from error


def _check_option(cfg: Any, key: str, value: Any) -> None:
    from mmengine.runner import Runner
    *path, leaf = key.split('.')
    top = key.split('.')[0]
    known = [
        *cfg.keys(), *inspect.signature(Runner).parameters, *_EXTRA_KEYS
    ]
    if top not in known:
        raise LaunchError(f'--cfg-options {key}={value}: the config has no '
                          f'{top!r}{_suggest(top, known)}')
    node: Any = cfg
    for part in path:
        if isinstance(node, (list, tuple)) and part.isdigit():
            node = node[int(part)] if int(part) < len(node) else None
            continue
        if not hasattr(node, 'keys'):
            return
        suggestion = _suggest(part, list(node.keys()))
        if part not in node and suggestion:
            raise LaunchError(f'--cfg-options {key}={value}: no {part!r} '
                              f'there{suggestion}')
        node = node.get(part)
    old = node.get(leaf) if hasattr(node, 'get') else None
    if leaf in _NUMBERS and isinstance(value, str):
        raise LaunchError(f'--cfg-options {key}={value}: expected a number')
    if isinstance(old, bool) and isinstance(value, str):
        raise LaunchError(f'--cfg-options {key}={value}: expected True or '
                          'False')
    if isinstance(old, dict) and isinstance(value, (str, int, float)):
        raise LaunchError(
            f'--cfg-options {key}={value}: {key} is a group of settings, '
            f'expected one of them, e.g. {key}.{next(iter(old), "type")}=...')


def _suggest(word: str, known: Sequence[str]) -> str:
    close = difflib.get_close_matches(word, known, n=1, cutoff=0.8)
    return f'; did you mean {close[0]!r}?' if close else ''


def _first_line(error: Exception) -> str:
    text = str(error.args[0] if error.args else error)
    return text.strip().partition('\n')[0]
