"""``predict``: what a trained network sees in images."""

import argparse
import json
import sys
from pathlib import Path

from ..engine.errors import LaunchError

EXAMPLES = """
  python -m mmvision_ext predict CONFIG WEIGHTS photo.jpg folder 'b/*.png'
  python -m mmvision_ext predict CONFIG WEIGHTS clip.mp4 --out seen --topk 3
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the command.

    Args:
        parser (argparse.ArgumentParser): Its parser.
    """
    add = parser.add_argument
    add('config', help='config of a classifier, detector or segmentor')
    add('weights', help='checkpoint of it')
    add('images', nargs='+', metavar='IMAGES',
        help='files, folders, patterns, videos')
    add('--out', type=Path, default=Path('predictions'), metavar='DIR',
        help='for predictions.json and the pictures (default predictions)')
    add('--device', default='cpu', help='cpu, cuda or cuda:N (default cpu)')
    add('--batch-size', type=int, default=1, metavar='N',
        help='images at a time (default 1)')
    add('--topk', type=int, default=5, metavar='N',
        help='classes of an image (default 5)')
    add('--score-thr', type=float, default=0.3, metavar='X',
        help='leave out objects with a lower score (default 0.3)')
    add('--no-pictures', action='store_true', help='write JSON alone')
    add('--force', action='store_true',
        help='replace what an earlier run left in --out')


def run(args: argparse.Namespace) -> int:
    """Predict and write.

    Args:
        args (argparse.Namespace): Of :func:`add_arguments`.

    Returns:
        int: 0, or 1 if an image could not be read, with all others done.

    Raises:
        LaunchError: If nothing can be done.
    """
    from ..apis import Failure, load_predictor
    report = args.out / 'predictions.json'
    if report.exists() and not args.force:
        raise LaunchError(f'{report} exists; --force replaces it, --out '
                          'names another folder')
    if args.batch_size < 1:
        raise LaunchError(f'--batch-size {args.batch_size}: expected 1 or '
                          'more')
    predictor = load_predictor(args.config, args.weights, args.device,
                               args.topk, args.score_thr)
    done, failed, names = [], [], set()
    try:
        for result in predictor(args.images, args.batch_size):
            if isinstance(result, Failure):
                failed.append(result)
                continue
            entry = result.to_json()
            if not args.no_pictures:
                entry['picture'] = _save(result, args.out, names)
            done.append(entry)
            _progress(len(done))
    finally:
        # What is done is kept, after Ctrl-C as well.
        if done:
            _write(report, done, failed)
    for failure in failed:
        print(f'{failure.source}: {failure.reason}', file=sys.stderr)
    if not done:
        raise LaunchError(f'none of {len(failed)} inputs could be read')
    print(f'{len(done)} predicted, {len(failed)} could not be read: '
          f'{report}')
    return 1 if failed else 0


def _save(result, folder: Path, names: set[str]) -> str:
    """Write a picture under a name of its own; returns the name."""
    import io

    from PIL import Image

    from ..compat.files import write_atomically
    stem = Path(result.source).name.replace('#', '_') or 'image'
    name, number = f'{stem}.png', 1
    while name in names:
        number += 1
        name = f'{stem}-{number}.png'
    names.add(name)
    buffer = io.BytesIO()
    Image.fromarray(result.draw()).save(buffer, 'PNG')
    write_atomically(folder / 'pictures' / name,
                     lambda file: file.write(buffer.getbuffer()))
    return f'pictures/{name}'


def _write(report: Path, done: list[dict], failed: list) -> None:
    from ..compat.files import write_atomically
    text = json.dumps(dict(
        predictions=done, failures=[vars(item) for item in failed]), indent=1)
    write_atomically(report, lambda file: file.write(text.encode()))


def _progress(count: int) -> None:
    if sys.stderr.isatty():
        print(f'\r{count} images', end='\r', file=sys.stderr, flush=True)
