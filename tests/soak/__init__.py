"""`make soak`: everything under a steady load for an hour, and whether anything grows."""
