"""Read with Hugging Face datasets: load_dataset of the folder, with its card."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import datasets

root, scratch, joints = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
frames = {}
for split in datasets.load_dataset(str(root / "huggingface"), cache_dir=scratch).values():
    for row in split:
        assert row["image"].size == (row["width_px"], row["height_px"])
        frames[f"{row['index']:06d}"] = [
            [
                [p["joints_px"][2 * j], p["joints_px"][2 * j + 1], p["state"][j]]
                for j in range(joints)
            ]
            for p in row["people"]
        ]
print(
    json.dumps(
        {
            "version": version("datasets"),
            "huggingface": {"rule": "continuous", "all_people": True, "frames": frames},
        }
    )
)
