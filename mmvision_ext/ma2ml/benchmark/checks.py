"""What can be said of a comparison before its first run."""
import argparse
import importlib
from collections.abc import Iterable

from ...engine.errors import LaunchError
from .methods import PACKAGES

_EXTRA = "pip install 'mmvision_ext[benchmark]'"
#: How to install what the extra does not bring.
_INSTALL = dict(smac='pip install smac', ConfigSpace='pip install smac')


def check_numbers(args: argparse.Namespace) -> None:
    """Refuse numbers with which no run can end well.

    Args:
        args (Namespace): ``seeds``, ``first_seed``, ``trials``, ``warmup``
            and ``limits`` of the command line.

    Raises:
        LaunchError: If one is out of its range.
    """
    for name, least in (('seeds', 1), ('first_seed', 0), ('trials', 1),
                        ('warmup', 0)):
        value = getattr(args, name)
        if value < least:
            raise LaunchError(f'--{name.replace("_", "-")} is {value}; give '
                              f'a whole number from {least}')
    if args.warmup > args.trials:
        raise LaunchError(
            f'--warmup is {args.warmup}; expected at most the {args.trials} '
            'of --trials, of which the warm-up is a part: lower the one or '
            'raise the other')
    for value in args.limits:
        if not 0 < value <= 1:
            raise LaunchError(
                f'--limits has {value:g}; expected parts of the way from the '
                'fewest FLOPs of a table to its most, above 0 and at most '
                '1, such as 0.5')


def check_packages(methods: Iterable[str]) -> None:
    """Refuse what the packages that are installed cannot run.

    Args:
        methods (Iterable[str]): Methods that are to run.

    Raises:
        LaunchError: If a package is missing.
    """
    needs = {'matplotlib': 'the plot'}
    for method in methods:
        for package in PACKAGES.get(method, ()):
            needs.setdefault(package, f'the method {method}')
    for package, user in needs.items():
        try:
            importlib.import_module(package)
        except ImportError as error:
            install = _INSTALL.get(package, _EXTRA)
            raise LaunchError(
                f'{user} needs the package {package}, which cannot be '
                f'imported ({error}): {install}') from error
