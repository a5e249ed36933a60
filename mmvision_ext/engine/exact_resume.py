"""A resumed run that equals the one that was never interrupted.

mmengine resumes weights, optimizer and schedules, but starts the random
numbers anew, and those of loader workers depend on when the workers started.
Here nothing depends on what came before: each training step and each sample
begins with random numbers that follow from the seed and its place in the run
alone.
"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mmengine.dist import broadcast_object_list, get_rank, is_main_process
from mmengine.hooks import CheckpointHook, Hook
from mmengine.logging import print_log

from mmvision_ext.compat.files import remove_drafts, write_atomically
from mmvision_ext.registry import HOOKS

_STEP, _SAMPLE = 0, 1  # so that the two never share their numbers
_SAMPLER_SEED = 'mmvision_ext_sampler_seed'
_MARK = 'last_validation'


def seed_all(*key: int, this_process_only: bool = False) -> None:
    """Seed Python's, NumPy's and torch's random numbers.

    Args:
        *key (int): Non-negative numbers; other numbers, other seeds.
        this_process_only (bool): Leave the devices alone, as in a loader
            worker, where CUDA must not be touched. Defaults to False.
    """
    words = np.random.SeedSequence(key).generate_state(4)
    random.seed(int(words[0]))
    np.random.seed(words[1])
    number = int(words[2]) << 32 | int(words[3])
    if this_process_only:
        torch.default_generator.manual_seed(number)
    else:
        torch.manual_seed(number)


class Sample(int):
    """The index of a sample that knows its place in the run.

    Attributes:
        place (tuple[int, int]): Epoch, and number in the epoch on this rank.
    """
    place: tuple[int, int]


class PlacedBatches:
    """A batch sampler whose indices are each a :class:`Sample`.

    Args:
        batches (Any): The batch sampler it stands for.
        loop (Any): The training loop, which knows the epoch.
        endless (bool): Start the next epoch by itself, as loops that count
            iterations want.
        skip (int): Batches to leave out at the beginning, as they were
            trained on before. Defaults to 0.
    """

    def __init__(self, batches: Any, loop: Any, endless: bool,
                 skip: int = 0) -> None:
        self._batches = batches
        self._loop = loop
        self._endless = endless
        self._skip = skip

    def __getattr__(self, name: str) -> Any:
        if name.startswith('__'):  # asked for while it is unpickled
            raise AttributeError(name)
        return getattr(self._batches, name)

    def __len__(self) -> int:
        return len(self._batches)

    def __iter__(self) -> Iterator[list[Sample]]:
        skip, self._skip = self._skip, 0
        epoch, number = (0 if self._endless else self._loop.epoch), 0
        while True:
            for batch in self._batches:
                placed = []
                for index in batch:
                    sample = Sample(index)
                    sample.place = epoch, number
                    placed.append(sample)
                    number += 1
                if skip:
                    skip -= 1
                else:
                    yield placed
            if not self._endless:
                return
            epoch, number = epoch + 1, 0
            sampler = getattr(self._batches, 'sampler', None)
            if hasattr(sampler, 'set_epoch'):
                sampler.set_epoch(epoch)


class SeededItems:
    """Fetches the samples of a batch, each with random numbers of its own.

    Args:
        dataset (Any): Where they are.
        seed (int): Of the run.
        rank (int): Of the process.
    """

    def __init__(self, dataset: Any, seed: int, rank: int) -> None:
        self._dataset = dataset
        self._key = seed, rank, _SAMPLE

    def __call__(self, batch: Sequence[int]) -> list[Any]:
        """Fetch a batch.

        Args:
            batch (Sequence[int]): Indices; those that know their place are
                seeded.

        Returns:
            list[Any]: The samples.
        """
        items = []
        for index in batch:
            if isinstance(index, Sample):
                seed_all(*self._key, *index.place, this_process_only=True)
            items.append(self._dataset[index])
        return items


class _Batches:
    """The batches of a loop that counts iterations.

    Args:
        loader (Any): The loader.
        ignored (int): How often the loop will ask for batches that were
            trained on before; they are not loaded.
    """

    def __init__(self, loader: Any, ignored: int) -> None:
        self._loader = loader
        self._ignored = ignored
        self._iterator: Iterator | None = None

    def __iter__(self) -> '_Batches':
        return self

    def __next__(self) -> Any:
        if self._ignored:
            self._ignored -= 1
            return None
        if self._iterator is None:
            self._iterator = iter(self._loader)
        return next(self._iterator)

    def skip_iter(self, num_iters: int) -> None:
        """Nothing to do: the batch sampler has skipped them."""


@HOOKS.register_module()
class ExactResumeHook(Hook):
    """Makes a resumed run go on as if it had never stopped.

    Before each training step the random numbers of the process are seeded
    from the run's seed, the rank and the iteration, and in the loader's
    workers before each sample from its place in the run. So nothing but the
    checkpoint decides how a run goes on: with ``randomness=dict(seed=...,
    deterministic=True)`` the weights are the same, bit by bit, on a CPU.

    On resume, batches trained on before are skipped without being loaded,
    the sampler goes on with the seed of the first start, and a validation
    that was due at the checkpoint and was cut off is made up for.

    A run is the same only on the same number of processes, and where a
    checkpoint does not fall between the steps of a gradient accumulation: a
    half-accumulated gradient is not saved.
    """

    priority = 'LOWEST'  # after the checkpoint hook

    def __init__(self) -> None:
        self._sampler_seed: int | None = None

    def after_load_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Remember what the sampler was seeded with."""
        seed = (checkpoint.get('meta') or {}).get(_SAMPLER_SEED)
        if getattr(runner, '_resume', False) and isinstance(seed, int):
            self._sampler_seed = seed

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Save what the sampler is seeded with."""
        seed = getattr(_sampler(runner.train_dataloader), 'seed', None)
        if isinstance(seed, int):
            checkpoint['meta'][_SAMPLER_SEED] = seed

    def before_train(self, runner: Any) -> None:
        """Give samples their place; go on where the checkpoint was."""
        loop = runner.train_loop
        loader = loop.dataloader
        _forget_iterator(loop, loader)
        self._seed_sampler(_sampler(loader))
        counts_iters = hasattr(loop, 'dataloader_iterator')
        done = loop.iter
        skip = done if counts_iters else done - loop.epoch * len(loader)
        if getattr(loader, 'batch_sampler', None) is not None:
            # The loader guards this name against what comes after its making.
            object.__setattr__(
                loader, 'batch_sampler',
                PlacedBatches(loader.batch_sampler, loop, counts_iters,
                              max(skip, 0)))
            loader.dataset.__getitems__ = SeededItems(
                loader.dataset, runner.seed, get_rank())
            if counts_iters:
                loop.dataloader_iterator = _Batches(
                    loader, 0 if _skips(loop.dataloader_iterator) else done)
        if done and is_main_process():
            remove_drafts(runner.work_dir)
        if done and self._owes_validation(runner):
            print_log('the validation that was due at this checkpoint is '
                      'made up for', logger='current')
            _let_it_save(runner)
            runner.val_loop.run()

    def before_train_iter(self, runner: Any, batch_idx: int,
                          data_batch: Any = None) -> None:
        """Seed the step."""
        seed_all(runner.seed, get_rank(), _STEP, runner.iter)

    def after_val_epoch(self, runner: Any,
                        metrics: dict[str, float] | None = None) -> None:
        """Note that this validation was done."""
        if is_main_process():
            text = str(runner.iter).encode()
            write_atomically(Path(runner.work_dir, _MARK),
                             lambda file: file.write(text))

    def _seed_sampler(self, sampler: Any) -> None:
        """The seed of the first start, and its indices from the first on."""
        if self._sampler_seed is not None and hasattr(sampler, 'seed'):
            sampler.seed = self._sampler_seed
        if hasattr(sampler, '_indices_of_rank'):
            sampler.indices = sampler._indices_of_rank()

    @staticmethod
    def _owes_validation(runner: Any) -> bool:
        loop = runner.train_loop
        if runner.val_loop is None:
            return False
        if hasattr(loop, 'dataloader_iterator'):
            now, last = loop.iter, loop.max_iters
        else:
            now, last = loop.epoch, loop.max_epochs
        if now < loop.val_begin or (now % loop.val_interval and now != last):
            return False
        try:
            mark = Path(runner.work_dir, _MARK).read_text()
        except (OSError, UnicodeDecodeError):
            mark = ''
        # One process decides, as the others may not see its disk.
        owes = [mark != str(loop.iter)]
        broadcast_object_list(owes)
        return owes[0]


def _sampler(loader: Any) -> Any:
    batches = getattr(loader, 'batch_sampler', None)
    return getattr(batches, 'sampler', getattr(loader, 'sampler', None))


def _let_it_save(runner: Any) -> None:
    """Have a better score written into the checkpoint it belongs to.

    The checkpoint hook does so for one that it wrote itself, which it tells
    by the name it remembers.
    """
    for hook in runner.hooks:
        if isinstance(hook, CheckpointHook) and hook.last_ckpt is None:
            hook.last_ckpt = runner.message_hub.get_info('last_ckpt', '')


def _skips(iterator: Any) -> bool:
    return hasattr(iterator, 'skip_iter')


def _forget_iterator(loop: Any, loader: Any) -> None:
    """Let go of workers that were started with the loop.

    They hold a copy of the dataset from before, and have loaded the first
    batches already.
    """
    iterator = getattr(loop, 'dataloader_iterator', None)
    if iterator is not None:
        iterator._iterator = None
    loader._iterator = None
