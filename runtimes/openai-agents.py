import asyncio
import os

from agents import Agent, Runner
from agents.mcp import MCPServerStreamableHttp

try:
    import httpx2 as httpx  # with version 2 of the package mcp
except ImportError:
    import httpx  # with version 1


# include broker_auth.py


async def main():
    params = {"url": "{{server_url}}", "auth": BrokerAuth()}
    async with MCPServerStreamableHttp(name="{{name}}", params=params) as server:
        agent = Agent(name="Assistant", mcp_servers=[server])
        print((await Runner.run(agent, "Which tools can you use?")).final_output)


asyncio.run(main())
