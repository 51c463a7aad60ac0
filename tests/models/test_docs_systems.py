"""docs/systems.md: its table is what is measured, its configs are read, its names are there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from benchmarks import systems
from synthstudio.models.backbones.sizes import HOURGLASSES, HRNETS, VITS
from synthstudio.training import config as configs
from synthstudio.training.config_network import Network

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "systems.md").read_text(encoding="utf-8")
ROWS = {
    cells[0]: cells[1:]
    for line in PAGE.splitlines()
    if line.startswith("| ") and len(cells := line.strip("| ").split(" | ")) == 5
}
del ROWS["system"]


def test_the_table_has_every_system() -> None:
    assert list(ROWS) == list(systems.SYSTEMS)
    named = {name.split(",")[0] for name in ROWS}
    every = {"hrnet": HRNETS, "hourglass": HOURGLASSES, "vit": VITS}
    assert named == {"pyramid", *(f"{name} {v}" for name, sizes in every.items() for v in sizes)}


@pytest.mark.parametrize("name", ROWS)
def test_the_table_is_what_is_measured(name: str) -> None:
    picture, *found = ROWS[name]
    fields: dict[str, Any] = systems.SYSTEMS[name]
    assert picture == "{}x{}".format(*fields["size"])
    for block, cell in zip(systems.BLOCKS, found, strict=True):
        if block == "orn" and picture == "256x192":
            continue  # a bank runs for real, which takes long
        cost = systems.cost(Network(block=block, **fields))
        assert cell == f"{cost.parameters / 1e6:.2f}, {cost.operations / 1e9:.3f}", block


def test_nano_costs_as_much_as_the_pyramid_with_kpe() -> None:
    pyramid = float(ROWS["pyramid"][2].split(", ")[1])
    for name, cells in ROWS.items():
        if "nano" in name:
            assert float(cells[1].split(", ")[1]) == pytest.approx(pyramid, rel=0.06), name
        elif name != "pyramid":
            assert float(cells[1].split(", ")[1]) > 50 * pyramid


def test_the_configs_of_the_page_are_read() -> None:
    blocks = re.findall(r"```yaml\n(.*?)```", PAGE, re.S)
    found = [configs.parse({"train": [{"dataset": "x"}]} | yaml.safe_load(b)) for b in blocks]
    assert [c.network.backbone for c in found] == ["hrnet", "hourglass", "vit", "hrnet"]
    assert [c.network.system for c in found] == ["topdown"] * 3 + ["zoomnet"]
    assert all(c.network.block == "own" for c in found[:3])
