"""Writing .tflite files: the converter, ranges, and one module per scheme or rewrite of the finished file."""
