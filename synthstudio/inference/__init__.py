"""Ask a trained network about photos, videos and data sets; recipes for what it missed."""
