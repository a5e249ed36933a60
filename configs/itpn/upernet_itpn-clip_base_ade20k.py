"""UPerNet with iTPN-B (CLIP) and its pyramid, ADE20K, 160k iterations.

What differs from the original, besides what upernet_itpn_base_ade20k.py
lists:
- the layer-wise rates are those of 30 blocks; there 44 were counted, and the
  last block had 0.68 times the rate of the heads;
- the pyramid has one block a level, all that pre-training trains; there the
  second ones started at random.

Command:  bash tools/dist_train.sh
          configs/itpn/upernet_itpn-clip_base_ade20k.py 8
          (on other batch sizes add --auto-scale-lr), or
          mim train mmseg configs/itpn/upernet_itpn-clip_base_ade20k.py
          --gpus 8 --launcher pytorch
Metric:   mIoU 54.7, single scale (reported by paper)
Source:   iTPN, arXiv 2211.12735, results table of the original code;
          pre-trained for 800 epochs
Hardware: 8 GPUs x 2 images, fp16
Status:   not run
Weights:  backbone and pyramid from a pre-training file, of this package or
          converted, with --cfg-options model.init_cfg.type=Pretrained
          model.init_cfg.checkpoint=FILE
"""
_base_ = './upernet_itpn_base_ade20k.py'

model = dict(
    backbone=dict(layer_scale=0.1, drop_path_rate=0.2), neck=dict(depth=1))
