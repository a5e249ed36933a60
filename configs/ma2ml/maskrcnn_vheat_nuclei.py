"""MA2ML on a detector: augmentation and recipe of Mask R-CNN with vHeat.

AUG chooses mmdet's own RandAugment, which moves boxes and masks along, HPO
rate, decay, clipping, drop path and the weight of the mask loss. A candidate
is trained for a third of the epochs of the base config. All of it is ours:
MA2ML was published for classification.

Command:  python tools/ma2ml_search.py configs/ma2ml/maskrcnn_vheat_nuclei.py
          --data-root DIR
Metric:   mask AP50 (no published figure)
Source:   search of our own
Hardware: 2 CPU cores, no GPU, a trial each
Status:   not run
"""
search = dict(
    base_config='../vheat/maskrcnn_vheat_nano_nuclei.py',
    agents=dict(
        aug=[
            dict(
                type='mmvision_ext.RandAugmentSpace',
                num_ops=(0, 1, 2),
                magnitudes=(3, 9, 15, 21))
        ],
        hpo=[
            dict(
                type='mmvision_ext.RecipeSpace',
                choices=dict(
                    lr=[5e-4, 1e-3, 2e-3],
                    weight_decay=[0.01, 0.05, 0.1],
                    drop_path=[0.0, 0.1, 0.2])),
            dict(
                type='mmvision_ext.KeySpace',
                decisions=[
                    dict(
                        name='clip',
                        choices=[1.0, 5.0],
                        ordinal=True,
                        key='optim_wrapper.clip_grad.max_norm'),
                    dict(
                        name='mask_weight',
                        choices=[0.5, 1.0, 2.0],
                        ordinal=True,
                        key='model.roi_head.mask_head.loss_mask.loss_weight')
                ])
        ]),
    metric='coco/segm_mAP_50',
    evaluator=dict(type='proxy', epochs=1 / 3),
    pruner=dict(type='median'),
    trials=30,
    workers=2)
