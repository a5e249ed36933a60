"""UPerNet with iTPN-L (pixel) and its pyramid, ADE20K, 160k iterations.

What differs from the original is listed in the config of the base.

Command:  bash tools/dist_train.sh
          configs/itpn/upernet_itpn_large_ade20k.py 8
          (on other batch sizes add --auto-scale-lr), or
          mim train mmseg configs/itpn/upernet_itpn_large_ade20k.py
          --gpus 8 --launcher pytorch
Metric:   mIoU 56.1, single scale (reported by paper)
Source:   iTPN, arXiv 2211.12735, results table of the original code;
          pre-trained for 1600 epochs
Hardware: 8 GPUs x 2 images, fp16
Status:   not run
Weights:  backbone and pyramid from a pre-training file, of this package or
          converted, with --cfg-options model.init_cfg.type=Pretrained
          model.init_cfg.checkpoint=FILE
          (memory short: model.backbone.with_cp=True model.neck.with_cp=True)
"""
_base_ = './upernet_itpn_base_ade20k.py'

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.2),
    neck=dict(in_channels=[192, 384, 768]),
    decode_head=dict(in_channels=[448, 640, 1024, 1024]),
    auxiliary_head=dict(in_channels=1024))

# 0.95 over 13 layers, of the 46 that the original counts.
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.95**(13 / 46)))
