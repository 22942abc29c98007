// Small calls at a steady rate: what is left is the gateway's own work.
import { call, kind, options as shared } from './lib.js';

export const options = shared({ rate: 200, p99: 100 });

const small = kind('chat', 'chat', 300, false);

export default function () {
  call(small);
}
