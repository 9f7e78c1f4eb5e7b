"""What is checked of a file before it is kept: structure, integers, kernels, weights, answers to samples."""
