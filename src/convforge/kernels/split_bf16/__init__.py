"""fp32 numbers as bf16 parts, multiplied on a tile unit."""
