"""Read with webdataset: its own tar reader and decoders, pictures and JSON."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import webdataset

root, joints = Path(sys.argv[1]), int(sys.argv[3])
shards = sorted(str(p) for p in (root / "webdataset").glob("*.tar"))
frames = {}
for sample in webdataset.WebDataset(shards, shardshuffle=False).decode("rgb8"):
    value = sample["json"]
    assert sample["jpg"].shape == (value["frame"]["height_px"], value["frame"]["width_px"], 3)
    frames[sample["__key__"].rpartition("/")[2]] = [
        [[p["joints_px"][2 * j], p["joints_px"][2 * j + 1], p["state"][j]] for j in range(joints)]
        for p in value["people"]
    ]
print(
    json.dumps(
        {
            "version": version("webdataset"),
            "webdataset": {"rule": "continuous", "all_people": True, "frames": frames},
        }
    )
)
