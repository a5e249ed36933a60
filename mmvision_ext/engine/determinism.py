"""``--seed`` and ``--deterministic``: the same command, the same weights."""
import argparse
import os
from typing import Any

#: Seeds of the processes are this one and the next ones; numpy takes 32 bits.
_MAX_SEED = 2**31 - 1
#: Read by cuBLAS when a process first uses it; with its own setting, sums may
#: be taken in another order each time.
_CUBLAS = ('CUBLAS_WORKSPACE_CONFIG', ':4096:8')


def seed_number(text: str) -> int:
    """A seed as it is written on a command line.

    Args:
        text (str): The digits.

    Returns:
        int: The seed.

    Raises:
        argparse.ArgumentTypeError: If it is no whole number of 31 bits.
    """
    if not text.isascii() or not text.isdigit() or int(text) > _MAX_SEED:
        raise argparse.ArgumentTypeError(
            f'{text!r}: expected a whole number from 0 to {_MAX_SEED}')
    return int(text)


def set_randomness(cfg: Any, seed: int | None, deterministic: bool) -> None:
    """Write seed and determinism into a config.

    Args:
        cfg (mmengine.Config): The config, changed in place.
        seed (int, optional): Takes the place of the config's. Without one,
            and without one in the config, a deterministic run has seed 0.
        deterministic (bool): Whether two runs are to be the same; if not,
            the config's own choice stays.
    """
    randomness = dict(cfg.get('randomness') or {})
    if seed is not None:
        randomness['seed'] = seed
    if deterministic:
        os.environ.setdefault(*_CUBLAS)
        randomness['deterministic'] = True
        if randomness.get('seed') is None:
            randomness['seed'] = 0
        # The search for the fastest kernel is decided by noise.
        cfg.env_cfg = {**(cfg.get('env_cfg') or {}), 'cudnn_benchmark': False}
    if randomness:
        cfg.randomness = randomness


def warn_of_other_operations() -> None:
    """Let operations run that have no deterministic form, with a warning.

    mmengine asks torch to refuse them, which ends trainings of detectors and
    segmentors on GPUs. To be called once the runner is built.
    """
    import torch
    torch.use_deterministic_algorithms(True, warn_only=True)
