"""Training pose networks: crops, batches, one loop, checkpoints."""
