"""The engine's operations as Triton kernels, for bfloat16 on a GPU."""
