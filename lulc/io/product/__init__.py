"""The product: written, read, read on another grid, and what belongs beside it."""
