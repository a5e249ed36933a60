"""Fast-iTPN-B fine-tuned as a classifier, ImageNet-1k at 224, 20 epochs.

Differs from the original as the config of Fast-iTPN-T does, see there.

Command:  bash tools/dist_train.sh
          configs/itpn/fast-itpn_base_32xb32-ft-20e_in1k.py 8
          (several nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 87.4 % (reported by paper)
Source:   Fast-iTPN, results table of the original code; pre-trained for 1600
          epochs with CLIP-L as teacher
Hardware: 32 GPUs x 32 images = 1024, fp16
Status:   not run
Weights:  start from a pre-training file converted by
          python tools/convert_weights.py SRC FILE, with
          --cfg-options model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.prefix=backbone.
          model.backbone.init_cfg.checkpoint=FILE
"""
_base_ = './fast-itpn_tiny_16xb64-ft-100e_in1k.py'

model = dict(backbone=dict(arch='base'), head=dict(in_channels=512))

train_dataloader = dict(batch_size=32)
val_dataloader = dict(batch_size=32)
test_dataloader = val_dataloader

optim_wrapper = dict(paramwise_cfg=dict(layer_decay_rate=0.9))
max_epochs = 20
train_cfg = dict(max_epochs=max_epochs)
param_scheduler = [
    dict(
        type='LinearLR',
        start_factor=1e-3,
        by_epoch=True,
        begin=0,
        end=3,
        convert_to_iter_based=True),
    dict(
        type='CosineAnnealingLR',
        eta_min_ratio=1e-2,
        by_epoch=True,
        begin=3,
        end=max_epochs,
        convert_to_iter_based=True)
]
