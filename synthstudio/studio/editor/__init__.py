"""The keypoint editor: what it is shown, what it sends, and how it is mounted."""
