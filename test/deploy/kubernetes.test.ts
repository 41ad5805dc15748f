/** The manifest, read: kubectl checks nothing without a cluster. */
import { describe, expect, test } from 'vitest';
import { parseAllDocuments } from 'yaml';
import { readDeploy } from '../support/deploy.ts';

// biome-ignore lint/suspicious/noExplicitAny: what a manifest may hold is Kubernetes' to say
type Resource = any;

const text = readDeploy('kubernetes/broker.yaml');
const documents = parseAllDocuments(text);
const resources: Resource[] = documents.map((document) => document.toJS());
const find = (kind: string): Resource => resources.find((each) => each.kind === kind);
const deployment = find('Deployment');
const cronJob = find('CronJob');
const daemonPod = deployment.spec.template;
const checkPod = cronJob.spec.jobTemplate.spec.template;

test('is YAML that names everything, and no namespace', () => {
  expect(documents.flatMap(({ errors, warnings }) => [...errors, ...warnings])).toEqual([]);
  const kinds = ['PersistentVolumeClaim', 'Deployment', 'Service', 'NetworkPolicy', 'CronJob'];
  expect(resources.map(({ kind }) => kind)).toEqual(kinds);
  for (const { apiVersion, metadata } of resources) {
    expect(apiVersion).toMatch(/^(\w[\w.]*\/)?v1$/);
    expect(metadata.name).toMatch(/^broker/);
    expect(metadata.namespace).toBeUndefined();
  }
});

describe.each([
  ['the daemon', daemonPod],
  ['the check', checkPod],
])('the pod of %s', (_, { spec }) => {
  const [container] = spec.containers;

  test('meets the restricted pod security standard, and has limits', () => {
    expect(spec.containers).toHaveLength(1);
    expect(spec.securityContext).toMatchObject({
      runAsNonRoot: true,
      seccompProfile: { type: 'RuntimeDefault' },
    });
    expect(spec.securityContext.runAsUser).toBeGreaterThan(0);
    expect(container.securityContext).toEqual({
      allowPrivilegeEscalation: false,
      readOnlyRootFilesystem: true,
      capabilities: { drop: ['ALL'] },
    });
    expect(spec.automountServiceAccountToken).toBe(false);
    expect(container.resources).toMatchObject({
      requests: { cpu: /\d/, memory: /\d/ },
      limits: { memory: /\d/ },
    });
    for (const each of ['hostNetwork', 'hostPID', 'hostIPC']) expect(spec[each]).toBeUndefined();
  });

  test('has an image with a version', () => {
    expect(container.image).toMatch(/:\d+\.\d+\.\d+$/);
  });

  test('mounts each volume, and no other', () => {
    const names = (list: { name: string }[]) => list.map(({ name }) => name).sort();
    expect(names(container.volumeMounts)).toEqual(names(spec.volumes));
  });

  test('gets secrets as files that others cannot read, and its group can', () => {
    expect(spec.securityContext.fsGroup).toBe(spec.securityContext.runAsGroup);
    for (const { secret } of spec.volumes.filter((each: Resource) => each.secret))
      expect(secret.defaultMode).toBe(0o440);
    for (const { name, value, valueFrom } of container.env) {
      expect(valueFrom).toBeUndefined();
      if (/KEY/.test(name)) expect(value).toMatch(/^\//);
    }
  });
});

test('there is one daemon at a time, with the time to stop that it takes', () => {
  expect(deployment.spec).toMatchObject({ replicas: 1, strategy: { type: 'Recreate' } });
  expect(daemonPod.spec.terminationGracePeriodSeconds).toBeGreaterThan(40);
});

test('it encrypts, and is probed as its own name', () => {
  const [{ args, startupProbe, readinessProbe, livenessProbe }] = daemonPod.spec.containers;
  expect(args).toEqual(expect.arrayContaining(['--tls-cert=/tls/tls.crt', '--tls-key=/tls/tls.key']));
  expect(args.join()).not.toContain('insecure');
  const ports = find('Service').spec.ports;
  const host = `${find('Service').metadata.name}:${ports[0].port}`;
  expect(args).toContain(`--public-url=https://${host}`);
  const asked = { port: 'https', scheme: 'HTTPS', httpHeaders: [{ name: 'Host', value: host }] };
  expect(startupProbe.httpGet).toEqual({ path: '/readyz', ...asked });
  expect(readinessProbe.httpGet).toEqual({ path: '/readyz', ...asked });
  // A broker whose vault raises an alarm must not be killed for it.
  expect(livenessProbe.httpGet).toEqual({ path: '/healthz', ...asked });
});

test('only pods with the label get to it, as the check does', () => {
  const { podSelector, policyTypes, ingress } = find('NetworkPolicy').spec;
  expect(daemonPod.metadata.labels).toMatchObject(podSelector.matchLabels);
  expect(find('Service').spec.selector).toEqual(podSelector.matchLabels);
  expect(deployment.spec.selector).toEqual(podSelector);
  expect(find('Service').spec.type).toBe('ClusterIP');
  expect(policyTypes).toEqual(['Ingress']);
  expect(ingress).toHaveLength(1);
  const [{ from }] = ingress;
  expect(from).toHaveLength(1);
  expect(checkPod.metadata.labels).toMatchObject(from[0].podSelector.matchLabels);
  expect(checkPod.metadata.labels).not.toMatchObject(podSelector.matchLabels);
});

test('it holds no Secret that could be applied by mistake', () => {
  expect(find('Secret')).toBeUndefined();
  expect(text).not.toMatch(/[A-Za-z0-9_-]{43}/);
  const claim = daemonPod.spec.volumes.find(({ name }: Resource) => name === 'data').persistentVolumeClaim
    .claimName;
  expect(claim).toBe(find('PersistentVolumeClaim').metadata.name);
});
