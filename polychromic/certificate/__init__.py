"""Proof on this machine that the estimator's expectation is the gradient of the objective, and that mistakes show.

It stands above training and calls the functions that training calls: credit, baseline, surrogate, sampling, scoring and
the trainer itself.
"""
