"""Random choices that need no geometry: people, poses, colours, views, quotas."""
