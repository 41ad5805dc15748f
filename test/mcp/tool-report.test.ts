import { describe, expect, it } from 'vitest';
import type { RulesView } from '../../src/broker/tool-rules.ts';
import { NO_RULES, OPEN_SERVER } from '../../src/core/gateway-policy.ts';
import { knownTool } from '../../src/mcp/tool-digest.ts';
import { pinsOf, reportOn } from '../../src/mcp/tool-report.ts';

const accepted = (name: string) => {
  const definition = { name };
  return { name, definition, digest: knownTool(definition).digest, acceptedAt: 0 };
};

const rulesWith = (rules: Partial<RulesView>, ...names: string[]): RulesView => {
  const pinned = names.map(accepted);
  const pins = Object.fromEntries(pinned.map(({ name, digest }) => [name, digest]));
  return {
    ...{ connection: 'coda@alice', server: 'coda', isShared: false, agents: [], pinned },
    policy: { ...OPEN_SERVER, pins },
    ...rules,
  };
};

const offer = (...tools: { name: string; description?: string }[]) => ({
  tools,
  prompts: ['p'],
  resources: ['u:1'],
});

describe('a report', () => {
  it('says how each tool stands to those that were accepted', () => {
    const { tools } = reportOn(
      rulesWith({}, 'same', 'other', 'gone'),
      offer({ name: 'same' }, { name: 'other', description: 'new words' }, { name: 'new' }),
    );
    expect(tools.map(({ name, state, server }) => [name, state, server.rule])).toEqual([
      ['same', 'accepted', 'none'],
      ['other', 'changed', 'pin'],
      ['new', 'new', 'pin'],
      ['gone', 'gone', 'pin'],
    ]);
    expect(tools[1]?.changes).toEqual([{ field: 'description', after: 'new words' }]);
  });

  it('calls no tool gone that another connection of the server may still have, and pins keep it', () => {
    const rules = rulesWith({ isShared: true }, 'mine', 'of-another');
    expect(reportOn(rules, offer({ name: 'mine' })).tools.map(({ name }) => name)).toEqual(['mine']);
    const names = (view: RulesView) =>
      pinsOf(view, offer({ name: 'mine' }, { name: 'new' })).map(({ name }) => name);
    expect(names(rules)).toEqual(['mine', 'new', 'of-another']);
    expect(names({ ...rules, isShared: false })).toEqual(['mine', 'new']);
  });

  it('judges for each agent by both rules, prompts and resources too', () => {
    const tools = { allow: ['mine'], deny: [] };
    const rules = { tools, prompts: NO_RULES, resources: { allow: ['u:*'], deny: [] } };
    const report = reportOn(
      rulesWith({ agents: [{ name: 'bot', rules, hasOthers: false }] }, 'mine', 'yours'),
      offer({ name: 'mine' }, { name: 'yours' }),
    );
    const verdicts = [...report.tools, ...report.prompts, ...report.resources].map(({ name, agents }) => [
      name,
      agents.bot?.isAllowed,
    ]);
    // Who is confined to certain tools gets prompts where they are allowed by name.
    expect(verdicts).toEqual([
      ['mine', true],
      ['yours', false],
      ['p', false],
      ['u:1', true],
    ]);
  });
});
