"""The page Try it: exported networks, what people upload, the browser's camera."""
