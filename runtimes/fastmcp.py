import asyncio
import os

import httpx
from fastmcp import Client


# include broker_auth.py


async def main():
    async with Client("{{server_url}}", auth=BrokerAuth()) as client:
        print(await client.list_tools())


asyncio.run(main())
