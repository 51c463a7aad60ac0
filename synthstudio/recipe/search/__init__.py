"""The search for occluders that meet a target, in scenes and in photos."""
