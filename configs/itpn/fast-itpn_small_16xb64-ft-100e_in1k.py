"""Fast-iTPN-S fine-tuned as a classifier, ImageNet-1k at 224, 100 epochs.

Differs from the original as the config of Fast-iTPN-T does, see there.

Command:  bash tools/dist_train.sh
          configs/itpn/fast-itpn_small_16xb64-ft-100e_in1k.py 8
          (several nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 86.4 % (reported by paper)
Source:   Fast-iTPN, results table of the original code; pre-trained for 1600
          epochs with CLIP-L as teacher
Hardware: 16 GPUs x 64 images = 1024, fp16
Status:   not run
Weights:  start from a pre-training file converted by
          python tools/convert_weights.py SRC FILE, with
          --cfg-options model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.prefix=backbone.
          model.backbone.init_cfg.checkpoint=FILE
"""
_base_ = './fast-itpn_tiny_16xb64-ft-100e_in1k.py'

model = dict(backbone=dict(arch='small'))
optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.9))
