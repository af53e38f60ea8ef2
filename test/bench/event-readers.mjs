// A process of its own with a hundred readers of server-sent events. Notes for each event and reader when it
// came, by the clock that all processes of a machine share; tells them as JSON when its input ends.
const { url, token, readers } = JSON.parse(process.argv[2]);

const came = new Map();
const note = (id) => {
  const now = Number(process.hrtime.bigint()) / 1e6;
  const known = came.get(id);
  if (known === undefined) came.set(id, [now]);
  else known.push(now);
};

/** Several tokens, with spaces between: the readers share them evenly. */
const tokens = token.split(' ');
const read = async (index) => {
  const mine = tokens[index % tokens.length];
  const response = await fetch(url, { headers: { authorization: `Bearer ${mine}` } });
  if (!response.ok) throw new Error(await response.text());
  const decoder = new TextDecoder();
  let text = '';
  void (async () => {
    try {
      for await (const chunk of response.body) {
        text += decoder.decode(chunk, { stream: true });
        for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
          const id = /^id: (\d+)$/m.exec(text.slice(0, end))?.[1];
          text = text.slice(end + 2);
          if (id !== undefined) note(Number(id));
        }
      }
    } catch {
      // The end of the server is the end of the stream.
    }
  })();
};
for (let index = 0; index < readers; index += 1) await read(index);
console.log('ready');
process.stdin.on('end', () => {
  process.stdout.write(JSON.stringify([...came]), () => process.exit(0));
});
process.stdin.resume();
