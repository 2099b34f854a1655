"""Films -> the features of YouTube-8M: decoding, the two published networks, PCA."""
