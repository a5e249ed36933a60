"""iTPN-B, pixels and masked feature modelling, ImageNet-1k, 400 epochs.

Masked feature modelling was never released: this is a reconstruction from the
paper, see docs/itpn.md. It takes about three times the decoding, and a pass
of the whole image through a copy of the backbone.

Command:  bash tools/dist_train.sh
          configs/itpn/itpn-pixel-mfm_base_64xb64-amp-400e_in1k.py 8
          (eight nodes: set NNODES, NODE_RANK, MASTER_ADDR; on other batch
          sizes add --auto-scale-lr)
Metric:   top-1 after fine-tuning (no published figure of this form)
Source:   reconstruction of section 3.3 of iTPN, arXiv 2211.12735, on the
          released recipe
Hardware: 64 GPUs x 64 images = 4096, fp16
Status:   not run
"""
_base_ = './itpn-pixel_base_64xb64-amp-400e_in1k.py'

# Predicted in each level: the features of a momentum copy that sees the whole
# image.
model = dict(mfm=dict(teacher='momentum', weight=0.3, momentum=0.996))
custom_hooks = [dict(type='mmvision_ext.MomentumTeacherHook')]
