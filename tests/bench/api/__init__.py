"""`make bench-api`: what the serving side costs, and how much it serves."""
