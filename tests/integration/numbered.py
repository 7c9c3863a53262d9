"""Sockets that know their place in the stream."""


def prices(messages):
    return [int(message["p"]) for message in messages if message["T"] == "t"]


async def numbered(socket, serving, **content):
    await socket.enter(serving)
    return await socket.subscribe(trades=["*"], seq=True, **content)
