/** The text format of Prometheus, as a test reads it. */

/** Samples by name and labels as they stand in the text, such as `up{job="x"}`. */
export function samplesOf(text: string): Map<string, number> {
  const samples = text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => /^(.+) (\S+)$/.exec(line))
    .map((match): [string, number] => [match?.[1] ?? '', Number(match?.[2])]);
  return new Map(samples);
}

/** The metrics that are described in the text, by name: their types and labels. */
export function metricsIn(text: string): Map<string, { type: string; labels: Set<string> }> {
  const metrics = new Map<string, { type: string; labels: Set<string> }>();
  for (const [, name = '', type = ''] of text.matchAll(/^# TYPE (\S+) (\S+)$/gm))
    metrics.set(name, { type, labels: new Set() });
  for (const sample of samplesOf(text).keys()) {
    const [, name = '', labels = ''] = /^([a-z_:0-9]+)(?:\{(.*)\})?$/i.exec(sample) ?? [];
    const metric = metrics.get(name) ?? metrics.get(name.replace(/_(bucket|sum|count)$/, ''));
    if (!metric) throw new Error(`${name} is not described`);
    for (const [, label = ''] of labels.matchAll(/([a-z_]+)="/g))
      if (label !== 'le') metric.labels.add(label);
  }
  return metrics;
}
