"""A pose network that you have as an ONNX file, taught to find hidden joints.

    pip install onnx2torch
    python examples/16_teach_an_onnx.py --model movenet-lightning.onnx --steps 300

Run 01_first_dataset.py first. The defaults are for MoveNet converted by tf2onnx: the tensor after
its preprocessing, and the one with the logits of its 17 joint maps (COCO's order). For others,
look up both names, for instance with Netron; height and width must suit the network.
"""

import argparse

import onnx
import torch
from onnx2torch import convert

import synthstudio as ss
from synthstudio.api.evaluations import headline

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--model", required=True)
parser.add_argument("--first", default="Relu6/0__15:0", help="end of a tensor's name")
parser.add_argument("--last", default="kpt_heatmap_0/conv2d_5/BiasAdd:0", help="likewise")
parser.add_argument("--size", type=int, nargs=2, default=(192, 160), help="height and width")
parser.add_argument("--steps", type=int, default=300)
args = parser.parse_args()


class Resize(torch.nn.Module):
    """A resize to the size of a first run: onnx2torch's reads it from a tensor, which no export
    can follow."""

    def __init__(self, like: torch.nn.Module) -> None:
        super().__init__()
        self.like, self.size, self.mode = like, None, like.onnx_mode.replace("linear", "bilinear")

    def forward(self, x: torch.Tensor, *scales: torch.Tensor) -> torch.Tensor:
        if self.size is None:
            self.size = tuple(self.like(x, *scales).shape[2:])
        return torch.nn.functional.interpolate(x, self.size, mode=self.mode)


class Maps(torch.nn.Module):
    """Joint maps of images normalised by ImageNet's mean and deviation."""

    def __init__(self, net: torch.nn.Module) -> None:
        super().__init__()
        for name, part in list(net.named_children()):
            if type(part).__name__ == "OnnxResize":
                setattr(net, name, Resize(part))
        self.net = net
        self.register_buffer("mean", torch.tensor((0.485, 0.456, 0.406))[:, None, None])
        self.register_buffer("std", torch.tensor((0.229, 0.224, 0.225))[:, None, None])

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.net((images * self.std + self.mean) * 2 - 1)  # MoveNet's levels: -1 to 1


graph = onnx.shape_inference.infer_shapes(onnx.load(args.model))
names = [tensor.name for tensor in graph.graph.input]
names += [name for node in graph.graph.node for name in node.output]
ends = [next(name for name in names if name.endswith(end)) for end in (args.first, args.last)]
net = Maps(convert(onnx.utils.Extractor(graph).extract_model(ends[:1], ends[1:])))
ds = ss.Dataset("exports/first")
made = ds.query("split = train").export("coco", "exports/teach", skeleton="coco17")
source = {"coco": str(made.annotations), "images": "exports/teach/images/train"}
config = {"train": [source], "network": {"head": "own", "size": list(args.size)}, "lr": 1e-4}
config |= {"augment": {"paste": 0.5}, "batch": 16, "steps": args.steps}
model = ss.train(config, "exports/teach-run", model=net)
model.export("exports/teach.onnx", weights="float32")
print(headline(ss.evaluate(model, ds, out="exports/teach-judged")))
