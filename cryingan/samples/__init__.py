"""A folder of samples: repaired, relaxed, judged; also in the background."""
