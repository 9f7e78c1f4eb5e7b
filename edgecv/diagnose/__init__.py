"""Why a file answers worse than its model: which layer costs how much, and what helps."""
