"""Whole jobs: each takes paths and a request, runs the stages in order, and returns one frozen result."""
