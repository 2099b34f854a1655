"""Ranked lists of segments -> CSV files -> their fusion, with weights tuned for the mAP of `src.evaluation`."""
