"""Floor 2: the language model, ours or served: loading, rendering, log-probabilities, when it may generate."""
