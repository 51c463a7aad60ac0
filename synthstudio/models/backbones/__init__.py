"""Backbones: a picture in, one feature map out."""
