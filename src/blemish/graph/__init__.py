"""Small ONNX builders: embedding, smoothing, neighbours, score, and joining head and backbone."""
