import type { Dashboard, Panel } from './panels';
import { DASHBOARDS } from './panels';

// Grafana’s JSON of the dashboards in panels.ts.

const DATASOURCE = { type: 'prometheus', uid: '${datasource}' } as const;
/** Two panels in a row of Grafana’s 24 columns. */
const PANEL_WIDTH = 12;
const PANEL_HEIGHT = 8;
/** Schema of Grafana 11; newer versions migrate it. */
const SCHEMA_VERSION = 39;

function panelOf({ title, unit, isNumber, queries }: Panel, index: number): object {
  const isRight = index % 2 === 1;
  return {
    id: index + 1,
    title,
    type: isNumber === true ? 'stat' : 'timeseries',
    datasource: DATASOURCE,
    gridPos: {
      x: isRight ? PANEL_WIDTH : 0,
      y: Math.floor(index / 2) * PANEL_HEIGHT,
      w: PANEL_WIDTH,
      h: PANEL_HEIGHT,
    },
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    targets: queries.map(([expr, legend], query) => ({
      refId: String.fromCodePoint('A'.charCodeAt(0) + query),
      datasource: DATASOURCE,
      expr,
      legendFormat: legend,
    })),
  };
}

const choice = (name: string, label: string, query: string): object => ({
  name,
  label,
  type: 'query',
  datasource: DATASOURCE,
  query: { query, refId: name },
  refresh: 2,
  sort: 1,
});

function variablesOf({ ofModel }: Dashboard): readonly object[] {
  return [
    { name: 'datasource', label: 'Prometheus', type: 'datasource', query: 'prometheus' },
    choice('namespace', 'Namespace of the routers', 'label_values(ai_model_models, namespace)'),
    ...(ofModel === true
      ? [
          choice(
            'model',
            'Model',
            'label_values(ai_model_health_status{namespace="$namespace"}, model_id)',
          ),
        ]
      : []),
  ];
}

function grafana(dashboard: Dashboard): object {
  const { name, title, panels } = dashboard;
  return {
    uid: name,
    title,
    tags: ['ai-model-service'],
    schemaVersion: SCHEMA_VERSION,
    editable: true,
    refresh: '30s',
    time: { from: 'now-1h', to: 'now' },
    templating: { list: variablesOf(dashboard) },
    panels: panels.map(panelOf),
  };
}

/** File name → dashboard, for Grafana’s import, provisioning or sidecar. */
export function dashboardFiles(): ReadonlyMap<string, string> {
  return new Map(
    DASHBOARDS.map((dashboard) => [
      `${dashboard.name}.json`,
      `${JSON.stringify(grafana(dashboard), null, 2)}\n`,
    ]),
  );
}
