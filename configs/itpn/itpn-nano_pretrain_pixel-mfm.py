"""iTPN-nano, pixels and masked feature modelling, for a CPU.

As itpn-nano_pretrain_pixel.py, see there for the data; each level of the
pyramid also predicts the features of a copy of the backbone that follows it
and sees the whole image. The reconstruction of docs/itpn.md.

Command:  python tools/train.py configs/itpn/itpn-nano_pretrain_pixel-mfm.py
          --data-root DIR
Metric:   loss_pixel, loss_mfm_s4, loss_mfm_s8, loss_mfm_s16 (no published
          figure)
Source:   recipe of our own
Hardware: 1 CPU core, no GPU
Status:   measured here: loss_pixel .47, loss_mfm_* .05, .06, .01 after 1500
          iterations on CIFAR-10, nuclei and CamVid; what it brings is in
          docs/results.md
"""
_base_ = './itpn-nano_pretrain_pixel.py'

# The training is short: a copy with the usual momentum would lag behind.
model = dict(mfm=dict(teacher='momentum', weight=0.3, momentum=0.99))
custom_hooks = [dict(type='mmvision_ext.MomentumTeacherHook')]
