"""The Open API of Korea Investment & Securities (KIS): WebSocket streams and polled quotes."""
