"""Ranked lists of segments -> CSV files -> their fusion, whose weights are tuned for the mAP of `src.evaluation`."""
