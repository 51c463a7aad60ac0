"""The ORN block after a backbone of one's own: loss and training loop.

    python examples/06_orn_after_own_backbone.py --epochs 20

Run 01_first_dataset.py first, or name a data set. docs/research/blocks.md has more backbones.
"""

import argparse

import torch
from torch import nn
from torch.utils.data import DataLoader

import synthstudio as ss
from synthstudio.models.blocks.orn import ORN
from synthstudio.models.contract import PoseNet, predict_joints
from synthstudio.models.losses import Labels, Weights, pose_losses

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--dataset", default="exports/first")
parser.add_argument("--epochs", type=int, default=5)
args = parser.parse_args()
ds = ss.Dataset(args.dataset)


def with_shares(sample: dict) -> dict:
    """Add what ORN learns besides places: what hides each joint, and the person's size."""
    people = ds.frame(sample["frame"]).people
    person = people.instance.tolist().index(sample["instance"])
    shares = torch.tensor(people.shares[person, :, :4], dtype=torch.float32)
    area = float(people.amodal_area_px[person]) / sample["box_px"][2:].prod()
    return sample | {"shares": shares / shares.sum(-1, keepdim=True), "area": area}


narrow, wide = nn.Conv2d(3, 32, 7, stride=4, padding=3), nn.Conv2d(32, 64, 3, padding=1)
backbone = nn.Sequential(narrow, nn.ReLU(), wide, nn.ReLU())
net = PoseNet(backbone, ORN(64, len(ds.skeleton.joints), size=(24, 18), bank=None))
optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3)
sigmas = torch.from_numpy(ds.skeleton.sigmas).float()
loader = DataLoader(ds.torch((96, 72), transform=with_shares), batch_size=16, shuffle=True)
for epoch in range(args.epochs):
    for batch in loader:
        labels = Labels(
            xy=(xy := batch["joints_px"] / torch.tensor([72, 96])),  # 0 to 1 across the crop
            known=(batch["state"] != 255) & ((xy >= 0) & (xy < 1)).all(-1),
            present=(batch["state"] != 0).float(),
            **{name: batch[name] for name in ("shares", "state", "area")},
            occluder=torch.full((len(xy), 1, 24, 18), torch.nan),  # NaN: no label, no loss
            xyz_m=torch.full((*xy.shape[:2], 3), torch.nan),
        )
        terms = pose_losses(
            net(batch["image"]), labels, weights=Weights(), sigmas=sigmas, balance=torch.ones(4)
        )
        optimizer.zero_grad()
        sum(terms.values()).backward()
        optimizer.step()
    print(f"epoch {epoch + 1}:", ", ".join(f"{k} {v.item():.3f}" for k, v in terms.items()))
joints, outputs = predict_joints(net.eval(), batch["image"])
print(f"joints {tuple(joints.xy.shape)}, what hides them {tuple(outputs.shares.shape)}")
