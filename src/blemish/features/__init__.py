"""Frozen backbones as ONNX graphs, their sessions, and the cache that computes features once."""
