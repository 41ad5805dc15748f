interface BrokerToken {
  access_token: string;
  generation: number;
}

/** A token that works now. With the generation of one that was refused: a newer one. */
async function askBroker(rejected_generation?: number): Promise<BrokerToken> {
  const answer = await fetch('{{token_url}}', {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${process.env.BROKER_AGENT_KEY}`,
      'Content-Type': 'application/json',
    },
    body: JSON.stringify({ rejected_generation }),
  });
  if (!answer.ok) throw new Error(`token broker: ${await answer.text()}`);
  return (await answer.json()) as BrokerToken;
}

/** `fetch` with the token of {{connection}}; after a 401 once more with a newer one. */
const brokerFetch: typeof fetch = async (input, init) => {
  const send = (token: BrokerToken) => {
    const headers = new Headers(init?.headers);
    headers.set('Authorization', `Bearer ${token.access_token}`);
    return fetch(input, { ...init, headers });
  };
  const token = await askBroker();
  const response = await send(token);
  return response.status === 401 ? send(await askBroker(token.generation)) : response;
};
