"""What validate looks for in rows, COCO files, pictures and masks."""
