"""Floor 4: credit, control variate, surrogate and the combined loss: the science."""
