export { dashboardFiles } from './dashboards';
export { modelRuleGroups, ruleGroups, serviceRuleGroup } from './groups';
export type { AlertRule, RecordingRule, RuleGroup } from './rules';
