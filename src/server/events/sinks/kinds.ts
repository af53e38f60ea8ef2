import type { SinkKind } from '../../../protocol/api/index.js';
import { openElasticsearch } from './elasticsearch.js';
import { openFile } from './file.js';
import type { Opening, OpenReceiver, Receiver } from './sink.port.js';
import { openSplunk } from './splunk.js';
import { openSyslog } from './syslog.js';
import { openWebhook } from './webhook.js';

/** Every kind of sink. A new one is a file beside these, a line here, and its schemas. */
const OPEN: { readonly [K in SinkKind]: OpenReceiver<K> } = {
  webhook: openWebhook,
  syslog: openSyslog,
  splunk: openSplunk,
  elasticsearch: openElasticsearch,
  file: openFile,
};

export const openReceiver = <K extends SinkKind>(kind: K, opening: Opening<K>): Receiver =>
  OPEN[kind](opening);
