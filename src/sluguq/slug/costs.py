"""What parts of the arithmetic cost, in forward passes of the network, read without JAX."""

PRODUCT = 5.0
"""Forward passes of one image that a product with the GGN matrix is."""
