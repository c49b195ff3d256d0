"""Measurements of the product on this machine. Not installed; uses the product's code and the tests' rigs."""
