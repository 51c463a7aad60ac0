"""What neighbouring frames are worth to a pose network: `python -m benchmarks.video`.

Drawn walkers whose arm swings, on a rough wall; a post hides the wrist for ten frames. A small
network learns single frames; then it stays as it is and the temporal transformer of models/video.py
learns on it, while another copy learns single frames for as many steps more. Prints the errors on
other clips, and the difference with its 95 % interval over clips.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import dataclass

import cv2
import numpy as np
import torch  # noqa: TID253 - it trains
from numpy.typing import NDArray
from torch import Tensor, nn  # noqa: TID253

from synthstudio.core.rng import Generator, stream
from synthstudio.core.threads import one_thread
from synthstudio.evaluation.intervals import Interval, paired_interval
from synthstudio.models.backbones.pyramid import ConvPyramid
from synthstudio.models.blocks.heads import PointHead
from synthstudio.models.contract import PoseNet
from synthstudio.models.flow import flow_from
from synthstudio.models.heatmaps import expected_hits, gaussian_map, log_probabilities
from synthstudio.models.video import VideoPoseNet

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]
SIZE, CELLS = (48, 64), (12, 16)
FRAMES, HIDDEN = 32, 10
JOINTS = ("head", "elbow", "wrist")
OFFSETS = np.array([-12, -8, -4, 0, 4, 8, 12])
WIDTH = 24
_THICK = 3
_COLOURS = ((200, 180, 160), (230, 60, 60), (70, 230, 70))  # trunk, arm, forearm


@dataclass(frozen=True, kw_only=True)
class Clip:
    """Pictures (T, H, W, 3) of one clip, joints (T, 3, 2) in pixels, and where the wrist is hidden
    (T,)."""

    pictures: NDArray[np.uint8]
    joints_px: F64
    hidden: NDArray[np.bool_]


def drawn(count: int, *, seed: int) -> list[Clip]:
    """Clips of walkers; the wrist is behind the post for HIDDEN frames."""
    return [_clip(stream(seed, "walkers", k)) for k in range(count)]


def _clip(rng: Generator) -> Clip:
    times, way = np.arange(FRAMES), rng.choice([-1, 1])
    speed = rng.uniform(1.0, 1.3)
    turn, phases = rng.uniform(0.1, 0.15), rng.uniform(0, 2 * np.pi, (2, 1))
    upper, lower = np.array([[0.3], [0.35]]) * np.sin(phases + turn * times)
    shoulder = np.stack(
        [SIZE[1] / 2 + way * speed * (times - FRAMES / 2), np.full(FRAMES, 17.0)], 1
    )
    elbow = shoulder + 9 * np.stack([np.sin(upper), np.cos(upper)], 1)
    lower = lower + way * 0.3
    wrist = elbow + 9 * np.stack([np.sin(lower), np.cos(lower)], 1)  # it always goes that way
    joints = np.stack([shoulder - [0, 8], elbow, wrist], 1)
    first = int(rng.integers(8, FRAMES - HIDDEN - 8))
    behind = wrist[first : first + HIDDEN, 0]
    left, right = float(behind.min()) - _THICK / 2, float(behind.max()) + _THICK / 2
    wall = cv2.resize(rng.integers(40, 120, (12, 16, 3), np.uint8), SIZE[::-1])
    post = rng.integers(40, 120, 3).tolist()
    pictures = []
    for t in range(FRAMES):
        canvas = wall.copy()
        points = [tuple(int(16 * v) for v in p) for p in (shoulder[t], *joints[t])]
        hip = (points[0][0], points[0][1] + 16 * 20)
        for a, b, colour in ((0, -1, 0), (0, 1, 0), (0, 2, 1), (2, 3, 2)):
            end = hip if b == -1 else points[b]
            cv2.line(canvas, points[a], end, _COLOURS[colour], _THICK, cv2.LINE_AA, 4)
        cv2.circle(canvas, points[1], 16 * 4, _COLOURS[0], -1, cv2.LINE_AA, 4)
        cv2.rectangle(canvas, (round(left), 0), (round(right), SIZE[0]), post, -1)
        pictures.append(canvas)
    hidden = (times >= first) & (times < first + HIDDEN)
    return Clip(pictures=np.array(pictures), joints_px=joints, hidden=hidden)


@dataclass(frozen=True, kw_only=True)
class Windows:
    """Frames about some frames of clips: `clip` (N,) and `time` (N,) say which."""

    frames: Tensor  # (N, T, 3, H, W) uint8
    flow_px: Tensor
    offset: Tensor
    there: Tensor
    cells: Tensor  # (N, J, 2) joints of the current frame
    hidden: NDArray[np.bool_]
    clip: I64

    def __len__(self) -> int:
        return len(self.frames)


def windows(clips: list[Clip], *, every: int = 2) -> Windows:
    """Windows about every so many frames of clips; beyond a clip's ends frames are missing."""
    frames, flows, there, joints, hidden, number = [], [], [], [], [], []
    for k, clip in enumerate(clips):
        for now in range(0, FRAMES, every):
            inside = [0 <= t < FRAMES for t in now + OFFSETS]
            pictures = [
                clip.pictures[t] if 0 <= t < FRAMES else None for t in (now + OFFSETS).tolist()
            ]
            flows.append(flow_from(clip.pictures[now], pictures))
            blank = np.zeros_like(clip.pictures[0])
            frames.append(np.stack([blank if p is None else p for p in pictures]))
            there.append(inside)
            joints.append(clip.joints_px[now] * CELLS[1] / SIZE[1])
            hidden.append(clip.hidden[now])
            number.append(k)
    return Windows(
        frames=torch.from_numpy(np.stack(frames)).movedim(-1, 2).contiguous(),
        flow_px=torch.from_numpy(np.stack(flows)),
        offset=torch.from_numpy(np.tile(OFFSETS, (len(frames), 1))),
        there=torch.tensor(there),
        cells=torch.from_numpy(np.array(joints)).float(),
        hidden=np.array(hidden),
        clip=np.array(number),
    )


def _loss(logits: Tensor, cells: Tensor) -> Tensor:
    wanted = gaussian_map(cells, *CELLS)
    return -(wanted * log_probabilities(logits)).sum((2, 3)).mean()


def trained(train: Windows, *, steps: int, seed: int = 0) -> tuple[PoseNet, VideoPoseNet]:
    """A network of single frames, and the same with its neighbours; each of `steps` twice."""
    middle = int(np.flatnonzero(OFFSETS == 0)[0])
    with one_thread(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        backbone = ConvPyramid(widths=(16, 32), channels=WIDTH)
        net = PoseNet(backbone, PointHead(WIDTH, len(JOINTS), size=CELLS))

        def learn(module: nn.Module, part: str, lr: float, batch: int) -> None:
            parameters = [p for p in module.parameters() if p.requires_grad]
            optimizer = torch.optim.AdamW(parameters, lr)
            falling = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda k: 1 - k / steps)
            for step in range(steps):
                rows = stream(seed, "video", part, step).integers(0, len(train), batch)
                if isinstance(module, VideoPoseNet):
                    outputs = _seen(module, train, rows)
                else:
                    outputs = module(train.frames[rows, middle]).logits[-1]
                loss = _loss(outputs, train.cells[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                falling.step()

        learn(net.train(), "frames", 5e-3, 16)
        video = VideoPoseNet(copy.deepcopy(net).eval(), len(JOINTS), channels=WIDTH, width=32)
        video.net.requires_grad_(False)
        learn(video, "clips", 4e-3, 12)  # its network stays in evaluation: its norms do not move
        learn(net, "more frames", 2e-3, 16)
    return net.eval(), video.eval()


def _seen(video: VideoPoseNet, test: Windows, rows: I64 | slice) -> Tensor:
    given = (test.frames[rows], test.flow_px[rows], test.offset[rows], test.there[rows])
    return video(*given).logits[-1]


@torch.no_grad()
def errors_px(net: PoseNet, video: VideoPoseNet, test: Windows) -> dict[str, F64]:
    """(N, J) errors of single frames, of clips, and of clips whose neighbours are left out."""
    middle = int(np.flatnonzero(OFFSETS == 0)[0])
    found: dict[str, list[Tensor]] = {"single frames": [], "clips": [], "clips of one frame": []}
    for start in range(0, len(test), 16):
        rows = slice(start, start + 16)
        alone = torch.zeros_like(test.there[rows])
        alone[:, middle] = True
        given = (test.frames[rows], test.flow_px[rows], test.offset[rows], alone)
        found["single frames"].append(net(test.frames[rows, middle]).logits[-1])
        found["clips"].append(_seen(video, test, rows))
        found["clips of one frame"].append(video(*given).logits[-1])
    out = {}
    for name, logits in found.items():
        xy = expected_hits(log_probabilities(torch.cat(logits)).exp()).xy
        apart = (xy - test.cells).norm(dim=-1) * SIZE[1] / CELLS[1]
        out[name] = apart.double().numpy()
    return out


def difference(ours: F64, theirs: F64, test: Windows, which: NDArray[np.bool_]) -> Interval:
    """Mean error (pixels) of the wrist in frames `which` (N,) of one less the other's."""
    wrist = JOINTS.index("wrist")
    count = np.bincount(test.clip, which)[None].astype(np.float64)
    sides = [
        (np.bincount(test.clip, which * each[:, wrist])[None], count) for each in (ours, theirs)
    ]
    return paired_interval(sides[0], sides[1], seed=0, rounds=1000)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clips", type=int, default=120, help="drawn to train on")
    parser.add_argument("--test", type=int, default=60, help="clips drawn to test on")
    parser.add_argument("--steps", type=int, default=600)
    options = parser.parse_args()
    train, test = (
        windows(drawn(options.clips, seed=0)),
        windows(drawn(options.test, seed=1), every=1),
    )
    net, video = trained(train, steps=options.steps)
    found = errors_px(net, video, test)
    print(
        f"{len(test)} frames of {options.test} clips, the wrist hidden in {int(test.hidden.sum())}"
    )
    print("| wrist, px | hidden | visible |\n|---|---|---|")
    for name, apart in found.items():
        wrist = apart[:, JOINTS.index("wrist")]
        print(f"| {name} | {wrist[test.hidden].mean():.2f} | {wrist[~test.hidden].mean():.2f} |")
    print("\n| clips less, hidden wrist | px |\n|---|---|")
    for name in ("single frames", "clips of one frame"):
        less = difference(found["clips"], found[name], test, test.hidden)
        print(f"| {name} | {less.text(scale=1, digits=2)} |")


if __name__ == "__main__":
    main()
