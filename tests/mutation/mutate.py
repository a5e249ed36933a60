"""Change the package one place at a time; the tests must notice.

Called by ``tests/run_mutation.sh``, in an environment with Cosmic Ray, which
makes the changes. They are made in a copy of the last commit: the working
tree is not touched. One change is drawn of each place (an operator, a
comparison, a number ...) and so many places of a target.
"""
import argparse
import ast
import random
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from cosmic_ray.commands import init
from cosmic_ray.mutating import mutate_and_test
from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import MutationSpec, TestOutcome

REPO = Path(__file__).resolve().parents[2]


class Target(NamedTuple):
    """Modules, as patterns under the package, and what tests them."""

    modules: tuple[str, ...]
    without: tuple[str, ...]
    tests: tuple[str, ...]


TARGETS = {
    # Triton's kernels are text to Python's operators here: their tests
    # compile them, a minute a change.
    'ops': Target(
        ('ops/*.py', ), ('ops/heat_*kernels.py', 'ops/heat_triton.py',
                         'ops/heat_launch.py', 'ops/heat_plans.py'),
        ('tests/ops', 'tests/vheat/test_operator.py',
         'tests/vheat/test_plain_form.py', 'tests/itpn/test_masked.py',
         '--ignore=tests/ops/test_heat_triton.py')),
    'vheat': Target(('vheat/*.py', ), (), ('tests/vheat', )),
    'itpn-neck': Target(
        ('itpn/neck.py', 'itpn/pyramid.py', 'itpn/fast_neck.py'), (),
        ('tests/itpn/test_neck.py', 'tests/itpn/test_fast_pyramid.py',
         'tests/itpn/test_fast_network.py',
         'tests/itpn/test_backbone_golden.py')),
    'ma2ml-learner': Target(
        ('ma2ml/learner.py', 'ma2ml/policy.py', 'ma2ml/*critic.py',
         'ma2ml/credit.py', 'ma2ml/replay.py'), (),
        ('tests/ma2ml/test_learner.py', 'tests/ma2ml/test_policy.py',
         'tests/ma2ml/test_critic.py', 'tests/ma2ml/test_monotonic.py',
         'tests/ma2ml/test_sampler.py')),
}


def annotations(path: Path) -> list[tuple[int, int]]:
    """First and last line and column of what only names a type."""
    spans = []
    for node in ast.walk(ast.parse(path.read_text())):
        for name in ('annotation', 'returns'):
            part = getattr(node, name, None)
            if isinstance(part, ast.AST):
                spans.append(((part.lineno, part.col_offset),
                              (part.end_lineno, part.end_col_offset)))
    return spans


def places(path: Path) -> dict[tuple[object, ...], list[MutationSpec]]:
    """The changes of each place of a file."""
    found: dict[tuple[object, ...], list[MutationSpec]] = {}
    types = annotations(path)
    with use_db(':memory:', WorkDB.Mode.create) as work:
        init([path], work, {})
        for item in work.work_items:
            change = item.mutations[0]
            if not any(a <= change.start_pos < b for a, b in types):
                kind = change.operator_name.split('_')[0]
                found.setdefault((path, change.start_pos, kind), []).append(
                    change)
    return found


def draw(target: Target, root: Path, sample: int, seed: int
         ) -> Iterator[MutationSpec]:
    """So many changes of a target, in an order of chance."""
    package = root / 'mmvision_ext'
    without = {p for name in target.without for p in package.glob(name)}
    files = {p for name in target.modules for p in package.glob(name)}
    found: dict[tuple[object, ...], list[MutationSpec]] = {}
    for path in sorted(files - without):
        found.update(places(path))
    chance = random.Random(seed)
    drawn = chance.sample(sorted(found, key=str), min(sample, len(found)))
    print(f'{len(drawn)} of {len(found)} places, one change each', flush=True)
    for place in drawn:
        yield chance.choice(found[place])


def run(name: str, python: Path, sample: int, seed: int, limit: float) -> int:
    """Make the changes of one target; returns how many were not noticed."""
    target = TARGETS[name]
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder, 'copy')
        subprocess.run(['git', 'clone', '--quiet', str(REPO), str(root)],
                       check=True)
        Path(folder, 'shared').symlink_to(REPO.parent / 'shared')
        # `-m` puts the folder that it is called in before all others
        command = shlex.join([
            'env', '--chdir', str(root), f'PYTHONPATH={root}',
            'OMP_NUM_THREADS=1', str(python), '-m', 'pytest', '-x', '-q',
            '-p', 'no:cacheprovider', '-n', '0', *target.tests])
        begin = time.monotonic()
        done = subprocess.run(shlex.split(command), capture_output=True)
        if done.returncode:
            sys.exit(f'error: the tests of {name} fail without a change:\n'
                     + done.stdout.decode()[-2000:])
        print(f'{name}: tests take {time.monotonic() - begin:.0f} s',
              flush=True)
        counts = dict.fromkeys(TestOutcome, 0)
        for change in draw(target, root, sample, seed):
            result = mutate_and_test([change], command, limit)
            outcome = result.test_outcome or TestOutcome.INCOMPETENT
            counts[outcome] += 1
            if outcome == TestOutcome.SURVIVED:
                print(f'--- not noticed\n{result.diff}', flush=True)
    print(f'{name}: ' + ', '.join(f'{n} {k.value}' for k, n in counts.items()))
    return counts[TestOutcome.SURVIVED]


def main() -> None:
    """Parse the command line and run the targets asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split('\n')[0])
    parser.add_argument('targets', nargs='*', default=list(TARGETS),
                        help=f'of {", ".join(TARGETS)} (default: all)')
    parser.add_argument('--python', type=Path, required=True,
                        help="interpreter of the package's environment")
    parser.add_argument('--sample', type=int, default=50,
                        help='places of a target (default 50)')
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--limit', type=float, default=300,
                        help='seconds for the tests of one change')
    args = parser.parse_args()
    for name in args.targets:
        if name not in TARGETS:
            parser.error(f'target {name!r}: expected one of {list(TARGETS)}')
    for name in args.targets:
        run(name, args.python, args.sample, args.seed, args.limit)


if __name__ == '__main__':
    main()
