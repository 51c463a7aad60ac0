"""Read with MMPose: CocoDataset(ann_file, data_root, data_prefix), 17 joints, test_mode.

It keeps joints as places and a flag for v > 0; people without a labelled joint are left out.
"""

import contextlib
import json
import sys
from pathlib import Path

import mmpose
from mmengine.registry import init_default_scope
from mmpose.datasets import CocoDataset

init_default_scope("mmpose")
frames, root = {}, Path(sys.argv[1]) / "coco17"
for file in sorted((root / "annotations").glob("*.json")):
    split = file.stem.removeprefix("person_keypoints_")
    with contextlib.redirect_stdout(sys.stderr):
        data = CocoDataset(
            ann_file=f"annotations/{file.name}",
            data_root=str(root),
            data_prefix={"img": f"images/{split}/"},
            test_mode=True,
        )
    for k in range(len(data)):
        person = data.get_data_info(k)
        assert Path(person["img_path"]).is_file()
        places = zip(person["keypoints"][0], person["keypoints_visible"][0], strict=True)
        frames.setdefault(Path(person["img_path"]).stem, []).append(
            [[float(x), float(y), int(v)] for (x, y), v in places]
        )
found = {"rule": "index", "hidden": False, "labelled_only": True, "frames": frames}
print(json.dumps({"version": mmpose.__version__, "coco17": found}))
