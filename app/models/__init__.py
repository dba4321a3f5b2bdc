"""The models there are, those in memory, and how they come there."""
