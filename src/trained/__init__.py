"""What training leaves on disk and every later program reads: flags, checkpoints, exported models."""
