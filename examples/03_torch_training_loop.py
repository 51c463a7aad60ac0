"""A custom training loop on people with pasted occluders, and its evaluation.

python examples/03_torch_training_loop.py --steps 300  # after 01; see docs/own_networks.md
"""

import argparse

import torch
from torch import nn

import synthstudio as ss
from synthstudio.api.evaluations import headline
from synthstudio.models.heatmaps import expected_hits, probabilities
from synthstudio.models.losses import map_loss

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--steps", type=int, default=300)
data, steps = "exports/first", parser.parse_args().steps
train = {"dataset": data, "splits": ["train"]}  # judged below on others
people = ss.batches(train, size=(96, 72), augment={"paste": 0.5}, batch=16, steps=steps)
names, bank = list(people.skeleton.joints), people.bank()
parts = [(nn.Conv2d(a, b, 5, s, 2), nn.ReLU()) for a, b, s in ((3, 32, 2), (32, 64, 2))]
net = nn.Sequential(*parts[0], *parts[1], nn.Conv2d(64, len(names), 5, 1, 2))  # maps of 24 x 18
optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
for batch in people:
    optimizer.zero_grad()
    map_loss(net(batch.images / 255), batch.labels).backward()
    optimizer.step()


@torch.inference_mode()
def predict(image, boxes):
    crops, windows = people.cut_out(image, boxes)
    found = expected_hits(ss.with_bank(probabilities(net(crops / 255)), bank))
    px = windows[:, None, :2] + found.xy * windows[:, None, 2:3] / 18
    return torch.cat([px, found.score[..., None]], 2).numpy()


judged = ss.evaluate(predict, data, split="test", keypoints=names, out="exports/own-loop")
print(headline(judged))
