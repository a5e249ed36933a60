"""UPerNet with vHeat-T, ADE20K, 160k iterations, crops of 512x512.

46.9 was published until April 2025, 47.0 since.

Command:  bash tools/dist_train.sh
          configs/vheat/upernet_vheat_ade20k.py 8
          (on other batch sizes add --auto-scale-lr), or
          mim train mmseg configs/vheat/upernet_vheat_ade20k.py
          --gpus 8 --launcher pytorch
Metric:   mIoU 47.0, single scale (reported by paper)
Source:   vHeat, arXiv 2405.16555, results table of the original code
Hardware: 8 GPUs x 2 images, fp32
Status:   not run
Weights:  start from a converted ImageNet classifier with
          --cfg-options model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.prefix=backbone.
          model.backbone.init_cfg.checkpoint=FILE, where FILE was written by
          python tools/convert_weights.py vHeat_tiny.pth FILE
"""
_base_ = [
    '../_base_/models/upernet_r50.py', '../_base_/datasets/ade20k.py',
    '../_base_/schedules/schedule_160k.py',
    '../_base_/default_runtime_seg.py'
]
custom_imports = dict(imports=['mmvision_ext'], allow_failed_imports=False)

crop_size = (512, 512)
data_preprocessor = dict(size=crop_size)
# img_size 512 gives tables of 128, 64, 32 and 16; the released rules: zeros
# behind the table of a smaller grid on load, bicubic to the map at run time.
model = dict(
    data_preprocessor=data_preprocessor,
    pretrained=None,
    backbone=dict(
        _delete_=True,
        type='mmvision_ext.VHeat',
        arch='tiny',
        img_size=512,
        table_load='pad',
        table_resize='bicubic',
        drop_path_rate=0.3,
        out_indices=(0, 1, 2, 3)),
    decode_head=dict(in_channels=[96, 192, 384, 768], num_classes=150),
    auxiliary_head=dict(in_channels=384, num_classes=150),
    test_cfg=dict(mode='slide', crop_size=crop_size, stride=(341, 341)))

train_dataloader = dict(batch_size=2)

# The norm of the downsampling had no "norm" in its name in the original, and
# so was decayed, as were biases, scales and frequency tables.
optim_wrapper = dict(
    _delete_=True,
    type='OptimWrapper',
    optimizer=dict(
        type='AdamW', lr=6e-5, betas=(0.9, 0.999), weight_decay=0.01),
    paramwise_cfg=dict(
        custom_keys={
            'absolute_pos_embed': dict(decay_mult=0.0),
            'relative_position_bias_table': dict(decay_mult=0.0),
            'norm': dict(decay_mult=0.0),
            'downsample.norm': dict(decay_mult=1.0)
        }))
param_scheduler = [
    dict(
        type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0,
        end=1500),
    dict(
        type='PolyLR',
        eta_min=0.0,
        power=1.0,
        begin=1500,
        end=160000,
        by_epoch=False)
]
auto_scale_lr = dict(enable=False, base_batch_size=16)
