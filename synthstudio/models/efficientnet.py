"""EfficientNet-Lite0 (Tan and Le 2019; TensorFlow's "lite" variant: no squeeze-and-excitation,
ReLU6), without its head: the backbone of the package's network, which needs no other library.

Tensors are named as timm's `tf_efficientnet_lite0`, whose published weights (Apache-2.0) fit.
"""

from torch import Tensor, nn
from torch.nn import functional as F

_STEM = 32
_STAGES = (  # blocks, kernel, stride, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_RETURNED = (1, 2, 4, 6)
"""Stages that end at the strides 4, 8, 16 and 32."""
_EPS = 1e-3
MEAN = STD = (0.5, 0.5, 0.5)
"""Of the images, sRGB from 0 to 1."""


class _SameConv(nn.Conv2d):
    """A convolution padded as TensorFlow's "same": the odd pixel lies right and below."""

    def forward(self, x: Tensor) -> Tensor:
        height, width = (
            max((-(-side // stride) - 1) * stride + kernel - side, 0)
            for side, stride, kernel in zip(
                x.shape[-2:], self.stride, self.kernel_size, strict=True
            )
        )
        pad = (width // 2, width - width // 2, height // 2, height - height // 2)
        return super().forward(F.pad(x, pad))


class _Block(nn.Module):
    """Depthwise convolution and projection, before them an expansion unless it is 1; a residual
    where shapes allow."""

    def __init__(self, before: int, channels: int, *, kernel: int, stride: int, wider: int) -> None:
        super().__init__()
        inner = before * wider
        self.residual = stride == 1 and before == channels
        names = ("conv_pw", "conv_dw", "conv_pwl") if wider > 1 else ("conv_dw", "conv_pw")
        layers = {
            "conv_dw": _SameConv(inner, inner, kernel, stride, groups=inner, bias=False),
            names[-1]: nn.Conv2d(inner, channels, 1, bias=False),
        }
        if wider > 1:
            layers["conv_pw"] = nn.Conv2d(before, inner, 1, bias=False)
        self.names = names
        for number, name in enumerate(names, 1):
            self.add_module(name, layers[name])
            self.add_module(f"bn{number}", nn.BatchNorm2d(layers[name].out_channels, eps=_EPS))

    def forward(self, x: Tensor) -> Tensor:
        out = x
        for number, name in enumerate(self.names, 1):
            out = getattr(self, f"bn{number}")(getattr(self, name)(out))
            if number < len(self.names):
                out = F.relu6(out)
        return x + out if self.residual else out


class EfficientNetLite0(nn.Module):
    """Images (B, 3, H, W) to maps of the strides 4, 8, 16 and 32."""

    def __init__(self) -> None:
        super().__init__()
        self.conv_stem = _SameConv(3, _STEM, 3, 2, bias=False)
        self.bn1 = nn.BatchNorm2d(_STEM, eps=_EPS)
        stages, before = [], _STEM
        for count, kernel, stride, wider, channels in _STAGES:
            blocks = []
            for number in range(count):
                step = stride if number == 0 else 1
                blocks.append(_Block(before, channels, kernel=kernel, stride=step, wider=wider))
                before = channels
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)

    def forward(self, images: Tensor) -> list[Tensor]:
        x = F.relu6(self.bn1(self.conv_stem(images)))
        maps = []
        for number, stage in enumerate(self.blocks):
            x = stage(x)
            if number in _RETURNED:
                maps.append(x)
        return maps
