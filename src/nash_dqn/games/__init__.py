"""Batched stochastic games and the exact solutions some of them have."""
