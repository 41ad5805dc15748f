import { describe, expect, it } from 'vitest';
import { diagnose } from '../../src/broker/doctor.ts';
import { askTools } from '../../src/mcp/list-tools.ts';
import { newAgent } from '../support/agents.ts';
import { byStep, openPractice } from '../support/doctor.ts';

describe('the tools that rules name', () => {
  const practice = openPractice();
  const examine = async () => {
    const { settings, clock } = practice.world();
    const [found] = await diagnose({ settings, clock, askTools }, 'demo');
    return byStep(found ?? { target: '', steps: [] }).step('tools');
  };

  it('are looked for where a rule names one', async () => {
    await practice.startConnected();
    const { agents, gateway } = practice.broker();
    expect(await examine()).toBeUndefined();
    await agents.add(newAgent({ allow: ['demo'], toolDeny: ['delete_*'] }));
    expect(await examine()).toBeUndefined();
    await gateway.setRules('demo', { deny: ['echo'] });
    expect(await examine()).toEqual({
      step: 'tools',
      verdict: 'ok',
      message: 'the tools that rules name are there',
    });
    await agents.set('docs-bot', { toolDeny: ['whoam'] });
    expect(await examine()).toEqual({
      step: 'tools',
      verdict: 'warning',
      message: 'a rule of agent docs-bot names a tool that is not there: "whoam"',
      remedy: 'broker tools demo',
    });
    await gateway.setRules('demo', { deny: ['eco'] });
    expect((await examine())?.message).toBe(
      'a rule of the server names a tool that is not there: "eco" (and 1 more)',
    );
  });
});
