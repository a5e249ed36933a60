"""Reading the iTPN configs: models, steps and rates of a recipe."""
from pathlib import Path
from typing import Any

import torch
from mmengine.config import Config
from mmengine.registry import MODELS, PARAM_SCHEDULERS, init_default_scope
from torch import nn

CONFIGS = Path(__file__).resolve().parents[2] / 'configs'
ITPN = CONFIGS / 'itpn'
CONSTRUCTOR = 'mmvision_ext.LayerDecayOptimWrapperConstructor'
WIDTHS = dict(base=[128, 256, 512], large=[192, 384, 768])


def load(name: str) -> Config:
    cfg = Config.fromfile(ITPN / f'{name}.py')
    init_default_scope(cfg.default_scope)
    return cfg


def build_meta(part: dict) -> nn.Module:
    """A module without values: base and large would be gigabytes."""
    with torch.device('meta'):
        return MODELS.build(part)


def millions(module: nn.Module) -> float:
    return round(sum(p.numel() for p in module.parameters()) / 1e6, 2)


def steps_of(cfg: Config, split: str = 'train') -> dict[str, Any]:
    pipeline = cfg[f'{split}_dataloader'].dataset.pipeline
    return {step.type.split('.')[-1]: step for step in pipeline}


def rates(cfg: Config, epoch_length: int) -> list[float]:
    """The rate of the heads in each iteration of a training."""
    lr = cfg.optim_wrapper.optimizer.lr
    optimizer = torch.optim.AdamW([nn.Parameter(torch.zeros(1))], lr=lr)
    schedulers = [
        PARAM_SCHEDULERS.build(
            item.copy(),
            default_args=dict(optimizer=optimizer, epoch_length=epoch_length))
        for item in cfg.param_scheduler
    ]
    total = cfg.train_cfg.max_epochs * epoch_length
    result = []
    for step in range(1, total + 1):
        result.append(optimizer.param_groups[0]['lr'])
        optimizer.step()
        for item in schedulers:
            if not item.by_epoch or step % epoch_length == 0:
                item.step()
    return result
