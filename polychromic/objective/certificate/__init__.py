"""Proof on this machine that the estimator's expectation is the gradient of the objective, and that mistakes show."""
