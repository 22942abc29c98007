// Turns of a coding agent. BYTES is how large the request is: 20000, 200000 (the default), 1000000. STREAM=1: streamed answers.
import { call, kind, options as shared } from './lib.js';

export const options = shared({ rate: 50, p99: 250 });

const turn = kind('turn', 'anthropic', Number(__ENV.BYTES || 200000), __ENV.STREAM === '1');

export default function () {
  call(turn);
}
