"""Hide people in real photos: what a photo tells, layers, the run, its audit."""
