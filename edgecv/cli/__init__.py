"""The command line: parse, call one function of a stage, render. stdout is for results, stderr for everything else."""
