"""Writing .onnx files from finished .tflite files."""
