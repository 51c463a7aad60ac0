"""From recipes to data sets: pipeline.py (read it first), workers, audits, occluded photos."""
