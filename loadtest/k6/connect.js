// A new connection for every call.
import { call, kind, options as shared } from './lib.js';

export const options = shared({ rate: 100, p99: 100, more: { noConnectionReuse: true } });

const small = kind('chat', 'chat', 300, false);

export default function () {
  call(small);
}
