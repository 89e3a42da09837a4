"""TCP links that can be cut, slowed or black-holed: `python -m tests.crash.proxy NAME:FROM:TO ...`.

Commands come on standard input (`broker cut`, `broker slow 0.2`, `broker hole`, `broker open`,
`ledger answers`: a COMMIT gets through, and its connection is cut before the answer)
and each is answered with a line once it is in force. A black hole keeps the bytes and delivers
them when it opens again, as a network that comes back does: what was late arrives late.
"""

import asyncio
import sys

_CHUNK_BYTES = 65_536


class Link:
    """One listening port and what happens to what passes."""

    def __init__(self, target_port: int) -> None:
        self._target_port = target_port
        self._mode = "open"
        self._delay_s = 0.0
        self._writers: set[asyncio.StreamWriter] = set()

    def turn(self, mode: str, delay_s: float) -> None:
        """Set the mode; `cut` also resets what is connected."""
        self._mode, self._delay_s = mode, delay_s
        if mode == "cut":
            for writer in self._writers:
                writer.transport.abort()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection until either side ends it."""
        await self._while_holed()
        if self._mode == "cut":
            writer.transport.abort()
            return
        try:
            up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self._target_port)
        except OSError:
            writer.transport.abort()
            return
        both = {writer, up_writer}
        self._writers |= both
        try:
            await asyncio.gather(
                self._pump(reader, up_writer, back=writer), self._pump(up_reader, writer)
            )
        finally:
            self._writers -= both
            for one in both:
                one.transport.abort()

    async def _pump(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        back: asyncio.StreamWriter | None = None,
    ) -> None:
        try:
            while data := await reader.read(_CHUNK_BYTES):
                if self._mode == "slow":
                    await asyncio.sleep(self._delay_s)
                await self._while_holed()
                if self._mode == "answers" and back is not None and b"COMMIT" in data:
                    back.transport.abort()
                writer.write(data)
                await writer.drain()
        except OSError:
            pass  # the other side is gone; closing below says so
        finally:
            writer.close()

    async def _while_holed(self) -> None:
        while self._mode == "hole":
            await asyncio.sleep(0.05)


async def main(links: list[str]) -> None:
    """Serve until standard input ends, which is when the driver is gone."""
    known: dict[str, Link] = {}
    for text in links:
        name, port, target = text.split(":")
        known[name] = Link(int(target))
        await asyncio.start_server(known[name].serve, "127.0.0.1", int(port))
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        name, mode, *delay = line.split()
        known[name].turn(mode, float(delay[0]) if delay else 0.0)
        sys.stdout.write("done\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
