"""The numbers we quote: `make bench` runs the real stack on private servers and writes docs/benchmarks.md."""
