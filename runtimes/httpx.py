import asyncio
import os

import httpx


# include broker_auth.py


async def main():
    async with httpx.AsyncClient(auth=BrokerAuth()) as client:
        print((await client.get("{{server_url}}")).status_code)


asyncio.run(main())
