"""Tensors in, tensors out. Depends on torch alone."""
