"""The people a network is trained on: cropped, rendered or read, augmented, in batches."""
