"""Floor 2: the language model: loading, rendering, log-probabilities, and the state in which it may generate."""
