"""Random choices without geometry: people, poses, colours, views, quotas."""
