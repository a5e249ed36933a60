"""The hook that ends a training whose values are not finite any more."""

import functools
import math
from typing import Any, Optional

import torch
import torch.distributed as dist
from mmengine.hooks import CheckpointHook, Hook
from mmengine.model import is_model_wrapper
from mmengine.optim import OptimWrapper, OptimWrapperDict
from torch import Tensor, nn

from ..registry import HOOKS
from .errors import LaunchError
from .nonfinite_cause import (
    Cause,
    RandomState,
    bad_weight,
    find_cause,
    first_bad_tensor,
    image_names,
)

# A dynamic loss scale starts at 65536; below this nothing is left of it.
_SMALLEST_SCALE = 1e-4
_SCALE_INTERVAL = 50
_SHOWN_IMAGES = 4


class NonFiniteError(LaunchError, FloatingPointError):
    """A loss, gradient or weight became infinite or not a number."""


@HOOKS.register_module()
class NonFiniteHook(Hook):
    """Stops a training at the first loss, gradient or weight out of range.

    A loss that is infinite or not a number is noticed before the optimizer
    makes its step, so that the weights stay good. The batch is then run
    forward again, with the same random numbers, and every module watched;
    the error names iteration, learning rate, each loss, the first module,
    weight or image that is not finite, and the last checkpoint. A gradient
    that is not finite while the loss is, is noticed after the step it
    spoils. Weights are looked at before the training, each validation and
    each checkpoint: none is written over a good one.

    A training without an accident waits for nothing: the loss travels to
    the host during the backward pass, gradients are reduced on the device to
    one number a parameter, and these are read after mmengine has read the
    losses. In distributed training one byte a step goes round over gloo, and
    all processes stop at the same iteration. With gradient accumulation
    every batch counts.

    Under a loss scale (AMP in float16) gradients that overflow are usual and
    left to the scale, which skips the step. A loss that is not finite makes
    it skip as well; that is accepted ``amp_patience`` times in a row. A
    scale that has fallen below 1e-4 ends the training.

    Args:
        amp_patience (int): Steps in a row that a loss scale may leave out
            because the loss itself is not finite; 0 stops at the first.
            Defaults to 10.

    Raises:
        ValueError: If ``amp_patience`` is negative.
        NonFiniteError: By the methods, when a value is not finite.
    """

    # Before averages (ABOVE_NORMAL), teachers and checkpoints take over
    # what may be spoilt; after mmengine has read the losses.
    priority = 'HIGH'

    def __init__(self, amp_patience: int = 10) -> None:
        if amp_patience < 0:
            raise ValueError(f'amp_patience={amp_patience}: expected 0 or '
                             'more')
        self.amp_patience = amp_patience
        self._losses: list[tuple[Tensor, Optional[Any]]] = []
        self._norms: dict[str, Tensor] = {}
        self._found: Optional[str] = None
        self._skipped = 0
        self._batch: Any = None
        self._random: Optional[RandomState] = None
        self._group: Any = None

    def before_train(self, runner: Any) -> None:
        """Look at the weights, and from now on at each step.

        Raises:
            NonFiniteError: If a weight is not finite already.
        """
        self._check_weights(runner, 'before the training')
        if dist.is_initialized() and dist.get_world_size() > 1:
            # By the CPU: a message through the device would wait for it.
            self._group = dist.group.WORLD if dist.get_backend() == 'gloo' \
                else dist.new_group(backend='gloo')
        for wrapper in _wrappers(runner):
            if 'step' not in vars(wrapper):
                self._guard(runner, wrapper)

    def after_train(self, runner: Any) -> None:
        """Leave the optimizer as it was."""
        for wrapper in _wrappers(runner):
            for name in ('step', 'backward'):
                vars(wrapper).pop(name, None)

    def _guard(self, runner: Any, wrapper: OptimWrapper) -> None:
        """Look at losses before a backward pass, and again before a step."""
        backward, step = wrapper.backward, wrapper.step

        @functools.wraps(backward)
        def watched_backward(loss: Tensor, **kwargs: Any) -> None:
            self._losses.append(_start_copy(loss.detach()))
            backward(loss, **kwargs)

        @functools.wraps(step)
        def watched_step(**kwargs: Any) -> None:
            self._check_losses(runner, wrapper)
            self._agree()
            if not _is_scaled(wrapper):
                self._norms.update(_gradient_norms(runner, wrapper))
            step(**kwargs)

        wrapper.backward, wrapper.step = watched_backward, watched_step

    def before_train_iter(self, runner: Any, batch_idx: int,
                          data_batch: Any = None) -> None:
        """Keep what a repetition of this iteration needs."""
        self._batch = data_batch
        self._random = RandomState.now()

    def after_train_iter(self, runner: Any, batch_idx: int,
                         data_batch: Any = None,
                         outputs: Optional[dict] = None) -> None:
        """Read the gradients' norms; look at weights about to be saved.

        Raises:
            NonFiniteError: If one is not finite.
        """
        for wrapper in _wrappers(runner):
            # Of an iteration that only accumulates.
            self._check_losses(runner, wrapper)
            if self.every_n_train_iters(runner, _SCALE_INTERVAL):
                _check_scale(runner, wrapper)
        if self._found is not None and self._group is None:
            raise NonFiniteError(self._found)
        self._check_gradients(runner)
        if self._saves_now(runner):
            self._check_weights(runner, f'at iteration {runner.iter + 1}')

    def after_train_epoch(self, runner: Any) -> None:
        """Look at the weights before they are saved.

        Raises:
            NonFiniteError: If one is not finite.
        """
        self._check_weights(runner, f'after epoch {runner.epoch + 1}')

    def before_val_epoch(self, runner: Any) -> None:
        """Look at the weights before they are evaluated.

        Raises:
            NonFiniteError: If one is not finite.
        """
        self._check_weights(runner, f'at iteration {runner.iter}')

    def before_save_checkpoint(self, runner: Any, checkpoint: dict) -> None:
        """Let no spoilt weights onto the disk, whoever saves them.

        Raises:
            NonFiniteError: If one is not finite.
        """
        name = first_bad_tensor(
            (name, value) for name, value in checkpoint['state_dict'].items()
            if isinstance(value, Tensor))
        if name is not None:
            raise NonFiniteError(
                f'non-finite weights: parameter {name} at iteration '
                f'{runner.iter}; not saved; {_last_good(runner)}')

    def _check_losses(self, runner: Any, wrapper: OptimWrapper) -> None:
        """Note what is wrong with the losses since the last call."""
        pending, self._losses = self._losses, []
        bad = [value for value in map(_finish_copy, pending)
               if not math.isfinite(value)]
        if not pending or self._found is not None:
            return
        if bad and _is_scaled(wrapper):
            self._skipped += 1
            if self._skipped <= self.amp_patience:
                runner.logger.warning(
                    f'the loss is {bad[0]} at iteration {runner.iter + 1}: '
                    'the loss scale leaves out this step')
                return
        elif not bad:
            self._skipped = 0
            return
        self._found = self._explain_loss(runner, wrapper, bad[0])

    def _explain_loss(self, runner: Any, wrapper: OptimWrapper,
                      loss: float) -> str:
        cause = self._find_cause(runner, wrapper)
        losses = ', '.join(f'{name} {value:.4g}'
                           for name, value in cause.losses.items())
        names = image_names(self._batch)
        more = ', ...' if len(names) > _SHOWN_IMAGES else ''
        images = f'images {", ".join(names[:_SHOWN_IMAGES])}{more}'
        parts = [
            f'non-finite loss {_moment(runner)}: {losses or loss}',
            f'first non-finite: {cause.origin}' if cause.origin else '',
            images if names else '',
            'the step was not made', _last_good(runner), _advice(cause)]
        return '; '.join(part for part in parts if part)

    def _find_cause(self, runner: Any, wrapper: OptimWrapper) -> Cause:
        model = runner.model
        if isinstance(model, nn.parallel.DistributedDataParallel):
            model = model.module
        elif is_model_wrapper(model):
            # Its forward pass needs all processes.
            weight = bad_weight(model)
            return Cause(weight or '')
        # Statistics over all processes would wait for the others.
        for module in model.modules():
            if type(module).__name__ == 'SyncBatchNorm':
                module.eval()
        assert self._random is not None
        try:
            return find_cause(model, self._batch, self._random,
                              wrapper.optim_context)
        except Exception as error:
            # Whatever fails here must not hide what is to be told.
            return Cause('not found, as repeating the forward pass ended in '
                         f'{type(error).__name__}')

    def _agree(self) -> None:
        """Stop all processes if one has found something."""
        if self._group is None:
            if self._found is not None:
                raise NonFiniteError(self._found)
            return
        flag = torch.tensor([self._found is not None], dtype=torch.uint8)
        dist.all_reduce(flag, dist.ReduceOp.MAX, group=self._group)
        if not flag.item():
            return
        found: list = [None] * dist.get_world_size()
        dist.all_gather_object(found, self._found, group=self._group)
        rank = next(i for i, line in enumerate(found) if line is not None)
        raise NonFiniteError(f'rank {rank}: {found[rank]}')

    def _check_gradients(self, runner: Any) -> None:
        norms, self._norms = self._norms, {}
        if not norms or bool(torch.stack(list(norms.values()))
                             .isfinite().all()):
            return
        bad = [name for name, norm in norms.items()
               if not math.isfinite(float(norm))]
        line = (f'non-finite gradient {_moment(runner)}: of {len(bad)} of '
                f'{len(norms)} parameters, nearest to the output {bad[-1]}; '
                'the loss was finite; the step has spoilt the weights; '
                f'{_last_good(runner)}; {_advice(Cause())}')
        model = runner.model
        if is_model_wrapper(model) and not isinstance(
                model, nn.parallel.DistributedDataParallel):
            # Others may have finite shards: at the next step, together.
            self._found = self._found or line
            return
        raise NonFiniteError(line)

    def _check_weights(self, runner: Any, when: str) -> None:
        name = bad_weight(runner.model)
        if name is not None:
            raise NonFiniteError(f'non-finite weights {when}: {name}; '
                                 f'not saved; {_last_good(runner)}')

    def _saves_now(self, runner: Any) -> bool:
        """Whether a checkpoint may be due at this iteration."""
        hooks = [hook for hook in runner.hooks
                 if isinstance(hook, CheckpointHook)]
        return any(
            hook.is_last_train_iter(runner) or not hook.by_epoch
            and hook.every_n_train_iters(runner, hook.interval)
            for hook in hooks)


def _wrappers(runner: Any) -> list[OptimWrapper]:
    wrapper = runner.optim_wrapper
    if isinstance(wrapper, OptimWrapperDict):
        return list(wrapper.values())
    return [wrapper]


def _is_scaled(wrapper: OptimWrapper) -> bool:
    scaler = getattr(wrapper, 'loss_scaler', None)
    return scaler is not None and scaler.is_enabled()


def _check_scale(runner: Any, wrapper: OptimWrapper) -> None:
    if not _is_scaled(wrapper):
        return
    scale = wrapper.loss_scaler.get_scale()
    if scale < _SMALLEST_SCALE:
        raise NonFiniteError(
            f'non-finite gradient {_moment(runner)}: every step is left out, '
            f'and the loss scale has fallen to {scale:.2g}; '
            f'{_last_good(runner)}; train in bfloat16 or without --amp')


def _start_copy(loss: Tensor) -> tuple[Tensor, Optional[Any]]:
    """Send a loss to the host without waiting for it."""
    if not loss.is_cuda:
        return loss, None
    copy = loss.to('cpu', non_blocking=True)
    event = torch.cuda.Event()
    event.record()
    return copy, event


def _finish_copy(pending: tuple[Tensor, Optional[Any]]) -> float:
    copy, event = pending
    if event is not None:
        event.synchronize()
    return float(copy)


def _gradient_norms(runner: Any, wrapper: OptimWrapper) -> dict[str, Tensor]:
    """The largest value of each gradient, on the device."""
    params = {id(p) for group in wrapper.param_groups
              for p in group['params']}
    grads = {name: p.grad for name, p in runner.model.named_parameters()
             if id(p) in params and p.grad is not None
             and not p.grad.is_sparse and p.grad.numel()}
    if not grads:
        return {}
    # The largest value and no sum of squares, which could overflow.
    norms = torch._foreach_norm(list(grads.values()), float('inf'))
    return {name.removeprefix('module.'): norm
            for name, norm in zip(grads, norms)}


def _moment(runner: Any) -> str:
    rates = [rate for group in runner.optim_wrapper.get_lr().values()
             for rate in (group if isinstance(group, list) else [group])]
    low, high = min(rates), max(rates)
    rate = f'{high:.3g}' if low == high else f'{low:.3g} to {high:.3g}'
    return f'at iteration {runner.iter + 1} (learning rate {rate})'


def _last_good(runner: Any) -> str:
    # Late: the tools import much that a hook has no need of.
    from .launch import latest_checkpoint
    try:
        path = latest_checkpoint(runner.work_dir)
    except LaunchError:
        path = None
    return 'no checkpoint yet' if path is None \
        else f'last checkpoint {path}, from which --resume goes on'


def _advice(cause: Cause) -> str:
    if cause.origin.startswith('input image'):
        return 'mend or remove the image'
    return ('try a lower learning rate, a longer warm-up or '
            'optim_wrapper.clip_grad.max_norm=1')
