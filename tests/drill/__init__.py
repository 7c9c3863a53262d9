"""The drill: the whole stack under load, killed at random for a while, then every row accounted for."""
