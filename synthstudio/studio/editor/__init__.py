"""The keypoint editor: its data, its edits, and its mounting."""
