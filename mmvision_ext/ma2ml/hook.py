"""The hook by which a training tells the search how it does."""
import math
import os
import time
from typing import Any, Optional, Union

import torch
from mmengine.dist import broadcast_object_list, is_main_process
from mmengine.hooks import Hook
from mmengine.runner import IterBasedTrainLoop

from ..registry import HOOKS
from .trial_files import TRIAL_DIR, TrialFolder

DATA_BATCH = Optional[Union[dict, tuple, list]]


@HOOKS.register_module()
class MA2MLSearchHook(Hook):
    """Reports a training to the search that runs it, and stops if told to.

    After each validation the metric is reported; the search records it and
    answers whether its pruner (ASHA, median...) gives the trial up. At the
    end the last value becomes the reward. Without a search, that is unless
    the variable ``MMVISION_TRIAL_DIR`` names the folder of a trial, the hook
    does nothing, so that it may stand in any config. In distributed training
    rank 0 speaks for all.

    A loss or metric that is not finite ends the training: the trial fails
    with class 'nan'.

    Args:
        metric (str, optional): Name of the metric as the evaluator gives it,
            such as 'accuracy/top1'. Defaults to None, the one that the
            search asks for.
        loss_interval (int): Look at the loss every so many iterations.
            Defaults to 10.
        patience (float): Seconds to wait for the answer to a report before
            going on without. The search answers within a second; it may
            have been killed. Defaults to 30.

    Raises:
        ValueError: In a trial, if the metric is not among those evaluated.
        FloatingPointError: In a trial, if loss or metric is not finite.
    """

    # Behind all others: what they do to the metrics is done.
    priority = 'LOWEST'

    def __init__(self,
                 metric: Optional[str] = None,
                 loss_interval: int = 10,
                 patience: float = 30.) -> None:
        place = os.environ.get(TRIAL_DIR)
        self.folder = TrialFolder(place) if place else None
        self.metric = metric
        self.loss_interval = loss_interval
        self.patience = patience
        self._last: Optional[dict[str, Any]] = None
        self._pruned = False
        self._begin = time.monotonic()
        if self.folder is not None and metric is None:
            self.metric = self.folder.candidate.get('metric')

    def after_train_iter(self,
                         runner: Any,
                         batch_idx: int,
                         data_batch: DATA_BATCH = None,
                         outputs: Optional[dict] = None) -> None:
        """Look at the loss."""
        if self.folder is None or not self.every_n_train_iters(
                runner, self.loss_interval):
            return
        loss = (outputs or {}).get('loss')
        if loss is not None and not torch.isfinite(
                torch.as_tensor(loss)).all():
            raise FloatingPointError(
                f'the loss is {float(loss)} (not finite) at iteration '
                f'{runner.iter + 1}')

    def after_val_epoch(self,
                        runner: Any,
                        metrics: Optional[dict[str, float]] = None) -> None:
        """Report the metric and follow the answer."""
        if self.folder is None:
            return
        step, value = _step(runner), self._value(metrics or {})
        self._last = dict(
            step=step, value=value, metrics=_numbers(metrics or {}))
        stop = [False]
        if is_main_process():
            self.folder.report(step, value)
            stop = [self._wait_for_answer(step)]
        broadcast_object_list(stop)
        if stop[0]:
            self._pruned = True
            runner.train_loop.stop_training = True
            runner.logger.info(f'the search stops this trial: {self.metric} '
                               f'is {value} after {step}')

    def after_train(self, runner: Any) -> None:
        """Write the reward."""
        if self.folder is None or not is_main_process():
            return
        if self._last is None:
            raise ValueError(
                'the training ended without a validation: the reward is '
                f'{self.metric} on held-out data; set val_dataloader, '
                'val_cfg, val_evaluator and train_cfg.val_interval')
        memory = torch.cuda.max_memory_allocated() \
            if torch.cuda.is_available() else None
        self.folder.write_result(
            state='pruned' if self._pruned else 'complete',
            seconds=time.monotonic() - self._begin, gpu_memory=memory,
            **self._last)

    def _value(self, metrics: dict[str, float]) -> float:
        if self.metric not in metrics:
            raise ValueError(f'the metric {self.metric!r} is not among those '
                             f'evaluated: {", ".join(sorted(metrics))}')
        value = float(metrics[self.metric])
        if not math.isfinite(value):
            raise FloatingPointError(f'{self.metric} is {value} (not finite)')
        return value

    def _wait_for_answer(self, step: int) -> bool:
        assert self.folder is not None
        end = time.monotonic() + self.patience
        pause = 0.01
        while time.monotonic() < end:
            answer = self.folder.verdict(step)
            if answer is not None:
                return answer
            time.sleep(pause)
            pause = min(2 * pause, 0.5)
        return False


def _step(runner: Any) -> int:
    """Epochs done, or iterations where the training counts in these."""
    by_iter = isinstance(runner.train_loop, IterBasedTrainLoop)
    return runner.iter if by_iter else runner.epoch


def _numbers(metrics: dict[str, Any]) -> dict[str, float]:
    """Those metrics that are single numbers."""
    found = {}
    for name, value in metrics.items():
        try:
            found[name] = float(value)
        except (TypeError, ValueError):
            continue
    return found
