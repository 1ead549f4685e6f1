"""Coordinate ascent for the Bayesian Gaussian mixture."""
