"""TFRecords -> batches: shards and the holdout, readers, the input pipeline, segments."""
