"""The models of an experiment: immutable values, and how parameters and files describe them."""
