import asyncio
import os

from fastmcp import Client


async def main():
    async with Client("{{url}}", auth=os.environ["BROKER_AGENT_KEY"]) as client:
        print(await client.list_tools())


asyncio.run(main())
