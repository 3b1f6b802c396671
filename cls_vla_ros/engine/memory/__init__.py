"""The buffers of an inference: their layout, and one set for each batch size."""
