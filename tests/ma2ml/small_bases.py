"""Small base configs for the shipped spaces to write into."""
from copy import deepcopy

import numpy as np
from mmengine.config import Config

from mmvision_ext.ma2ml.space import SearchSpace

PIPELINE = [
    dict(type='LoadImageFromFile'),
    dict(type='RandomResizedCrop', scale=224),
    dict(type='RandomErasing', erase_prob=0.1, fill_color=[0, 0, 0]),
    dict(type='PackInputs')
]
TEST = [
    dict(type='LoadImageFromFile'),
    dict(type='ResizeEdge', scale=256, edge='short'),
    dict(type='CenterCrop', crop_size=224),
    dict(type='PackInputs')
]


def base(scope='mmpretrain', **changes):
    cfg = dict(
        default_scope=scope,
        model=dict(
            backbone=dict(type='mmvision_ext.SearchableMobileNet'),
            neck=dict(type='GlobalAveragePooling'),
            head=dict(type='StackedLinearClsHead', in_channels=1,
                      mid_channels=[8])),
        train_dataloader=dict(
            batch_size=8, dataset=dict(type='RepeatDataset', dataset=dict(
                pipeline=PIPELINE))),
        val_dataloader=dict(dataset=dict(pipeline=TEST)),
        optim_wrapper=dict(optimizer=dict(type='AdamW', lr=1e-3)),
        param_scheduler=[dict(type='LinearLR', end=5), dict(type='PolyLR')])
    cfg.update(changes)
    return Config(deepcopy(cfg))


def draw(part, seed=0):
    space = SearchSpace(dict(a=part.decisions()))
    values = space.sample(np.random.default_rng(seed))
    return {name[2:]: value for name, value in values.items()}


def train_pipeline(cfg):
    return cfg.train_dataloader.dataset.dataset.pipeline


def types(pipeline):
    return [step['type'] for step in pipeline]
