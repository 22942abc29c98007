// Four agents side by side, in the proportions of a team's day: turns as streams, and small JSON calls beside them.
import exec from 'k6/execution';
import { call, kind, options as shared } from './lib.js';

export const options = shared({ rate: 50, p99: 500 });

const CLAUDE = {
  'user-agent': 'claude-cli/2.1.0 (external, cli)',
  'x-app': 'cli',
  'x-claude-code-session-id': '5f0c3a52-0000-4000-8000-000000000001',
};
const CODEX = { 'user-agent': 'codex_cli_rs/0.98.0', originator: 'codex_cli_rs' };
const GEMINI = { 'user-agent': 'GeminiCLI/0.30.0/gemini-2.5-pro (linux; x64)' };
const OPENCODE = { 'user-agent': 'opencode/1.1.0' };

// What, and how often of a hundred.
const FLEET = [
  [kind('claude-code turn', 'anthropic', 88000, true, CLAUDE), 40],
  [kind('claude-code helper', 'anthropic', 3000, false, CLAUDE), 8],
  [kind('codex turn', 'responses', 55000, true, CODEX), 25],
  [kind('gemini-cli turn', 'gemini', 50000, true, GEMINI), 10],
  [kind('gemini-cli helper', 'gemini', 4000, false, GEMINI), 3],
  [kind('opencode turn', 'chat', 30000, true, OPENCODE), 12],
  [kind('opencode title', 'chat', 2500, true, OPENCODE), 2],
];
const DAY = FLEET.flatMap(([what, weight]) => Array(weight).fill(what));

export default function () {
  // 37 and 100 have no common divisor: every kind comes as often as it weighs, and they are mixed.
  call(DAY[(exec.scenario.iterationInTest * 37) % DAY.length]);
}
