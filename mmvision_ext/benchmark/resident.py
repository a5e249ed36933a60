"""Memory of a fresh process that builds a model and runs one step."""

import ctypes
import gc
import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from .aliases import ALIASES
from .case import Case
from .memory import Step
from .models import build_program
from .names import parse_name
from .steps import make_step

_STATUS = Path('/proc/self/status')


@dataclass(frozen=True)
class Resident:
    """Resident memory of a process, in bytes.

    Args:
        before (int): With packages and model, just before the step.
        peak (int): The most while the step ran.
    """

    before: int
    peak: int

    @property
    def step(self) -> int:
        """What the step added."""
        return self.peak - self.before


class ChildError(RuntimeError):
    """The process ended without a result."""


def watch_resident(step: Step) -> Resident:
    """Run a step and watch the resident memory of this process.

    What the process gave back unused before is returned to the system first,
    and the system's mark of the highest memory is reset, so that the peak is
    that of the step. (``ru_maxrss`` would not do: a process inherits it from
    the one that started it.) Linux only.

    Args:
        step (Step): The computation.

    Returns:
        Resident: Bytes.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), 'malloc_trim', None)
    if trim is not None:
        trim(0)
    Path('/proc/self/clear_refs').write_text('5')
    before = _read('VmRSS')
    step()
    return Resident(before, max(before, _read('VmHWM')))


def _read(field: str) -> int:
    lines = _STATUS.read_text().splitlines()
    return next(int(x.split()[1]) * 1024 for x in lines
                if x.startswith(f'{field}:'))


def measure_resident(text: str, case: Case, threads: int) -> Resident | None:
    """Build a model and run one step of it in a process of its own.

    Args:
        text (str): The model as the user names it.
        case (Case): On the CPU.
        threads (int): Threads of torch.

    Returns:
        Resident | None: Bytes; None where the system does not tell.

    Raises:
        ChildError: If the process fails; the message says why.
    """
    if not _STATUS.exists() or not os.access('/proc/self/clear_refs', os.W_OK):
        return None
    root = str(Path(__file__).resolve().parents[2])
    paths = [root, *filter(None, [os.environ.get('PYTHONPATH')])]
    done = subprocess.run(
        [sys.executable, '-m', __spec__.name, json.dumps(
            dict(model=text, case=asdict(case), threads=threads))],
        env={**os.environ, 'PYTHONPATH': os.pathsep.join(paths)},
        capture_output=True, text=True)
    if done.returncode == -9:
        raise ChildError('its process was killed, most likely because the '
                         'memory ran out; take a smaller size or batch')
    lines = (done.stdout if done.returncode == 0 else done.stderr).split('\n')
    last = next((x for x in reversed(lines) if x.strip()), 'no message')
    if done.returncode:
        raise ChildError(last)
    return Resident(**json.loads(last))


def main(text: str) -> int:
    """What the process does.

    Args:
        text (str): What :func:`measure_resident` gives it, as JSON.

    Returns:
        int: 0, with a line of JSON on stdout, or 1 after an error, which is
        one line on stderr.
    """
    given = json.loads(text)
    torch.set_num_threads(given['threads'])
    case = Case(**given['case'])
    try:
        program = build_program(
            parse_name(given['model'], tuple(ALIASES)), case)
        step = make_step(program, case)
        if case.compile:
            step()
        print(json.dumps(asdict(watch_resident(step))))
    except Exception as error:  # any code may run here
        print(explain(error), file=sys.stderr)
        return 1
    return 0


def explain(error: Exception) -> str:
    """An error in one line.

    Args:
        error (Exception): The error.

    Returns:
        str: What it says, after its type unless it is one of ours.
    """
    text = ' '.join(str(error).split())
    if isinstance(error, (ChildError, ValueError)) or \
            type(error).__module__.startswith('mmvision_ext'):
        return text
    return f'{type(error).__name__}: {text}'[:300]


if __name__ == '__main__':
    sys.exit(main(sys.argv[1]))
