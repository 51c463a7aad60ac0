"""Reading, writing and validation of COCO keypoint files."""
