"""Scores -> ranked lists -> CSV files, and how well ranked lists agree with ratings.

A segment's id is `VIDEO:START`, START in whole seconds; ids are NumPy bytes arrays throughout.
"""
