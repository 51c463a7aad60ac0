"""Speed as ratios in one run (bench), and the Done-when lines at full size (soak)."""
