"""Ranked lists and their ratings as a folder of pages to look at: classes, a class, a video."""
