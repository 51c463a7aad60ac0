"""Pictures for the browser: people with their labels drawn in, masks, depth, plots."""
