"""Cut-outs over the rendering, and what lens, sensor and encoder do."""
