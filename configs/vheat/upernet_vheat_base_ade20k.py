"""UPerNet with vHeat-B, ADE20K, 160k iterations, crops of 512x512.

This is the released base (129M parameters, 1219 GFLOPs at 512x2048). The
second version of the paper lists another, smaller one under the same
score; neither its settings nor its weights were released.

Command:  bash tools/dist_train.sh
          configs/vheat/upernet_vheat_base_ade20k.py 8
          (on other batch sizes add --auto-scale-lr), or
          mim train mmseg configs/vheat/upernet_vheat_base_ade20k.py
          --gpus 8 --launcher pytorch
Metric:   mIoU 49.6, single scale (reported by paper)
Source:   vHeat, arXiv 2405.16555, results table of the original code
Hardware: 8 GPUs x 2 images, fp32
Status:   not run
Weights:  start from a converted ImageNet classifier with
          --cfg-options model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.prefix=backbone.
          model.backbone.init_cfg.checkpoint=FILE, where FILE was written by
          python tools/convert_weights.py vHeat_base.pth FILE
"""
_base_ = './upernet_vheat_ade20k.py'

model = dict(
    backbone=dict(arch='base', drop_path_rate=0.5),
    decode_head=dict(in_channels=[128, 256, 512, 1024]),
    auxiliary_head=dict(in_channels=512))
