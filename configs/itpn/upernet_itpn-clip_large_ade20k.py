"""UPerNet with iTPN-L (CLIP) and its pyramid, ADE20K, 160k iterations.

What differs from the original: see upernet_itpn_base_ade20k.py; and the
pyramid has one block a level, all that pre-training trains, where the
original's second ones started at random.

Command:  bash tools/dist_train.sh
          configs/itpn/upernet_itpn-clip_large_ade20k.py 8
          (on other batch sizes add --auto-scale-lr), or
          mim train mmseg configs/itpn/upernet_itpn-clip_large_ade20k.py
          --gpus 8 --launcher pytorch
Metric:   mIoU 57.7, single scale (reported by paper)
Source:   iTPN, arXiv 2211.12735, results table of the original code;
          pre-trained for 300 epochs with CLIP-L/14 as teacher
Hardware: 8 GPUs x 2 images, fp16
Status:   not run
Weights:  backbone and pyramid from a pre-training file, of this package or
          converted, with --cfg-options model.init_cfg.type=Pretrained
          model.init_cfg.checkpoint=FILE
          (memory short: model.backbone.with_cp=True model.neck.with_cp=True)
"""
_base_ = './upernet_itpn_large_ade20k.py'

model = dict(backbone=dict(layer_scale=0.1), neck=dict(depth=1))
