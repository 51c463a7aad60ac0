"""Pages about networks: their code runs as printed, their tables are what is measured."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import yaml
from painted_frames import painted, write_set

from benchmarks import systems
from benchmarks.bottom_up import decoders, standing
from synthstudio.models.backbones.sizes import HOURGLASSES, HRNETS, VITS
from synthstudio.training import config as configs
from synthstudio.training.config_network import Network

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCKS, BOTTOM_UP, SYSTEMS, VIDEO = (
    (DOCS / f"{name}.md").read_text(encoding="utf-8")
    for name in ("blocks", "bottom_up", "systems", "video")
)
SECTION = re.compile(r"^## ([^\n]+)\n(?:(?!^## ).)*?```python\n(.*?)```", re.S | re.M)
CODE = {"blocks": dict(SECTION.findall(BLOCKS)), "bottom_up": dict(SECTION.findall(BOTTOM_UP))}
SHOWN = [title for title in CODE["blocks"] if title != "Training"]
DOWNLOADS = {"microsoft/resnet-50", "usyd-community/vitpose-base-simple"}
ROWS = {
    cells[0]: cells[1:]
    for line in SYSTEMS.splitlines()
    if line.startswith("| ") and len(cells := line.strip("| ").split(" | ")) == 5
}
del ROWS["system"]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small random networks in place of the names that pages download."""

    def backbone(name: str, *, out_features: list[str]) -> Any:
        assert name in DOWNLOADS
        config = transformers.ResNetConfig(
            embedding_size=8, hidden_sizes=[8, 8, 12, 12], depths=[1, 1, 1, 1],
            layer_type="basic", out_features=out_features,
        )  # fmt: skip
        return transformers.AutoBackbone.from_config(config)

    def vitpose(name: str) -> Any:
        assert name in DOWNLOADS
        inner = transformers.VitPoseBackboneConfig(
            image_size=[256, 192], patch_size=[16, 16], hidden_size=16, num_hidden_layers=2,
            num_attention_heads=2, intermediate_size=16, out_indices=[2],
        )  # fmt: skip
        return transformers.VitPoseForPoseEstimation(
            transformers.VitPoseConfig(backbone_config=inner, num_labels=17)
        )

    monkeypatch.setattr(transformers.AutoBackbone, "from_pretrained", backbone)
    monkeypatch.setattr(transformers.VitPoseForPoseEstimation, "from_pretrained", vitpose)
    torch.set_num_threads(1)
    torch.manual_seed(0)


def run(page: str, *titles: str, replace: tuple[str, str] = ("", "")) -> dict[str, Any]:
    """Names after the code of some sections of a page, one after the other."""
    names: dict[str, Any] = {}
    for title in titles:
        code = CODE[page][title].replace(*replace) if replace[0] else CODE[page][title]
        exec(compile(code, f"docs/{page}.md: {title}", "exec"), names)
    return names


def has_gradient(net: torch.nn.Module) -> bool:
    return any(p.grad is not None and bool(p.grad.any()) for p in net.parameters())


@pytest.mark.parametrize("title", SHOWN)
def test_each_backbone_gives_joints_and_learns(title: str) -> None:
    names = run("blocks", title, "Training")
    assert names["joints"].xy.shape == (2, 17, 2)
    assert names["outputs"].maps.detach().sum((-2, -1)).numpy() == pytest.approx(1, abs=1e-4)
    features = names["net"].get_submodule("features")
    assert has_gradient(names["net"].get_submodule("block"))
    if "frozen=True" in CODE["blocks"][title]:
        assert not has_gradient(features) and not features.get_submodule("backbone").training
        free = run("blocks", title, "Training", replace=("frozen=True", "frozen=False"))
        assert has_gradient(free["net"].get_submodule("features"))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a data set `people` of four painted frames."""
    folder = tmp_path_factory.mktemp("page")
    write_set(folder / "people", [painted(k) for k in range(4)])
    return folder


@pytest.mark.parametrize("system", ["OpenPose", "PersonLab", "FCPose", "Tags"])
def test_bottom_up_systems_are_called_as_printed(
    system: str, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(people)
    names = run("bottom_up", "Frames", system)
    assert len(names["found"]) == 4
    assert all(torch.isfinite(term) for term in names["losses"].values())
    assert names["tags"].grad.any() if system == "Tags" else has_gradient(names["net"])


def test_the_video_page_runs_as_printed() -> None:
    (code,) = re.findall(r"```python\n(.*?)```", VIDEO, re.S)
    names: dict[str, Any] = {}
    exec(compile(code, "docs/video.md", "exec"), names)
    assert names["outputs"].maps.shape == (1, 17, 24, 18)
    assert names["net"].mean.numel() == 3 and len(names["outputs"].logits) == 2


def test_decoding_speeds_are_of_the_decoders_that_the_benchmark_times() -> None:
    made = decoders(standing(20))
    assert list(made) == re.findall(r"^\| ([^|]+) \| [\d.]+ ms", BOTTOM_UP, re.M)
    assert all(len(decode()[0]) == 20 for decode in made.values())


def test_the_table_of_systems_has_all_of_them_at_their_cost() -> None:
    assert list(ROWS) == list(systems.SYSTEMS)
    every = {"hrnet": HRNETS, "hourglass": HOURGLASSES, "vit": VITS}
    named = {"pyramid", *(f"{name} {v}" for name, sizes in every.items() for v in sizes)}
    assert {name.split(",")[0] for name in ROWS} == named
    pyramid = float(ROWS["pyramid"][2].split(", ")[1])
    for name, cells in ROWS.items():
        cost = float(cells[1].split(", ")[1])
        if "nano" in name:
            assert cost == pytest.approx(pyramid, rel=0.06), name
        elif name != "pyramid":
            assert cost > 50 * pyramid


LARGE = pytest.mark.nightly("large networks take seconds to count; nano ones are counted each time")
SMALL = [name for name in ROWS if name == "pyramid" or "nano" in name]


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[] if n in SMALL else [LARGE]) for n in ROWS]
)
def test_the_table_of_systems_is_what_is_measured(name: str) -> None:
    picture, *found = ROWS[name]
    fields: dict[str, Any] = systems.SYSTEMS[name]
    assert picture == "{}x{}".format(*fields["size"])
    for block, cell in zip(systems.BLOCKS, found, strict=True):
        if block == "orn" and picture == "256x192":
            continue  # a bank runs for real, which takes long
        cost = systems.cost(Network(block=block, **fields))
        assert cell == f"{cost.parameters / 1e6:.2f}, {cost.operations / 1e9:.3f}", block


def test_the_configs_of_the_page_of_systems_are_read() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", SYSTEMS, re.S)
    found = [configs.parse({"train": [{"dataset": "x"}]} | yaml.safe_load(b)) for b in blocks]
    assert [c.network.backbone for c in found] == ["hrnet", "hourglass", "vit", "hrnet"]
    assert [c.network.system for c in found] == ["topdown"] * 3 + ["zoomnet"]
