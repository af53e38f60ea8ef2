import type { Asked, Behaviour, Told } from './http-receiver.js';

interface Item {
  readonly status: number;
  readonly error?: { readonly type: string; readonly reason: string };
}

/**
 * `_bulk` into one data stream, as the reference of Elasticsearch 8 tells it ("Bulk API", "Use a data
 * stream", "Data stream naming scheme"): only `create`, an action line before each document, a line end
 * behind the last; a document needs `@timestamp`, and what it says of its data stream must be true.
 */
export class ElasticReceiver {
  readonly apiKey = 'VnVhQ2ZHY0JDZGJrUW0tZTVhT3g6dWkybHAyYXhUTm1zeWFrdzl0dk5udw==';
  readonly dataStream = 'logs-bellwether.events-default';
  /** Documents in the order in which they were created. */
  readonly documents = new Map<string, Record<string, unknown>>();
  /** What becomes of a document, when not what usually does. */
  judge: (document: Record<string, unknown>) => Item | null = () => null;

  readonly behave: Behaviour = (asked) => {
    if (asked.headers.authorization !== `ApiKey ${this.apiKey}`)
      return refused(401, 'security_exception');
    if (asked.method !== 'POST' || asked.path !== `/${this.dataStream}/_bulk`)
      return { status: 405 };
    if (asked.headers['content-type'] !== 'application/x-ndjson') return { status: 406 };
    return this.#bulk(asked);
  };

  #bulk({ body }: Asked): Told {
    if (!body.endsWith('\n')) return refused(400, 'illegal_argument_exception');
    const lines = body.slice(0, -1).split('\n');
    if (lines.length % 2 !== 0) return refused(400, 'illegal_argument_exception');
    const items: Item[] = [];
    for (let at = 0; at < lines.length; at += 2) {
      const action = JSON.parse(lines[at] ?? '') as { create?: { _id?: string } };
      const { _id: id } = action.create ?? {};
      if (
        Object.keys(action).join() !== 'create' ||
        id === undefined ||
        Buffer.byteLength(id) > 512
      ) {
        return refused(400, 'illegal_argument_exception');
      }
      items.push(this.#create(id, JSON.parse(lines[at + 1] ?? '') as Record<string, unknown>));
    }
    const errors = items.some(({ error }) => error !== undefined);
    return {
      status: 200,
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ took: 1, errors, items: items.map((item) => ({ create: item })) }),
    };
  }

  #create(id: string, document: Record<string, unknown>): Item {
    if (this.documents.has(id)) {
      const reason = `[${id}]: version conflict, document already exists`;
      return { status: 409, error: { type: 'version_conflict_engine_exception', reason } };
    }
    const judged = this.judge(document);
    if (judged !== null) return judged;
    const { type, dataset, namespace } = document['data_stream'] as Record<string, string>;
    const isItsOwn = `${type}-${dataset}-${namespace}` === this.dataStream;
    const hasTime = !Number.isNaN(Date.parse(String(document['@timestamp'])));
    if (!hasTime || !isItsOwn) {
      return {
        status: 400,
        error: { type: 'document_parsing_exception', reason: 'wrong document' },
      };
    }
    this.documents.set(id, document);
    return { status: 201 };
  }
}

const refused = (status: number, type: string): Told => ({
  status,
  body: JSON.stringify({ error: { type }, status }),
});
