"""Read with xtcocotools: COCO(annotation file), loadAnns of each image's getAnnIds."""

from coco_api import print_frames
from xtcocotools.coco import COCO

print_frames("xtcocotools", COCO)
