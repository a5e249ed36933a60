"""UPerNet with vHeat-S, ADE20K, 160k iterations, crops of 512x512.

The second version of the paper prints 49.1. The trained weights were never
released.

Command:  bash tools/dist_train.sh
          configs/vheat/upernet_vheat_small_ade20k.py 8
          (on other batch sizes add --auto-scale-lr), or
          mim train mmseg configs/vheat/upernet_vheat_small_ade20k.py
          --gpus 8 --launcher pytorch
Metric:   mIoU 49.0, single scale (reported by paper)
Source:   vHeat, arXiv 2405.16555, results table of the original code
Hardware: 8 GPUs x 2 images, fp32
Status:   not run
Weights:  start from a converted ImageNet classifier with
          --cfg-options model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.prefix=backbone.
          model.backbone.init_cfg.checkpoint=FILE, where FILE was written by
          python tools/convert_weights.py vHeat_small.pth FILE
"""
_base_ = './upernet_vheat_ade20k.py'

model = dict(backbone=dict(arch='small', drop_path_rate=0.4))
