"""Fast-iTPN-B fine-tuned as a classifier, ImageNet-1k at 512, 20 epochs.

Differs from the original as the config of Fast-iTPN-T does, see there.

Command:  bash tools/dist_train.sh
          configs/itpn/fast-itpn_base_32xb32-ft-20e_in1k-512px.py 8
          (several nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 88.5 % (reported by paper); 88.75 % with a stage of supervised
          training on ImageNet-21k between
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
_base_ = './fast-itpn_base_32xb32-ft-20e_in1k.py'

img_size = 512
model = dict(backbone=dict(img_size=img_size))

train_pipeline = _base_.train_pipeline
train_pipeline[1].update(scale=img_size)
# The whole image.
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='Resize',
        scale=(img_size, img_size),
        backend='pillow',
        interpolation='bicubic'),
    dict(type='PackInputs')
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
