"""Floor 0: the nouns, contracts, errors and seeds everything else speaks. Standard library only."""
