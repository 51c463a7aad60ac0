"""Training people: cropped, rendered or read, augmented, in batches."""
