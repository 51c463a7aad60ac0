"""The review studio: pages and the keypoint editor; presentation only."""
