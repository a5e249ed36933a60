"""Fast-iTPN-L fine-tuned as a classifier, ImageNet-1k at 224, 20 epochs.

Differs from the original as the config of Fast-iTPN-T does, see there.
The original reached the batch by four steps of 4 images a GPU.

Command:  bash tools/dist_train.sh
          configs/itpn/fast-itpn_large_32xb16-ft-20e_in1k.py 8
          (several nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 (no published figure)
Source:   Fast-iTPN, results table of the original code; pre-trained for 1600
          epochs with CLIP-L as teacher
Hardware: 32 GPUs x 16 images = 512, fp16
Status:   not run
Weights:  start from a pre-training file converted by
          python tools/convert_weights.py SRC FILE, with
          --cfg-options model.backbone.init_cfg.type=Pretrained
          model.backbone.init_cfg.prefix=backbone.
          model.backbone.init_cfg.checkpoint=FILE
"""
_base_ = './fast-itpn_base_32xb32-ft-20e_in1k.py'

model = dict(
    backbone=dict(arch='large', drop_path_rate=0.2),
    head=dict(in_channels=768))

train_dataloader = dict(batch_size=16)
val_dataloader = dict(batch_size=16)
test_dataloader = val_dataloader

optim_wrapper = dict(
    optimizer=dict(lr=5e-5), paramwise_cfg=dict(layer_decay_rate=0.95))
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
        eta_min_ratio=1e-6 / 5e-5,
        by_epoch=True,
        begin=3,
        end=max_epochs,
        convert_to_iter_based=True)
]
auto_scale_lr = dict(base_batch_size=512)
