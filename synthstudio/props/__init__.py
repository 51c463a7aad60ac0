"""Things, cut-outs, backdrops and rooms."""
