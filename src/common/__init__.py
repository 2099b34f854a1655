"""For every layer: errors for users, files, progress, the edge of the programs."""
