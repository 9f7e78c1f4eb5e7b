"""Telling who or what is the same: vectors that lie close for one identity, and distances of pairs."""
