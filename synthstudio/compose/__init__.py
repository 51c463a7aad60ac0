"""Cut-outs over the rendering, and effects of lens, sensor and encoder."""
