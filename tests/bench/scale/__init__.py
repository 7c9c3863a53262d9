"""`make bench-scale`: what more workers, servers, rows, sockets and symbols do."""
