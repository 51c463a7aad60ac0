"""Folders of small random backbones, laid out as published ones are."""

import transformers


def resnet(folder):
    config = transformers.ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 12], depths=[1, 1], layer_type="basic",
        out_features=["stage1", "stage2"],
    )  # fmt: skip
    transformers.AutoBackbone.from_config(config).save_pretrained(folder)


def vitpose(folder, layers, **head):
    """A ViTPose of so many layers for pictures of 48 x 32 pixels."""
    backbone = transformers.VitPoseBackboneConfig(
        image_size=[48, 32], patch_size=[16, 16], hidden_size=16, num_hidden_layers=layers,
        num_attention_heads=2, intermediate_size=16, out_indices=[layers],
    )  # fmt: skip
    config = transformers.VitPoseConfig(backbone_config=backbone, num_labels=17, **head)
    transformers.VitPoseForPoseEstimation(config).save_pretrained(folder)
