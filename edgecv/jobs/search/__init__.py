"""The search of `edgecv optimize`: from a float model to the file to ship, latency first.

Candidates are recipes of `edgecv compress`. All are converted untrained and timed on the device; accuracy, which costs
training, is spent only on those whose time is worth it. The core (space, rules, candidates, objective, surrogate,
engine) is pure and knows no tensorflow; `bench.py` of this folder's neighbours measures, `driver.py` puts both
together, `job.py` starts from paths.
"""
