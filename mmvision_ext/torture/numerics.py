"""``torture.py numerics``: random networks, sizes, types and scales."""

import argparse
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..compat.files import write_atomically
from ..engine.errors import LaunchError
from .draws import Configuration, build, call, draw, named_tensors

#: Configurations after which the report is written again.
_INTERVAL = 50


@dataclass
class Report:
    """What was tried so far.

    Args:
        seed (int): Of the configurations.
        first (int): Number of the first of them.
        configurations (int): How many there are to be.
        done (int): How many have been tried. Defaults to 0.
        kinds (dict[str, int]): How many of each kind of network.
        dtypes (dict[str, int]): How many of each number type.
        faults (list[dict]): Number, finding and configuration of each one
            with an error or a value that is not finite.
        machine (str): Version of torch, instructions of the processor.
    """
    seed: int
    first: int
    configurations: int
    done: int = 0
    kinds: dict[str, int] = field(default_factory=dict)
    dtypes: dict[str, int] = field(default_factory=dict)
    faults: list[dict[str, Any]] = field(default_factory=list)
    machine: str = field(
        default_factory=lambda: f'torch {torch.__version__}, '
        f'{torch.backends.cpu.get_cpu_capability()}')

    def add(self, index: int, what: Configuration,
            fault: str | None) -> None:
        """Count a configuration.

        Args:
            index (int): Its number.
            what (Configuration): What was tried.
            fault (str, optional): What was found.
        """
        for counts, name in ((self.kinds, what.kind),
                             (self.dtypes, what.dtype)):
            counts[name] = counts.get(name, 0) + 1
        if fault is not None:
            self.faults.append(dict(
                number=index, fault=fault, configuration=asdict(what)))
        self.done += 1

    def write(self, path: Path) -> None:
        """Write it as JSON.

        Args:
            path (Path): Where to.
        """
        text = json.dumps(asdict(self), indent=1) + '\n'
        write_atomically(path, lambda file: file.write(text.encode()))


def read_report(path: Path, wanted: Report) -> Report:
    """What a report holds of a run, to go on from there.

    Args:
        path (Path): The report, which need not be there.
        wanted (Report): The run as it begins.

    Returns:
        Report: The one of the file, ``wanted`` without a file.

    Raises:
        LaunchError: If the file is of another run or no report.
    """
    if not path.exists():
        return wanted
    try:
        report = Report(**json.loads(path.read_text(encoding='utf-8')))
    except (ValueError, TypeError, OSError) as error:
        raise LaunchError(f'--report {path}: no report of this tool '
                          f'({error}); give another name') from error
    for name in ('seed', 'first', 'configurations', 'machine'):
        ours, theirs = getattr(wanted, name), getattr(report, name)
        if ours != theirs:
            raise LaunchError(f'--report {path}: its {name} is {theirs}, not '
                              f'{ours}; give another name')
    return report


def find_fault(what: Configuration) -> str | None:
    """Run a configuration forward and backward.

    Args:
        what (Configuration): The network and its input.

    Returns:
        str | None: The first tensor with a value that is not finite, or the
        error that was raised; None if there is neither.
    """
    try:
        network, inputs = build(what)
        outputs = call(what, network, inputs)
        # Means, as losses are: sums of many would leave float16 by
        # themselves.
        sum(out.float().mean() for out in outputs).backward()
    except Exception as error:  # whatever is raised is the finding
        return f'{type(error).__name__}: {error}'
    return next(
        (name for name, tensor in named_tensors(network, inputs, outputs)
         if not torch.isfinite(tensor).all()), None)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the subject.

    Args:
        parser (argparse.ArgumentParser): Its parser.
    """
    parser.add_argument('--configurations', type=int, default=10_000,
                        metavar='N', help='default 10000')
    parser.add_argument('--first', type=int, default=0, metavar='K',
                        help='number of the first one, so that several '
                        'processes share the work (default 0)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--report', type=Path, metavar='FILE',
                        help='write what was found to this JSON file; the '
                        'same command goes on where one was stopped')


def run(args: argparse.Namespace) -> int:
    """Try random configurations.

    Args:
        args (argparse.Namespace): Of :func:`add_arguments`.

    Returns:
        int: 0 if all values were finite, 1 otherwise.

    Raises:
        LaunchError: If a number makes no sense or the report is of another
            run.
    """
    for name, least in (('configurations', 1), ('first', 0), ('seed', 0)):
        value = getattr(args, name)
        if value < least:
            raise LaunchError(f'--{name} {value}: expected {least} or more')
    report = Report(args.seed, args.first, args.configurations)
    if args.report:
        report = read_report(args.report, report)
    for position in range(report.done, report.configurations):
        index = report.first + position
        what = draw(report.seed, index)
        fault = find_fault(what)
        report.add(index, what, fault)
        if fault is not None:
            print(f'{index}: {fault}: {asdict(what)}', flush=True)
        if args.report and (report.done % _INTERVAL == 0
                            or report.done == report.configurations):
            report.write(args.report)
    print(_summary(report))
    return 1 if report.faults else 0


def _summary(report: Report) -> str:
    counts = ', '.join(
        f'{n} {name}' for names in (report.kinds, report.dtypes)
        for name, n in sorted(names.items()))
    return (f'{report.done} configurations ({counts}): {len(report.faults)} '
            'with an error or a value that is not finite')
