"""What an engine, its dtype and its kernels are called in parameters and on command lines."""

ENGINES = ("auto", "eager", "cuda_graph")
DTYPES = ("auto", "float32", "bfloat16")
KERNELS = ("auto", "torch", "triton")
