"""Backbones: an image in, one feature map out."""
