"""COCO keypoint files, there and back: writing, entries, opening and checking."""
