"""Read with pycocotools: COCO(annotation file), loadAnns of each image's getAnnIds."""

from coco_api import print_frames
from pycocotools.coco import COCO

print_frames("pycocotools", COCO)
