"""The way out to somebody else's broker: Kafka topics made of the feed, for EVENT_BUS=kafka. One more reader of the
feed and no part of the road: nothing waits for it."""
