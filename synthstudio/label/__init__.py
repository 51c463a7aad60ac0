"""What a frame's labels say, from small arrays that the renderer returns."""
