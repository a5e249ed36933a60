"""vHeat-T classifier, ImageNet-1k at 224, 300 epochs from scratch.

Command:  bash tools/dist_train.sh configs/vheat/vheat-tiny_16xb128_in1k.py 8
          (two nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 82.2 %, of the averaged (EMA) weights (reported by paper)
Source:   vHeat, arXiv 2405.16555, results table of the original code
Hardware: 16 GPUs x 128 images = 2048, fp16
Status:   not run
Weights:  convert an official file, then evaluate it:
          python tools/convert_weights.py vHeat_tiny.pth vheat-tiny.pth
          python tools/test.py configs/vheat/vheat-tiny_16xb128_in1k.py
          vheat-tiny.pth
"""
_base_ = [
    '../_base_/datasets/imagenet_bs64_swin_224.py',
    '../_base_/schedules/imagenet_bs1024_adamw_swin.py',
    '../_base_/default_runtime_cls.py'
]
custom_imports = dict(imports=['mmvision_ext'], allow_failed_imports=False)

model = dict(
    type='ImageClassifier',
    backbone=dict(
        type='mmvision_ext.VHeat',
        arch='tiny',
        img_size=224,
        drop_path_rate=0.1,
        out_indices=(3, )),
    neck=dict(type='GlobalAveragePooling'),
    # Only the head is initialised from here: a rule for every linear layer
    # of the model would overwrite the initialisation of the backbone.
    head=dict(
        type='LinearClsHead',
        num_classes=1000,
        in_channels=768,
        init_cfg=dict(type='TruncNormal', layer='Linear', std=0.02, bias=0.0),
        loss=dict(
            type='LabelSmoothLoss', label_smooth_val=0.1, mode='original'),
        cal_acc=False),
    train_cfg=dict(augments=[
        dict(type='Mixup', alpha=0.8),
        dict(type='CutMix', alpha=1.0)
    ]))

train_dataloader = dict(batch_size=128)
val_dataloader = dict(batch_size=128)
test_dataloader = val_dataloader

# Rate 5e-4 for each 512 images. Norms, biases and every other 1-D tensor go
# without decay (base file); the frequency tables are decayed.
optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(lr=5e-4 * 2048 / 512, weight_decay=0.08),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-3,
        by_epoch=True,
        begin=0,
        end=20,
        convert_to_iter_based=True),
    # A ratio, so that the end scales with the rate; 2e-5 here.
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        by_epoch=True,
        begin=20,
        end=300,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=2048)

custom_hooks = [
    dict(type='EMAHook', momentum=1e-4, priority='ABOVE_NORMAL')
]
default_hooks = dict(checkpoint=dict(max_keep_ckpts=3))
randomness = dict(seed=0, diff_rank_seed=True)
