"""Triangles to pixels and exact visibility; the same Warp kernels on CPU and CUDA."""
