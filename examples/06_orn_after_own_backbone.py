"""The ORN head after your own backbone, in your own training loop.

    python examples/06_orn_after_own_backbone.py --steps 300

Run 01_first_dataset.py first. `ss.train(config, model=backbone)` does the same in the package's
loop: docs/own_networks.md.
"""

import argparse

import torch
from torch import nn

import synthstudio as ss
from synthstudio.models.contract import PoseNet, predict_joints
from synthstudio.models.external_backbones import Features
from synthstudio.models.heads import ORN
from synthstudio.models.losses import pose_losses

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--steps", type=int, default=100)
size, steps = (96, 72), parser.parse_args().steps
people = ss.batches("exports/first", size=size, augment={"paste": 0.5}, batch=16, steps=steps)
narrow, wide = nn.Conv2d(3, 32, 7, stride=4, padding=3), nn.Conv2d(32, 64, 3, stride=2, padding=1)
features = Features(nn.Sequential(narrow, nn.ReLU(), wide, nn.ReLU()), size=size, width=48)
joints, sigmas = len(people.skeleton.joints), torch.from_numpy(people.skeleton.sigmas).float()
net = PoseNet(features, ORN(48, joints, size=(24, 18), bank=people.bank()))
optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
how = {"sigmas": sigmas, "balance": torch.ones(4)}
for batch in people:
    terms = pose_losses(net(batch.images), batch.labels, **how)
    optimizer.zero_grad()
    sum(terms.values()).backward()
    optimizer.step()
print(", ".join(f"{name} {value.item():.3f}" for name, value in terms.items()))
found, outputs = predict_joints(net.eval(), batch.images)
print(f"joints {tuple(found.xy.shape)}, visibility {tuple(outputs.visibility_fractions.shape)}")
