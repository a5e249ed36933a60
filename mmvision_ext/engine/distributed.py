"""Starting the processes of a distributed run on this machine.

``tools/dist_train.sh`` and ``tools/dist_test.sh`` call this module. It runs
torchrun in this process, picks a port and a number of threads, and turns the
end of a rank into an exit status and at most one line.
"""
import argparse
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from .errors import LaunchError
from .messages import MESSAGE_FILE

_DEFAULT_PORT = 29500


def launch(processes: int, script: str, args: Sequence[str]) -> int:
    """Run a script in several processes with torchrun.

    ``NNODES``, ``NODE_RANK``, ``MASTER_ADDR`` and ``PORT`` are taken from the
    environment. On one machine the port is a free one unless given. Without
    CUDA, ``OMP_NUM_THREADS`` and ``MKL_NUM_THREADS`` become the number of
    cores by the number of processes, unless set.

    Args:
        processes (int): Processes on this machine: one a GPU, or any number
            without CUDA.
        script (str): Python script to run.
        args (Sequence[str]): Its arguments.

    Returns:
        int: 0, or the exit status of the first process that failed (at
        least 1), or 130 after Ctrl-C.

    Raises:
        LaunchError: If the environment or the number cannot be meant.
    """
    import torch
    from torch.distributed import run
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import (
        ChildFailedError,
    )
    _check_devices(processes)
    flags = [f'--nproc-per-node={processes}', *_rendezvous_flags()]
    if not torch.cuda.is_available():
        cores = len(os.sched_getaffinity(0))
        threads = str(max(1, cores // processes))
        # mmengine warns, and takes one thread, where the second is not set.
        for name in ('OMP_NUM_THREADS', 'MKL_NUM_THREADS'):
            os.environ.setdefault(name, threads)
    # torchrun's warnings and tables say nothing that the ranks have not said.
    logging.disable(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder:
        message = Path(folder, 'message')
        os.environ[MESSAGE_FILE] = str(message)
        try:
            run.run(run.parse_args([*flags, script, *args]))
            return 0
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            line = _describe_end(rank, failure.exitcode)
            # A rank ended by a signal has a negative status.
            status = failure.exitcode if failure.exitcode > 0 else 1
        except (SignalException, KeyboardInterrupt) as error:
            number = getattr(error, 'sigval', signal.SIGINT)
            line, status = 'interrupted', 128 + int(number)
        finally:
            del os.environ[MESSAGE_FILE]
        if status < 128 and message.is_file():
            line = message.read_text()
        print(line, file=sys.stderr)
        return status


def _describe_end(rank: int, status: int) -> str:
    if status >= 0:
        return f'rank {rank} failed with exit status {status}'
    # Linux kills with SIGKILL when memory runs out.
    hint = ': was there too little memory?' \
        if status == -signal.SIGKILL else ''
    return f'rank {rank} was killed by {signal.Signals(-status).name}{hint}'


def _check_devices(processes: int) -> None:
    import torch
    if processes < 1:
        raise LaunchError(f'{processes} processes: expected at least 1')
    devices = torch.cuda.device_count() if torch.cuda.is_available() else None
    if devices is not None and processes > devices:
        raise LaunchError(f'{processes} processes need as many GPUs, but '
                          f'{devices} can be seen')


def _rendezvous_flags() -> list[str]:
    nodes = _number('NNODES', 1)
    address = os.environ.get('MASTER_ADDR')
    if nodes > 1 and not address:
        raise LaunchError(f'NNODES={nodes} needs MASTER_ADDR, the address of '
                          'the machine with NODE_RANK=0')
    # Several machines have to agree on the port without talking.
    port = _number('PORT', _DEFAULT_PORT if nodes > 1 else _free_port())
    return [
        f'--nnodes={nodes}', f'--node-rank={_number("NODE_RANK", 0)}',
        f'--master-addr={address or "127.0.0.1"}', f'--master-port={port}'
    ]


def _number(name: str, default: int) -> int:
    text = os.environ.get(name) or str(default)
    if not text.isdigit():
        raise LaunchError(f'{name}={text}: expected a number')
    return int(text)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def main(argv: Sequence[str] | None = None) -> int:
    """Command line of the module: ``PROCESSES SCRIPT [ARGS...]``.

    Args:
        argv (Sequence[str], optional): Default: that of the process.

    Returns:
        int: Exit status, as :func:`launch`; 2 after a mistake.
    """
    parser = argparse.ArgumentParser(prog='mmvision_ext.engine.distributed')
    parser.add_argument('processes', type=int)
    parser.add_argument('script')
    parser.add_argument('args', nargs=argparse.REMAINDER)
    args = parser.parse_args(argv)
    try:
        return launch(args.processes, args.script, args.args)
    except LaunchError as error:
        print(f'{Path(args.script).name}: {error}', file=sys.stderr)
        return 2


if __name__ == '__main__':
    sys.exit(main())
