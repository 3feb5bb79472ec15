"""The loop nests of `direct` on words of two bf16 numbers, where vectors multiply such."""
