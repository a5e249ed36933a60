"""Logic of ``tools/benchmark.py``."""

import argparse
import contextlib
import shlex
import sys
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ..engine.errors import LaunchError
from ..engine.options import OneLineParser
from .aliases import ALIASES
from .case import (
    DTYPES,
    MODES,
    Case,
    check_device,
    parse_numbers,
    parse_sizes,
)
from .machine import describe_machine
from .measure import CaseMeasurement
from .names import ModelName, parse_name
from .plot import plot
from .proposals import measure_proposals
from .store import Report
from .table import render

_PROG = 'benchmark.py'
_EXAMPLES = f"""\
models:
  an alias          {', '.join(x for x in ALIASES if '-nano' not in x
                               and not x.startswith('itpn'))},
                    itpn-base (backbone and pyramid), itpn-base-plain (with
                    plain softmax attention), itpn-base-attention and
                    itpn-base-attention-plain (one attention alone), and
                    the same of itpn-tiny, -small, -large; nano of both
  a registry type   'mmpretrain.ResNet(depth=50, out_indices=(0, 1, 2, 3))'
  a config file     configs/vheat/maskrcnn_vheat_tiny_1x_coco.py, as a whole:
                    classifier, detector or segmentor
  a callable        "path/to/file.py:build(arch='tiny')", returns a module
Arguments are literals by keyword.

A model that has load_from(model), or the same names and shapes of weights,
gets the weights of the reference and must compute the same.

examples:
  python tools/benchmark.py --models vheat-tiny swin-tiny convnext-tiny \\
      --sizes 224,512,800x1280 --threads 1 --out work_dirs/backbones
  python tools/benchmark.py --models itpn-base-plain itpn-base --sizes 1024 \\
      --mode train --with-cp --repeats 3 --out work_dirs/attention
  python tools/benchmark.py --models 'itpn-base-plain(depths=(3, 3, 8))' \\
      'itpn-base(depths=(3, 3, 8))' --sizes 1024 --mode train
  python tools/benchmark.py --search-trials 50,100,300

--out keeps the rows of earlier runs: a row is replaced by a newer one of the
same model, size, batch, mode, device, type, --compile, --with-cp and threads.
exit status: 0; 1 if a model failed, whose row says why; 2 after a mistake in
the command line; 130 after Ctrl-C, which keeps what was measured.
"""


@dataclass(frozen=True)
class Plan:
    """What a command line asks for.

    Args:
        names (list[ModelName]): The models.
        reference (str): Text of one of them, or '' without models.
        cases (list[Case]): What all of them are measured in.
        repeats (int): Turns of each model.
        marks (list[int]): Trials of the search.
        run (dict[str, Any]): Command, machine and versions.
        report (Report): Where rows go.
    """

    names: list[ModelName]
    reference: str
    cases: list[Case]
    repeats: int
    marks: list[int]
    run: dict[str, Any]
    report: Report


def main(argv: Sequence[str] | None = None) -> int:
    """Measure models side by side.

    Args:
        argv (Sequence[str], optional): Command line. Default: that of the
            process.

    Returns:
        int: Exit status: 0; 1 if a model failed or the plot could not be
        drawn; 2 after a mistake in the command line; 130 after Ctrl-C.
    """
    given = sys.argv[1:] if argv is None else list(argv)
    try:
        plan = _plan(_parser().parse_args(given), given)
    except LaunchError as error:
        print(f'{_PROG}: {error}', file=sys.stderr)
        return 2
    status = 0
    try:
        # Packages print while they are imported; stdout is for the table.
        with contextlib.redirect_stdout(sys.stderr), \
                warnings.catch_warnings():
            warnings.simplefilter('ignore')
            for rows in _measure(plan):
                plan.report.add(plan.run, rows)
                if any(row['status'] != 'ok' for row in rows):
                    status = 1
    except KeyboardInterrupt:
        _say('interrupted; what was measured is kept')
        status = 130
    return _finish(plan, status)


def _measure(plan: Plan) -> Iterator[list[dict[str, Any]]]:
    """Rows, case by case; before an interruption those of its case."""
    for case in plan.cases:
        measurement = CaseMeasurement(plan.names, case, plan.reference,
                                      plan.repeats, _say)
        try:
            measurement.run()
        except KeyboardInterrupt:
            yield measurement.rows()
            raise
        yield measurement.rows()
    if plan.marks:
        for row in measure_proposals(plan.marks, _say):
            yield [row]


def _finish(plan: Plan, status: int) -> int:
    report = plan.report
    own = [row for row in report.rows
           if report.runs[row['run']] == plan.run]
    print(render({row['run']: plan.run for row in own}, own))
    if any(row['status'] == 'ok' for row in report.rows):
        try:
            plot(report.rows, report.folder)
        except ImportError:
            _say('benchmark.png and .svg need matplotlib: pip install '
                 "'mmvision_ext[benchmark]'; all else is written")
            status = status or 1
    _say(f'written: {report.folder}/benchmark.csv, .json, .md, .png, .svg')
    return status


def _say(line: str) -> None:
    print(f'{_PROG}: {line}', file=sys.stderr, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(
        prog=_PROG, formatter_class=argparse.RawDescriptionHelpFormatter,
        description='Time, memory, operations and traffic of models, which '
        'take turns in one process,\nbeside what the machine can do, and how '
        'they grow with the image.', epilog=_EXAMPLES)
    add = parser.add_argument
    add('--models', nargs='+', default=[], metavar='MODEL',
        help='what to measure, see below')
    add('--sizes', default='224', metavar='N,HxW,...',
        help='images in pixels, sides or height x width (default 224)')
    add('--batch', default='1', metavar='N,...', help='images a step '
        '(default 1)')
    add('--mode', choices=MODES, default='infer',
        help='all outputs without gradients, or forward and backward without '
        'an optimiser (default infer)')
    add('--device', default='cpu', help='cpu, cuda or cuda:N (default cpu)')
    add('--dtype', choices=DTYPES, default='float32',
        help='half precision is autocast (default float32)')
    add('--compile', action='store_true', help='use torch.compile')
    add('--with-cp', action='store_true',
        help='recompute blocks in the backward pass, where models have '
        'with_cp')
    add('--reference', metavar='MODEL',
        help='one of --models that others are compared with (default: the '
        'first)')
    add('--repeats', type=int, default=5, metavar='N',
        help='turns of each model (default 5)')
    add('--threads', type=int, metavar='N',
        help='threads of torch (default: what torch takes)')
    add('--search-trials', metavar='N,...',
        help='measure a proposal of the MA2ML learner at these numbers of '
        'trials')
    add('--out', type=Path, default=Path('work_dirs/benchmark'),
        metavar='DIR', help='for benchmark.csv, .json, .md, .png and .svg '
        '(default work_dirs/benchmark)')
    return parser


def _plan(args: argparse.Namespace, argv: Sequence[str]) -> Plan:
    """What to do.

    Raises:
        LaunchError: If it cannot be done.
    """
    if not args.models and not args.search_trials:
        raise LaunchError('nothing to measure: give --models or '
                          '--search-trials')
    for option, value in (('--repeats', args.repeats),
                          ('--threads', args.threads)):
        if value is not None and value < 1:
            raise LaunchError(f'{option} {value}: expected 1 or more')
    texts = list(dict.fromkeys(args.models))
    reference = args.reference or (texts[0] if texts else '')
    if texts and reference not in texts:
        raise LaunchError(f'--reference {reference}: expected one of '
                          f'--models: {", ".join(texts)}')
    names = [parse_name(text, tuple(ALIASES)) for text in texts]
    check_device(args.device)
    sizes = parse_sizes(args.sizes)
    batches = parse_numbers('--batch', args.batch)
    marks = parse_numbers('--search-trials', args.search_trials) \
        if args.search_trials else []
    cases = [
        Case(*size, batch, args.mode, args.device, args.dtype, args.compile,
             args.with_cp) for size in sizes for batch in batches
    ] if names else []
    report = Report(args.out)
    if args.threads:
        torch.set_num_threads(args.threads)
    run = dict(command=f'python tools/benchmark.py {shlex.join(argv)}',
               **describe_machine(torch.device(args.device)))
    return Plan(names, reference, cases, args.repeats, marks, run, report)
