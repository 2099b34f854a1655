"""Probabilities -> metrics; ranked lists against ratings."""
