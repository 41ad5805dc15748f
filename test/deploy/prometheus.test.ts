/** The files for Prometheus and Grafana, against a real daemon and the real promtool. */
import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parse } from 'yaml';
import { type BrokerProcess, runBroker, startBroker } from '../support/broker-process.ts';
import { createHome, type Home } from '../support/home.ts';
import { call } from '../support/http-call.ts';
import { metricsIn } from '../support/metrics-text.ts';

const path = (file: string) => fileURLToPath(new URL(`../../${file}`, import.meta.url));
const read = (file: string) => readFileSync(path(file), 'utf8');

const RULES = 'deploy/prometheus-rules.yaml';
const RULE_TESTS = 'test/deploy/prometheus-rules.test.yaml';

const hasPromtool = spawnSync('promtool', ['--version']).status === 0;
const withPromtool = hasPromtool ? '' : ' (skipped: promtool is not installed)';

function promtool(args: string[], input = ''): { status: number | null; output: string } {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8' });
  return { status, output: stdout + stderr };
}

interface Rule {
  alert: string;
  expr: string;
  labels: { severity: string };
  annotations: { summary: string; command: string };
}
const rules = (parse(read(RULES)) as { groups: { rules: Rule[] }[] }).groups.flatMap((group) => group.rules);

interface Panel {
  id: number;
  type: string;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  datasource?: { uid: string };
  targets?: { expr: string; datasource: { uid: string } }[];
}
const dashboard = JSON.parse(read('deploy/grafana-dashboard.json')) as {
  panels: Panel[];
  templating: { list: { name: string; type: string; definition?: string }[] };
};
const targets = dashboard.panels.flatMap((panel) => panel.targets ?? []);

/** Names of metrics in an expression of PromQL: what is no label, function or keyword. */
function metricsOf(expr: string): string[] {
  const bare = expr
    .replace(/"(?:[^"\\]|\\.)*"/g, '')
    .replace(/\{[^}]*\}|\[[^\]]*\]/g, ' ')
    .replace(/\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)/g, ' ');
  const words = [...bare.matchAll(/(?<![\w.])([a-z_:][\w:]*)(?!\w)(\s*\()?/gi)];
  return words
    .filter(([, , call]) => call === undefined)
    .map(([, word = '']) => word)
    .filter((word) => !KEYWORDS.has(word));
}
const KEYWORDS = new Set(['and', 'or', 'unless', 'bool', 'offset', 'by', 'sum', 'max']);

/** Metrics by the names they are asked for: those of histograms have endings. */
const namesIn = (text: string) =>
  [...metricsIn(text)].flatMap(([name, { type }]) =>
    type === 'histogram' || type === 'summary' ? [`${name}_bucket`, `${name}_sum`, `${name}_count`] : [name],
  );

let home: Home;
let daemon: BrokerProcess;
let scraped: string;

beforeAll(async () => {
  home = await createHome();
  const args = ['agent', 'add', 'prometheus', '--admin', '--allow', 'nothing', '--allow-unknown'];
  daemon = startBroker(['serve', '--listen', '127.0.0.1:0', '--log-level', 'info'], { env: home.env });
  const [, url = ''] = await daemon.waitFor(/listening on (http:\S+)/, 'stderr');
  const { stdout } = await runBroker(args, { env: home.env });
  const headers = { authorization: `Bearer ${stdout.trim()}` };
  scraped = (await call(`${url}/metrics`, { headers })).text;
});

afterAll(async () => {
  await daemon.stop();
  await home.remove();
});

describe('a scrape of a running daemon', () => {
  it('tells of the broker, the process and its event loop', () => {
    const names = namesIn(scraped);
    for (const name of ['build_info', 'ready', 'scheduler_last_turn_timestamp_seconds'])
      expect(names).toContain(`mcp_token_broker_${name}`);
    expect(names).toEqual(
      expect.arrayContaining(['process_cpu_seconds_total', 'nodejs_eventloop_lag_seconds']),
    );
    expect(scraped).toMatch(
      /^mcp_token_broker_build_info\{version="\d+\.\d+\.\d+",node="\d+\.\d+\.\d+"\} 1$/m,
    );
  });

  it.runIf(hasPromtool)(`passes promtool check metrics${withPromtool}`, () => {
    // What it says of names of Node's own metrics is not ours to change.
    const ours = promtool(['check', 'metrics'], onlyOurs(scraped));
    expect(ours).toEqual({ status: 0, output: '' });
    // Whole, it can be read; 3 means read, and something to say.
    expect([0, 3]).toContain(promtool(['check', 'metrics'], scraped).status);
  });
});

function onlyOurs(text: string): string {
  const isOurs = (line: string) => /^(# (HELP|TYPE) )?mcp_token_broker_/.test(line);
  return text.split('\n').filter(isOurs).join('\n').concat('\n');
}

describe(RULES, () => {
  it.runIf(hasPromtool)(`passes promtool check rules${withPromtool}`, () => {
    expect(promtool(['check', 'rules', path(RULES)])).toMatchObject({ status: 0 });
  });

  it.runIf(hasPromtool)(`fires when it should and not else: promtool test rules${withPromtool}`, () => {
    expect(promtool(['test', 'rules', path(RULE_TESTS)])).toMatchObject({ status: 0 });
  });

  it('is tested for each alert, both ways', () => {
    const cases = (
      parse(read(RULE_TESTS)) as {
        tests: { alert_rule_test: { alertname: string; exp_alerts: unknown[] }[] }[];
      }
    ).tests.flatMap((test) => test.alert_rule_test);
    const alerts = rules.map(({ alert }) => alert).sort();
    expect(alerts.length).toBeGreaterThanOrEqual(9);
    const named = (isFiring: boolean) => [
      ...new Set(
        cases.filter((each) => each.exp_alerts.length > 0 === isFiring).map((each) => each.alertname),
      ),
    ];
    expect(named(true).sort()).toEqual(alerts);
    expect(named(false).sort()).toEqual(alerts);
  });

  it.each(rules.map((rule): [string, Rule] => [rule.alert, rule]))(
    '%s has severity, summary and the command that mends it, and asks for metrics there are',
    (_, { expr, labels, annotations }) => {
      expect(['warning', 'critical']).toContain(labels.severity);
      expect(annotations.summary).not.toBe('');
      expect(annotations.command).toMatch(/^(broker|systemctl|curl) /);
      const asked = metricsOf(expr);
      expect(asked.length).toBeGreaterThan(0);
      // `up` is what Prometheus itself tells of a target.
      expect(asked.filter((name) => name !== 'up' && !namesIn(scraped).includes(name))).toEqual([]);
    },
  );
});

describe('deploy/grafana-dashboard.json', () => {
  it('has panels with ids of their own, which do not lie on each other', () => {
    const ids = dashboard.panels.map(({ id }) => id);
    expect(ids.length).toBeGreaterThan(10);
    expect(new Set(ids).size).toBe(ids.length);
    const cells = dashboard.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => `${x + (index % w)},${y + Math.floor(index / w)}`),
    );
    expect(new Set(cells).size).toBe(cells.length);
    expect(dashboard.panels.every(({ gridPos: { x, w } }) => x + w <= 24)).toBe(true);
  });

  it('takes its data from a variable, everywhere', () => {
    const [variable] = dashboard.templating.list;
    expect(variable).toMatchObject({ name: 'datasource', type: 'datasource' });
    const places = [...targets, ...dashboard.panels.filter(({ type }) => type !== 'row')];
    expect(new Set(places.map(({ datasource }) => datasource?.uid))).toEqual(new Set([`\${datasource}`]));
  });

  it('asks for metrics there are, and for all of ours that there are', () => {
    const asked = new Set(targets.flatMap(({ expr }) => metricsOf(expr)));
    expect([...asked].filter((name) => !namesIn(scraped).includes(name))).toEqual([]);
    const shown = [...asked].map((name) => name.replace(/_bucket$/, ''));
    const ours = [...metricsIn(scraped).keys()].filter((name) => name.startsWith('mcp_token_broker_'));
    expect(ours.filter((name) => !shown.includes(name))).toEqual([]);
  });

  it.runIf(hasPromtool)(`has expressions that can be read: promtool${withPromtool}`, () => {
    const groups = [
      { name: 'x', rules: targets.map(({ expr }, index) => ({ record: `x:${index}`, expr: filled(expr) })) },
    ];
    const file = join(home.path, 'dashboard-rules.json');
    writeFileSync(file, JSON.stringify({ groups }));
    expect(promtool(['check', 'rules', file])).toMatchObject({
      status: 0,
    });
  });
});

/** As Grafana sends it. */
function filled(expr: string): string {
  return expr.replaceAll('$__rate_interval', '5m').replaceAll('$instance', '.*');
}

describe('the log of the daemon', () => {
  it('has the request, and nothing of the key it came with', async () => {
    await daemon.waitFor(/"path":"\/metrics"/, 'stderr');
    const lines = daemon
      .stderr()
      .split('\n')
      .filter((line) => line.startsWith('{'));
    const seen = lines.map((line) => JSON.parse(line)).find(({ path: asked }) => asked === '/metrics');
    expect(seen).toMatchObject({ msg: 'request', status: 200, agent: 'prometheus' });
    expect(daemon.stderr()).not.toContain('mtb_');
  });

  it('is pretty where that is asked for', async () => {
    const pretty = startBroker(
      ['serve', '--listen', '127.0.0.1:0', '--log-level', 'info', '--log-format', 'pretty'],
      {
        env: home.env,
      },
    );
    try {
      const [, url = ''] = await pretty.waitFor(/listening on (http:\S+)/, 'stderr');
      await call(`${url}/healthz`, { headers: { 'x-request-id': 'seen' } });
      await pretty.waitFor(
        /^\[\d\d:\d\d:\d\d\] INFO: request .*"request_id":"seen".*"path":"\/healthz"/m,
        'stderr',
      );
      expect(pretty.stderr()).not.toMatch(/^\{/m);
    } finally {
      await pretty.stop();
    }
  });
});
