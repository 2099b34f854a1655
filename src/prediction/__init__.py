"""A trained model -> scores -> the best segments of each class, in this process or on a Dask cluster -> CSV."""
