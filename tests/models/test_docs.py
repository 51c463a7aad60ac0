"""Pages about networks: their code runs as printed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
import yaml
from painted_frames import painted, write_set

from synthstudio.training import config as configs

DOCS = Path(__file__).resolve().parents[2] / "docs"
BLOCKS, BOTTOM_UP, SYSTEMS = (
    (DOCS / "research" / f"{name}.md").read_text(encoding="utf-8")
    for name in ("blocks", "bottom_up", "systems")
)
SECTION = re.compile(r"^## ([^\n]+)\n(?:(?!^## ).)*?```python\n(.*?)```", re.S | re.M)
CODE = {"blocks": dict(SECTION.findall(BLOCKS)), "bottom_up": dict(SECTION.findall(BOTTOM_UP))}
SHOWN = [title for title in CODE["blocks"] if title != "Training"]
DOWNLOADS = {"microsoft/resnet-50", "usyd-community/vitpose-base-simple"}


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
        frozen = features.get_submodule("net")
        assert not has_gradient(frozen) and not frozen.training
        free = run("blocks", title, "Training", replace=("frozen=True", "frozen=False"))
        assert has_gradient(free["net"].get_submodule("features"))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder with a data set `people` of four painted frames."""
    folder = tmp_path_factory.mktemp("page")
    write_set(folder / "people", [painted(k) for k in range(4)])
    return folder


@pytest.mark.parametrize("system", ["OpenPose", "PersonLab", "FCPose"])
def test_bottom_up_systems_are_called_as_printed(
    system: str, people: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(people)
    names = run("bottom_up", "Frames", system)
    assert len(names["found"]) == 4
    assert all(torch.isfinite(term) for term in names["losses"].values())
    assert has_gradient(names["net"])


def test_the_configs_of_the_page_of_systems_are_read() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", SYSTEMS, re.S)
    found = [configs.parse({"train": [{"dataset": "x"}]} | yaml.safe_load(b)) for b in blocks]
    named = [(c.network.backbone, c.network.head) for c in found]
    assert named[:3] == [("hrnet-w32", "own"), ("hourglass-base", "own"), ("vit-base", "own")]
    assert named[3:] == [("hrnet-w32", "zoomnet")]
