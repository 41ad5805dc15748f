import json
import os
import urllib.request

from openai import OpenAI


def broker_token():
    """A token of {{connection}} that works now."""
    key = os.environ["BROKER_AGENT_KEY"]
    request = urllib.request.Request("{{token_url}}", headers={"Authorization": f"Bearer {key}"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)["access_token"]


response = OpenAI().responses.create(
    model="gpt-5",
    input="Which tools can you use?",
    tools=[
        {
            "type": "mcp",
            "server_label": "{{name}}",
            "server_url": "{{server_url}}",
            "authorization": broker_token(),
            "require_approval": "always",
        }
    ],
)
print(response.output_text)
