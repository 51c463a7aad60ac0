"""The page Skeletons: its files, and what draws a skeleton in the browser."""
