async def ask_broker(rejected_generation=None):
    """A token that works now. With the generation of one that was refused: a newer one."""
    body = {} if rejected_generation is None else {"rejected_generation": rejected_generation}
    key = os.environ["BROKER_AGENT_KEY"]
    async with httpx.AsyncClient(trust_env=False, timeout=60) as broker:
        answer = await broker.post("{{token_url}}", json=body, headers={"Authorization": f"Bearer {key}"})
    if answer.is_error:
        raise RuntimeError(f"token broker: {answer.text}")
    return answer.json()


class BrokerAuth(httpx.Auth):
    """The token of {{connection}} on every request; after a 401 once more with a newer one."""

    async def async_auth_flow(self, request):
        token = await ask_broker()
        request.headers["Authorization"] = f"Bearer {token['access_token']}"
        response = yield request
        if response.status_code == 401:
            token = await ask_broker(token["generation"])
            request.headers["Authorization"] = f"Bearer {token['access_token']}"
            yield request

    def sync_auth_flow(self, request):
        raise RuntimeError("BrokerAuth is for httpx.AsyncClient")
