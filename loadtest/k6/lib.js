// What all scripts here share: whom they ask, how requests look, and when an answer is a good one.
//
//   GATEWAY_URL   whom to load                                   http://127.0.0.1:8080
//   GATEWAY_KEY   the virtual key to show there
//   DIRECT_URL    the provider that the gateway leads to; if it is given, every call is made twice, once straight to it, and
//                 what the gateway added is a metric of its own (gateway_added) with thresholds of its own
//   DIRECT_KEY    the key to show there, if it wants one
//   MODEL         the model to ask for                           simulated
//   RATE          calls a second                                 each script has its own
//   DURATION      how long                                       20s
//   P99_MS        limit for the 99th percentile                  each script has its own
//   ADDED_MS      limit for the median of what was added         5
//   TAKE_ERRORS   share of calls that may fail                   0.001
import { check } from 'k6';
import http from 'k6/http';
import { Trend } from 'k6/metrics';

const GATEWAY = (__ENV.GATEWAY_URL || 'http://127.0.0.1:8080').replace(/\/+$/, '');
const DIRECT = (__ENV.DIRECT_URL || '').replace(/\/+$/, '');
const MODEL = __ENV.MODEL || 'simulated';

// Milliseconds; negative where the direct call happened to take longer.
const added = new Trend('gateway_added', true);

// Calls come by the clock, not when the one before is done: a gateway that stands still cannot hide it. k6 drops what it cannot
// begin in time, and that is a threshold, too.
export function options({ rate, p99, more }) {
  const perSecond = Number(__ENV.RATE || rate);
  const thresholds = {
    checks: [`rate>${1 - Number(__ENV.TAKE_ERRORS || 0.001)}`],
    'http_req_failed{path:gateway}': [`rate<=${Number(__ENV.TAKE_ERRORS || 0.001)}`],
    'http_req_duration{path:gateway}': [`p(99)<${Number(__ENV.P99_MS || p99)}`],
    dropped_iterations: [`count<${Math.max(5, perSecond / 10)}`],
  };
  if (DIRECT) {
    thresholds.gateway_added = [`med<${Number(__ENV.ADDED_MS || 5)}`];
  }
  return {
    scenarios: {
      load: {
        executor: 'constant-arrival-rate',
        rate: perSecond,
        timeUnit: '1s',
        duration: __ENV.DURATION || '20s',
        preAllocatedVUs: Math.min(500, Math.ceil(perSecond / 2)),
        maxVUs: Math.max(50, perSecond * 2),
      },
    },
    thresholds,
    discardResponseBodies: false,
    summaryTrendStats: ['min', 'med', 'p(90)', 'p(99)', 'p(99.9)', 'max'],
    ...more,
  };
}

// One call through the gateway, and one past it if there is a way.
export function call(kind) {
  const through = ask(GATEWAY, __ENV.GATEWAY_KEY, kind, 'gateway');
  if (DIRECT) {
    const past = ask(DIRECT, __ENV.DIRECT_KEY, kind, 'direct');
    added.add(through.timings.duration - past.timings.duration);
  }
}

function ask(base, key, kind, path) {
  const response = http.post(base + kind.path, kind.body, {
    headers: Object.assign({ 'content-type': 'application/json' }, kind.headers, credential(kind.dialect, key)),
    tags: { path, kind: kind.name },
    timeout: '30s',
  });
  check(response, { 'a whole answer': (answer) => answer.status === 200 && ended(kind, answer.body) }, { path });
  return response;
}

function credential(dialect, key) {
  if (!key) {
    return {};
  }
  return {
    anthropic: { 'x-api-key': key, 'anthropic-version': '2023-06-01' },
    gemini: { 'x-goog-api-key': key },
  }[dialect] || { authorization: `Bearer ${key}` };
}

// The event after which nothing more comes. A stream that was cut has none.
const TERMINAL = {
  anthropic: /event: message_stop\n(?:.*\n)*\n*$/,
  chat: /data: \[DONE\]\s*$/,
  responses: /event: response\.(?:completed|incomplete)\n(?:.*\n)*\n*$/,
  gemini: /"finishReason"/,
};

export function ended(kind, body) {
  if (!body) {
    return false;
  }
  if (kind.stream) {
    return TERMINAL[kind.dialect].test(body.slice(-4096));
  }
  try {
    return typeof JSON.parse(body) === 'object';
  } catch (_) {
    return false;
  }
}

// A request of about so many bytes, in the shape that agents give it: a system prompt, tools, and a conversation that grows.
export function kind(name, dialect, bytes, stream, headers) {
  const tools = bytes < 4096 ? [] : Array.from({ length: Math.ceil(Math.min(bytes, 120000) / 6000) }, (_, n) => tool(dialect, n));
  const system = prose(bytes < 4096 ? 20 : Math.min(bytes, 120000) / 6);
  const around = JSON.stringify(body(dialect, tools, system, [], stream)).length;
  const turns = Math.floor(Math.max(0, bytes - around) / 2000) | 1;
  const each = Math.max(2, Math.floor((bytes - around) / turns) - 60);
  const talk = Array.from({ length: turns }, (_, n) => turn(dialect, n % 2 === 0, prose(each)));
  return {
    name,
    dialect,
    stream,
    headers: headers || {},
    path: {
      anthropic: '/v1/messages',
      chat: '/v1/chat/completions',
      responses: '/v1/responses',
      gemini: `/v1beta/models/${MODEL}:${stream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
    }[dialect],
    body: JSON.stringify(body(dialect, tools, system, talk, stream)),
  };
}

function body(dialect, tools, system, talk, stream) {
  switch (dialect) {
    case 'anthropic':
      return { model: MODEL, max_tokens: 1024, system, ...(tools.length && { tools }), messages: talk, stream };
    case 'chat':
      return {
        model: MODEL,
        ...(tools.length && { tools }),
        messages: [{ role: 'system', content: system }, ...talk],
        max_tokens: 1024,
        stream,
        ...(stream && { stream_options: { include_usage: true } }),
      };
    case 'responses':
      return { model: MODEL, instructions: system, ...(tools.length && { tools }), input: talk, store: false, stream };
    default:
      return {
        systemInstruction: { parts: [{ text: system }] },
        ...(tools.length && { tools: [{ functionDeclarations: tools }] }),
        contents: talk,
      };
  }
}

function turn(dialect, user, text) {
  switch (dialect) {
    case 'responses':
      return {
        type: 'message',
        role: user ? 'user' : 'assistant',
        content: [{ type: user ? 'input_text' : 'output_text', text }],
      };
    case 'gemini':
      return { role: user ? 'user' : 'model', parts: [{ text }] };
    default:
      return { role: user ? 'user' : 'assistant', content: text };
  }
}

function tool(dialect, n) {
  const name = `tool_${n}`;
  const description = prose(900);
  const schema = { type: 'object', properties: { path: { type: 'string', description: prose(100) } }, required: ['path'] };
  switch (dialect) {
    case 'anthropic':
      return { name, description, input_schema: schema };
    case 'chat':
      return { type: 'function', function: { name, description, parameters: schema } };
    case 'responses':
      return { type: 'function', name, description, parameters: schema };
    default:
      return { name, description, parameters: schema };
  }
}

function prose(bytes) {
  const line = 'the function returns early when "state" is empty;\n\tlet next = queue.pop_front();\n';
  return line.repeat(Math.ceil(bytes / line.length)).slice(0, Math.floor(bytes));
}
