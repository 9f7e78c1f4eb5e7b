"""What a model is for: a task is one module or folder, numpy only, that every other part asks through one protocol."""
