import asyncio
import os

from agents import Agent, Runner
from agents.mcp import MCPServerStreamableHttp


async def main():
    headers = {"Authorization": f"Bearer {os.environ['BROKER_AGENT_KEY']}"}
    params = {"url": "{{url}}", "headers": headers}
    async with MCPServerStreamableHttp(name="{{name}}", params=params) as server:
        agent = Agent(name="Assistant", mcp_servers=[server])
        print((await Runner.run(agent, "Which tools can you use?")).final_output)


asyncio.run(main())
