"""Trainings that go wrong in every way, and what the hook says of them."""
import math
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from mmengine.dataset import pseudo_collate
from mmengine.model import BaseModel
from mmengine.optim import OptimWrapper
from mmengine.runner import Runner
from torch import nn

from mmvision_ext.engine.nonfinite import NonFiniteError, NonFiniteHook

ITERS = 12


class Blower(nn.Module):
    """Passes on its input, up to the call that it blows up at."""

    def __init__(self) -> None:
        super().__init__()
        self.calls, self.bad_call, self.mode = 0, 0, 'output'
        self.scale = nn.Parameter(torch.ones(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        x = x * self.scale
        if self.calls < self.bad_call or not self.bad_call:
            return x
        if self.mode == 'output':
            return x / 0.
        # Finite on the way there, not on the way back.
        return x + 0 * (x - x.detach()).abs().sqrt()


class Toy(BaseModel):
    """Two losses, the second through dropout."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.body = nn.Sequential(Blower(), nn.Dropout(0.5))
        self.last = nn.Linear(4, 1)

    def forward(self, x: Any, mode: str = 'loss') -> Any:
        first = self.first(torch.stack(x))
        return dict(loss_main=self.last(self.body(first)).square().mean(),
                    loss_side=self.first.weight.square().mean())

    @property
    def blower(self) -> Blower:
        return self.body[0]


class Scaled(OptimWrapper):
    """Skips steps with gradients that overflow, as a GradScaler does."""

    class Scaler:
        scale = 65536.

        def is_enabled(self) -> bool:
            return True

        def get_scale(self) -> float:
            return self.scale

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.loss_scaler = self.Scaler()
        self.skipped = 0

    def step(self, **kwargs: Any) -> None:
        grads = [p.grad for g in self.param_groups for p in g['params']]
        if all(bool(g.isfinite().all()) for g in grads):
            self.optimizer.step(**kwargs)
        else:
            self.skipped += 1


def make_runner(work_dir: Path, model: Toy, wrapper: Any = None,
                data: Any = None, interval: int = 5,
                launcher: str = 'none', **hook: Any) -> Runner:
    optim = torch.optim.SGD(model.parameters(), lr=0.01)
    data = data or [dict(x=torch.rand(4)) for _ in range(2 * ITERS)]
    return Runner(
        model, str(work_dir), experiment_name=f'{work_dir.name}',
        train_dataloader=dict(
            batch_size=2, dataset=data,
            sampler=dict(type='DefaultSampler', shuffle=False),
            collate_fn=pseudo_collate),
        optim_wrapper=wrapper(optimizer=optim) if wrapper
        else OptimWrapper(optim),
        train_cfg=dict(type='IterBasedTrainLoop', max_iters=ITERS),
        default_hooks=dict(
            checkpoint=dict(type='CheckpointHook', by_epoch=False,
                            interval=interval, max_keep_ckpts=1),
            nonfinite=dict(type='mmvision_ext.NonFiniteHook', **hook)),
        launcher=launcher, randomness=dict(seed=0), log_level='ERROR')


def weights_are_finite(model: nn.Module) -> bool:
    return all(bool(p.isfinite().all()) for p in model.parameters())


@pytest.mark.smoke
def test_module_is_named_before_the_step(tmp_path: Path) -> None:
    model = Toy()
    model.blower.bad_call = 7
    runner = make_runner(tmp_path, model)
    with pytest.raises(NonFiniteError) as error:
        runner.train()
    line = str(error.value)
    assert 'at iteration 7 (learning rate 0.01)' in line
    assert 'first non-finite: output of body.0 (Blower)' in line
    assert 'loss_side 0.' in line
    assert 'loss_main nan' in line or 'loss_main inf' in line
    assert f'last checkpoint {tmp_path}/iter_5.pth' in line
    assert '\n' not in line
    assert runner.iter == 6
    assert weights_are_finite(model)


@pytest.mark.smoke
def test_gradient_alone_is_noticed_and_not_saved(tmp_path: Path) -> None:
    model = Toy()
    model.blower.bad_call, model.blower.mode = 10, 'gradient'
    # The checkpoint of this very iteration is due as well.
    runner = make_runner(tmp_path, model)
    with pytest.raises(NonFiniteError) as error:
        runner.train()
    line = str(error.value)
    assert line.startswith('non-finite gradient at iteration 10 ')
    assert 'of 3 of 5 parameters, nearest to the output body.0.scale' in line
    assert not weights_are_finite(model)
    kept = [path.name for path in tmp_path.glob('*.pth')]
    assert kept == ['iter_5.pth']
    saved = torch.load(tmp_path / kept[0], weights_only=False)['state_dict']
    assert all(bool(value.isfinite().all()) for value in saved.values())


@pytest.mark.smoke
@pytest.mark.parametrize('value', [math.nan, math.inf])
def test_image_is_named(tmp_path: Path, value: float) -> None:
    data = [dict(x=torch.rand(4)) for _ in range(2 * ITERS)]
    data[8]['x'][2] = value
    model = Toy()
    with pytest.raises(NonFiniteError, match='at iteration 5 ') as error:
        make_runner(tmp_path, model, data=data, interval=2).train()
    # This toy has no preprocessor that stacks: the first layer is named.
    assert 'output of first (Linear)' in str(error.value)
    assert 'iter_4.pth' in str(error.value)
    assert weights_are_finite(model)


def test_weight_is_named(tmp_path: Path) -> None:
    model = Toy()
    model.last.weight.data[0, 1] = math.inf
    with pytest.raises(NonFiniteError) as error:
        make_runner(tmp_path, model).train()
    assert str(error.value) == (
        'non-finite weights before the training: parameter last.weight; '
        'not saved; no checkpoint yet')


def test_weight_spoilt_on_the_way_is_named(tmp_path: Path) -> None:
    model = Toy()
    runner = make_runner(tmp_path, model)

    def spoil(module: nn.Module, args: Any) -> None:
        if runner.iter == 3:
            model.last.bias.data.fill_(math.nan)

    model.first.register_forward_pre_hook(spoil)
    with pytest.raises(NonFiniteError, match='at iteration 4 .*'
                       'first non-finite: parameter last.bias'):
        runner.train()


def test_every_accumulated_batch_counts(tmp_path: Path) -> None:
    model = Toy()
    model.blower.bad_call = 6
    optim = torch.optim.SGD(model.parameters(), lr=0.01)
    runner = make_runner(
        tmp_path, model,
        wrapper=lambda **_: OptimWrapper(optim, accumulative_counts=4))
    # The sixth batch of steps at 4, 8 and 12.
    with pytest.raises(NonFiniteError, match='at iteration 6 .*Blower'):
        runner.train()
    assert weights_are_finite(model)


def test_loss_scale_is_given_its_patience(tmp_path: Path) -> None:
    data = [dict(x=torch.rand(4)) for _ in range(2 * ITERS)]
    for index in (6, 8, 16):
        data[index]['x'][0] = math.nan
    model = Toy()
    runner = make_runner(tmp_path / 'a', model, Scaled, data, amp_patience=2)
    runner.train()
    assert runner.iter == ITERS
    assert runner.optim_wrapper.skipped == 3
    assert weights_are_finite(model)

    with pytest.raises(NonFiniteError, match='at iteration 5 '):
        make_runner(tmp_path / 'b', Toy(), Scaled, data,
                    amp_patience=1).train()


def test_overflowing_gradients_belong_to_the_scale(tmp_path: Path) -> None:
    model = Toy()
    model.blower.bad_call, model.blower.mode = 10, 'gradient'
    runner = make_runner(tmp_path, model, Scaled)
    runner.train()
    assert runner.optim_wrapper.skipped == ITERS - 9


def test_scale_at_its_end_stops(tmp_path: Path,
                                monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr('mmvision_ext.engine.nonfinite._SCALE_INTERVAL', 3)
    runner = make_runner(tmp_path, Toy(), Scaled)
    runner.optim_wrapper.loss_scaler.scale = 1e-5
    with pytest.raises(NonFiniteError, match='at iteration 3 .*1e-05'):
        runner.train()


def test_nothing_changes_without_an_accident(tmp_path: Path) -> None:
    results = []
    data = [dict(x=torch.rand(4)) for _ in range(2 * ITERS)]
    for name in ('watched', 'plain'):
        torch.manual_seed(3)
        model = Toy()
        runner = make_runner(tmp_path / name, model, data=data)
        if name == 'plain':
            runner._hooks = [hook for hook in runner.hooks
                             if not isinstance(hook, NonFiniteHook)]
        runner.train()
        results.append(model.state_dict())
        assert 'step' not in vars(runner.optim_wrapper)
    for name, value in results[0].items():
        assert torch.equal(value, results[1][name])
    assert not torch.equal(results[0]['last.weight'], Toy().last.weight)


def test_dropout_is_replayed(tmp_path: Path) -> None:
    """The second pass draws what the first one drew."""
    model = Toy()
    model.blower.bad_call = 3
    drawn = []
    model.body[1].register_forward_hook(
        lambda module, args, out: drawn.append(out.isnan() | out.isinf()))
    with pytest.raises(NonFiniteError):
        make_runner(tmp_path, model).train()
    assert torch.equal(drawn[-1], drawn[-2])


def test_bad_patience() -> None:
    with pytest.raises(ValueError, match='amp_patience=-1: expected 0'):
        NonFiniteHook(amp_patience=-1)


_RANKS = """
import sys, time
from pathlib import Path
import torch
from mmengine.dist import get_rank
sys.path[:0] = [{root!r}, {here!r}]
from test_nonfinite import Toy, NonFiniteError, make_runner
torch.manual_seed(0)
model = Toy()
runner = make_runner(Path({work!r}), model, launcher='pytorch')
if get_rank() == 1:
    model.blower.bad_call, model.blower.mode = 7, {mode!r}
try:
    runner.train()
except NonFiniteError as error:
    Path({work!r}, f'rank{{get_rank()}}').write_text(
        f'{{runner.iter + 1}} {{error}}')
    sys.exit(3)
"""


@pytest.mark.smoke
@pytest.mark.parametrize('mode, told', [
    ('output', 'rank 1: non-finite loss at iteration 7 '),
    ('gradient', 'non-finite gradient at iteration 7 '),
])
def test_all_ranks_stop_together(tmp_path: Path, repo_root: Path, mode: str,
                                 told: str) -> None:
    """Only the second process meets the accident."""
    script = tmp_path / 'run.py'
    script.write_text(_RANKS.format(
        root=str(repo_root), here=str(Path(__file__).parent),
        work=str(tmp_path), mode=mode))
    done = subprocess.run(
        [sys.executable, '-m', 'mmvision_ext.engine.distributed', '2',
         str(script)], cwd=repo_root, capture_output=True, text=True,
        timeout=120, env={**os.environ, 'PYTHONPATH': str(repo_root)})
    assert done.returncode == 3, done.stderr
    lines = [(tmp_path / f'rank{rank}').read_text() for rank in (0, 1)]
    assert lines[0] == lines[1]
    assert lines[0].startswith(f'7 {told}')
    assert 'iter_5.pth' in lines[0]
