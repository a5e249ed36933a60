"""``flops``: what a network costs, part by part."""

import argparse
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..engine.errors import LaunchError

if TYPE_CHECKING:
    from ..engine.parts import Breakdown

EXAMPLES = """
  python -m mmvision_ext flops vheat-tiny_in1k
  python -m mmvision_ext flops vheat-tiny_in1k --size 224 --size 800x1280
  python -m mmvision_ext flops maskrcnn_itpn_base_1x_coco --part backbone
  python -m mmvision_ext flops my_config.py --json
"""
_LISTED = 12


def _size(text: str) -> tuple[int, int]:
    match = re.fullmatch(r'(\d+)(?:x(\d+))?', text)
    size = match and (int(match[1]), int(match[2] or match[1]))
    if not size or not all(size):
        raise argparse.ArgumentTypeError(
            f'{text!r}: expected a side, or HEIGHTxWIDTH, in pixels, such as '
            '224 or 800x1280')
    return size


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command.

    Args:
        parser (argparse.ArgumentParser): Its parser.
    """
    parser.add_argument('config', help='a config file, or a name that '
                        '`models` lists')
    parser.add_argument('--size', type=_size, action='append',
                        metavar='HxW', help='height and width of the image, '
                        'once or several times (default: that of the test '
                        'pipeline)')
    parser.add_argument('--part', default='model',
                        choices=('model', 'backbone'),
                        help='all of it, or the backbone alone '
                        '(default: %(default)s)')
    parser.add_argument('--json', action='store_true',
                        help='print all counts, exact, as JSON')


def run(args: argparse.Namespace) -> int:
    """Print the costs.

    Args:
        args (argparse.Namespace): Of :func:`add_arguments`.

    Returns:
        int: 0.

    Raises:
        LaunchError: If the network cannot be built or takes no image of
            that size.
    """
    from ..engine.launch import read_config
    path = _find(args.config)
    cfg = read_config(path)
    _check(cfg, path, args.part)
    sizes = args.size or [_default_size(cfg, path)]
    counted = [_count(cfg, path, args.part, size) for size in sizes]
    if args.json:
        print(json.dumps([_plain(size, *found)
                          for size, found in zip(sizes, counted)], indent=2))
        return 0
    for number, (size, found) in enumerate(zip(sizes, counted)):
        print('\n' * bool(number) + _table(size, *found))
    print('\nFLOPs are multiply-adds of one image, and five operations a '
          'value of a LayerNorm.')
    if cfg.model.get('roi_head') and args.part == 'model':
        print('Heads run on as many boxes as the test settings allow; cutting '
              'them out of the maps and choosing among them is not counted.')
    return 0


def _find(text: str) -> str:
    """The file of a config, or of a name of the zoo."""
    from difflib import get_close_matches
    from pathlib import Path

    from ..zoo import list_entries
    if Path(text).suffix == '.py' or Path(text).exists():
        return text
    paths = {name: str(entry.config_path) for entry in list_entries()
             for name in entry.names}
    if text not in paths:
        near = get_close_matches(text, paths, 1)
        hint = f'did you mean {near[0]}? ' if near else ''
        raise LaunchError(
            f'{text!r} is neither a config file nor a model of the zoo; '
            f'{hint}`python -m mmvision_ext models` lists the names')
    return paths[text]


def _default_size(cfg: Any, path: str) -> tuple[int, int]:
    from ..zoo.count import image_size
    try:
        return image_size(cfg)
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise LaunchError(f'config {path}: its test pipeline, which tells the '
                          'size of an image, is missing or names none; give '
                          '--size 224') from error


def _check(cfg: Any, path: str, part: str) -> None:
    if not hasattr(cfg.get('model'), 'get'):
        raise LaunchError(f'config {path}: no model in it')
    if not cfg.model.get('backbone'):
        raise LaunchError(f'config {path}: its {cfg.model.get("type")} has no '
                          'backbone, expected a classifier, detector or '
                          'segmentor')
    if part == 'model' and _is_pretraining(cfg.model):
        raise LaunchError(
            f'config {path}: the cost of a pre-training depends on how much '
            'of the image is hidden; --part backbone counts its backbone')


def _count(cfg: Any, path: str, part: str, size: tuple[int, int]
           ) -> tuple[str, 'Breakdown', int]:
    """Name of the network, its costs, and those of a second image."""
    from ..engine.build import MissingPackageError
    from ..engine.checks import register_scope
    from ..engine.parts import break_down
    from ..engine.quiet import quiet
    from ..zoo.count import build_on_meta, count_image, run_image
    try:
        with quiet():
            register_scope(cfg.get('default_scope'))
            model = build_on_meta(cfg)
    except MissingPackageError as error:
        raise LaunchError(str(error)) from error
    except Exception as error:  # of any layer, in its own way
        raise LaunchError(f'config {path}: the model cannot be built: '
                          f'{_first_line(error)}') from error
    model = model if part == 'model' else model.backbone
    name = type(model).__name__
    try:
        found = break_down(model, lambda: run_image(model, size))
        second = count_image(model, size)
    except Exception as error:
        raise LaunchError(
            f'config {path}: {name} takes no image of {_words(size)} pixels: '
            f'{_first_line(error)}') from error
    return name, found, second


def _is_pretraining(model: Any) -> bool:
    return any(key in model for key in ('target_generator', 'target_cfg')) or \
        'Pretrain' in str(model.get('type'))


def _first_line(error: Exception) -> str:
    return str(error).strip().partition('\n')[0]


def _words(size: tuple[int, int]) -> str:
    return f'{size[0]} x {size[1]}'


def _plain(size: tuple[int, int], name: str, found: 'Breakdown',
           second: int) -> dict[str, Any]:
    from dataclasses import asdict
    return dict(model=name, image_size=size, params=found.params,
                macs=found.macs, inference_macs=second, **asdict(found))


def _short(number: int) -> str:
    for unit, scale in (('G', 1e9), ('M', 1e6), ('k', 1e3)):
        if number >= scale:
            return f'{number / scale:.2f}{unit}'
    return str(number)


def _table(size: tuple[int, int], name: str, found: 'Breakdown',
           second: int) -> str:
    def share(value: int, total: int) -> str:
        return f'{value / total:.1%}' if total else ''

    rows = [('part', 'params', '', 'FLOPs', '')]
    rows += [(x.name, _short(x.params), share(x.params, found.params),
              _short(x.macs), share(x.macs, found.macs))
             for x in found.parts]
    rows.append(('all', _short(found.params), '', _short(found.macs), ''))
    lines = [f'{name}, {_words(size)} pixels', '', *_align(rows)]
    if second != found.macs:
        lines += ['', f'A second image of this size costs {_short(second)}: '
                  'what depends on weights and size alone is kept.']
    rows = [('not counted', 'calls', 'values')]
    rows += [(x.name, str(x.calls), _short(x.values))
             for x in found.uncounted[:_LISTED]]
    lines += ['', *_align(rows)]
    more = len(found.uncounted) - _LISTED
    if more > 0:
        lines.append(f'and {more} others of fewer values (--json lists them)')
    return '\n'.join(lines)


def _align(rows: Sequence[tuple[str, ...]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ['  '.join(cell.rjust(width) if i else cell.ljust(width)
                      for i, (cell, width) in enumerate(zip(row, widths))
                      ).rstrip() for row in rows]
