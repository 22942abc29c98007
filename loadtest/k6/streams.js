// Many slow streams at one time: STREAMS of them (200), each begun anew when it has ended. Let the provider take its time:
//   tollgate mock --skim --chunks 20 --chunk-bytes 60 --gap-ms 50
import { call, kind, options as shared } from './lib.js';

const held = Number(__ENV.STREAMS || 200);
const open = {
  scenarios: { load: { executor: 'constant-vus', vus: held, duration: __ENV.DURATION || '20s', gracefulStop: '30s' } },
};

export const options = shared({ rate: held, p99: 5000, more: open });

const stream = kind('stream', 'anthropic', 300, true);

export default function () {
  call(stream);
}
