"""The shelf of post-processing: ways from what a model wrote to the program it meant."""
