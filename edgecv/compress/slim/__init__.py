"""Structured pruning: whole channels are taken out, so that what is left is a smaller dense network."""
