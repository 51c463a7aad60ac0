"""A frame's labels, computed from small arrays returned by the renderer."""
