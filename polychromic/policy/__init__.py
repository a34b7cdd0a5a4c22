"""Floor 2: the language model: loading, rendering, log-probabilities, the state in which it may generate, served ones."""
