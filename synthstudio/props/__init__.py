"""Objects, cut-outs, backdrops and rooms."""
