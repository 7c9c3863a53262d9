"""What a dealing-room PC needs to send prices to Naru: sources, a durable spool, the wire. A bare Python is enough."""
