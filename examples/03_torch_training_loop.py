"""A torch training loop of one's own on the crops of `ds.torch()`.

    python examples/03_torch_training_loop.py --epochs 20 --workers 2

Run 01_first_dataset.py first, or name a data set of your own. A network this small on so few
people learns little; the loop is the point. `ss.train` has the loop that comes with the package.
"""

import argparse
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

import synthstudio as ss

parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
parser.add_argument("--dataset", type=Path, default=Path("exports/first"))
parser.add_argument("--epochs", type=int, default=10)
parser.add_argument("--workers", type=int, default=0, help="processes of the DataLoader")
parser.add_argument("--out", type=Path, default=Path("exports/own-network.pt"))
args = parser.parse_args()

torch.manual_seed(0)
ds = ss.Dataset(args.dataset)
height, width = size = (96, 72)
train = DataLoader(
    ds.torch(size, split="train"), batch_size=16, shuffle=True, num_workers=args.workers
)
val = DataLoader(ds.torch(size, split="val"), batch_size=16, num_workers=args.workers)

joints = len(ds.skeleton.joints)
layers = [(3, 16), (16, 32), (32, 64), (64, 64)]
convolutions = [m for a, b in layers for m in (nn.Conv2d(a, b, 3, 2, 1), nn.ReLU())]
net = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(64 * 6 * 5, joints * 2))
optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3)
scale = torch.tensor([width, height])


def errors_px(batch: dict[str, torch.Tensor]) -> torch.Tensor:
    """(B, J) distance to the label in the crop's pixels, NaN where a joint has none."""
    predicted = net(batch["image"] / 255 - 0.5).view(-1, joints, 2) * scale
    return (predicted - batch["joints_px"]).norm(dim=-1)


for epoch in range(args.epochs):
    for batch in train:
        optimizer.zero_grad()
        errors_px(batch).nanmean().backward()
        optimizer.step()
    with torch.no_grad():
        errors, state = zip(*((errors_px(b), b["state"]) for b in val), strict=True)
    error, label = torch.cat(errors), torch.cat(state)  # 2 visible, 1 hidden
    visible, hidden = (error[label == value].nanmean().item() for value in (2, 1))
    print(f"epoch {epoch + 1}: off by {visible:.1f} px where visible, {hidden:.1f} px where hidden")
torch.save(net.state_dict(), args.out)
