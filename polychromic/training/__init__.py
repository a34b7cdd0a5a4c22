"""Floor 5: the trainer, its batches, tracking and checkpoints."""
