// The documentation as a small site: every page of docs, pages that are made from the lists of error codes
// and routes, a search that works without a network. No script and no style stands inside a page, so that it
// can be served under the policy of the console. Run by with-setup.mjs, after the build.
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Marked } from 'marked';

const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** In the order of the menu. What is in docs and not here comes last. */
const MENU = [
  ['Begin', ['docs/quick-start.md', 'docs/concepts.md', 'docs/install.md']],
  [
    'Roll out',
    [
      'docs/roll-out-safely.md',
      'docs/rehearse-a-rollout.md',
      'docs/rollouts.md',
      'docs/releases.md',
      'docs/trust.md',
    ],
  ],
  ['Nodes', ['docs/agent.md', 'docs/kubernetes.md', 'docs/agent-connection.md', 'docs/sdk.md']],
  [
    'Watch',
    [
      'docs/events.md',
      'docs/siem-recipes.md',
      'docs/sinks.md',
      'docs/event-formats.md',
      'docs/metrics.md',
    ],
  ],
  [
    'Secure',
    [
      'docs/security.md',
      'docs/access.md',
      'docs/people.md',
      'docs/secrets.md',
      'docs/audit.md',
      'docs/threat-model.md',
    ],
  ],
  ['Operate', ['docs/operate.md', 'docs/performance.md', 'troubleshooting', 'docs/errors.md']],
  ['Reference', ['docs/cli.md', 'api']],
];
/** Pages from elsewhere in the repository, under names of their own. */
const ELSEWHERE = {
  'README.md': 'about',
  'SECURITY.md': 'report-a-weakness',
  'CONTRIBUTING.md': 'contributing',
  'CHANGELOG.md': 'changelog',
  'src/protocol/README.md': 'protocol',
  'deploy/README.md': 'deploy',
};

const escape = (text) => String(text).replace(/[&<>"']/g, (c) => `&#${c.codePointAt(0)};`);
const plain = (html) =>
  html
    .replace(/<[^>]*>/g, '')
    .replace(/&#(\d+);/g, (_, n) => String.fromCodePoint(Number(n)))
    .replace(/&lt;/g, '<')
    .replace(/&gt;/g, '>')
    .replace(/&quot;/g, '"')
    .replace(/&amp;/g, '&');
/** As forges make them, so that links work there and here. */
const slugOf = (text) =>
  text
    .toLowerCase()
    .trim()
    .replace(/[^\p{L}\p{N}\s_-]/gu, '')
    .replace(/\s/g, '-');

/** The name of the page that a file becomes; null: the file is no page. */
function pageNameOf(file) {
  if (file === 'docs/README.md') return 'index';
  if (ELSEWHERE[file] !== undefined) return ELSEWHERE[file];
  return /^docs\/[\w-]+\.md$/.test(file) ? file.slice(5, -3) : null;
}

/** Body, title, headings and texts of one Markdown file. */
function render(file, markdown, isPage) {
  const sections = [{ id: '', title: '', text: '' }];
  const seen = new Map();
  const marked = new Marked({ gfm: true });
  const note = (text) => {
    sections.at(-1).text += ` ${text}`;
  };
  marked.use({
    renderer: {
      heading({ tokens, depth }) {
        const html = this.parser.parseInline(tokens);
        const title = plain(html);
        const slug = slugOf(title);
        const count = seen.get(slug) ?? 0;
        seen.set(slug, count + 1);
        const id = count === 0 ? slug : `${slug}-${count}`;
        sections.push({ id, title, text: '', depth });
        return `<h${depth} id="${escape(id)}">${html}</h${depth}>\n`;
      },
      paragraph({ tokens }) {
        const html = this.parser.parseInline(tokens);
        note(plain(html));
        return `<p>${html}</p>\n`;
      },
      link({ href, title, tokens }) {
        const html = this.parser.parseInline(tokens);
        const target = linkOf(file, href, isPage);
        if (target === null) return html;
        return `<a href="${escape(target)}"${title ? ` title="${escape(title)}"` : ''}>${html}</a>`;
      },
      html: ({ text }) => (text.startsWith('<!--') ? '' : escape(text)),
      code: ({ text }) => `<pre tabindex="0"><code>${escape(text)}</code></pre>\n`,
      table(token) {
        const row = (cells, tag) =>
          `<tr>${cells.map((c) => `<${tag}${tag === 'th' ? ' scope="col"' : ''}>${this.parser.parseInline(c.tokens)}</${tag}>`).join('')}</tr>`;
        const body = token.rows.map((cells) => row(cells, 'td')).join('\n');
        note(plain(body.replaceAll('</td>', ' ')));
        const of = sections.at(-1).title;
        return (
          `<div class="table" role="region" tabindex="0" aria-label="${escape(`Table: ${of}`)}">` +
          `<table><thead>${row(token.header, 'th')}</thead><tbody>${body}</tbody></table></div>\n`
        );
      },
    },
  });
  const html = marked.parse(markdown);
  const title = sections.find(({ depth }) => depth === 1)?.title ?? file;
  return { title, html, sections };
}

/** Where a link of a page leads in the site; null for files that are no page: those stay words. */
function linkOf(file, href, isPage) {
  if (/^(https?:|mailto:|#)/.test(href)) return href;
  const [path, anchor] = href.split('#');
  const target = normalize(join(dirname(file), path));
  const name = pageNameOf(target);
  if (name === null || !isPage(name)) return null;
  return `${name}.html${anchor === undefined ? '' : `#${anchor}`}`;
}

/** Every code with what to do, by where it is met; from the one list. */
function troubleshooting(errors) {
  const groups = new Map();
  for (const [code, row] of Object.entries(errors)) {
    const group = code.includes('_') ? code.slice(0, code.indexOf('_')) : code;
    groups.set(group, [...(groups.get(group) ?? []), [code, row]]);
  }
  const few = [...groups].filter(([, rows]) => rows.length < 3).flatMap(([, rows]) => rows);
  const many = [...groups].filter(([, rows]) => rows.length >= 3);
  const section = (title, rows) =>
    `## ${title}\n\n` +
    rows
      .map(
        ([code, { http, severity, meaning, fix }]) =>
          `### ${code}\n\n**What it means.** ${meaning}\n\n**What to do.** ${fix}\n\n` +
          `Severity ${severity}${http === null ? '' : `; HTTP ${http}`}.\n`,
      )
      .join('\n');
  return [
    '# Troubleshooting by error code',
    'Find the code that you were shown, in the search above or in this page. Each says what it means and what to do. ' +
      'Where codes are met, [error codes](errors.md) says.',
    ...many.map(([group, rows]) => section(`Codes that begin with ${group}`, rows)),
    section('Other codes', few),
  ].join('\n\n');
}

/** Every route of the table, with what it takes, answers and refuses. */
function apiReference(document) {
  const byTag = new Map();
  for (const [path, methods] of Object.entries(document.paths)) {
    for (const [method, operation] of Object.entries(methods)) {
      const tag = operation.tags[0];
      byTag.set(tag, [...(byTag.get(tag) ?? []), { path, method, ...operation }]);
    }
  }
  const json = (value) => `\`\`\`json\n${JSON.stringify(value, null, 2)}\n\`\`\``;
  const cell = (text) =>
    String(text ?? '')
      .replaceAll('|', '\\|')
      .replaceAll('\n', ' ');
  const one = (o) => {
    const [status, good] = Object.entries(o.responses).find(([code]) => Number(code) < 400) ?? [];
    const answer = good?.content?.['application/json'];
    const body = o.requestBody?.content['application/json'];
    const codes = Object.values(o.responses).flatMap(({ description, content }) =>
      content?.['application/problem+json'] === undefined
        ? []
        : [...description.matchAll(/^- `([a-z0-9_]+)`/gm)].map(([, code]) => `\`${code}\``),
    );
    return [
      `### ${o.operationId}`,
      `${o.summary}. \`${o.method.toUpperCase()} ${o.path}\`, permission \`${o['x-permission']}\`.`,
      ...(o.parameters.length === 0
        ? []
        : [
            [
              '| parameter | in | needed | type |',
              '|---|---|---|---|',
              ...o.parameters.map(
                (p) =>
                  `| \`${p.name}\` | ${p.in} | ${p.required ? 'yes' : 'no'} | ${cell(p.schema.enum?.map((v) => `\`${v}\``).join(' ') ?? p.schema.type)} |`,
              ),
            ].join('\n'),
          ]),
      ...(body === undefined ? [] : ['Body:', json(body.example)]),
      ...(answer === undefined
        ? [`Answers ${status}.`]
        : [`Answers ${status}:`, json(answer.example)]),
      `Errors: ${codes.join(' ')}`,
    ].join('\n\n');
  };
  return [
    '# API reference',
    'Made from the one table of routes. The same as data: `GET /api/v1/openapi.json` (OpenAPI 3.1). ' +
      'Send an API token as `Authorization: Bearer bwt_…`.',
    '- **Pages.** Give `next_cursor` back as `cursor` until it is null.\n' +
      '- **Errors** are problem documents (RFC 9457) with a stable `code`; see [error codes](errors.md).\n' +
      '- **Changes on a condition.** What shows one thing tells its `ETag`; give it back in `If-Match` with a change, and you are told with 412 ' +
      'and the thing as it is now when somebody was faster.\n' +
      '- **Made once.** Give a fresh `Idempotency-Key` with each request that makes something, and the same one when you repeat it: for 24 hours you get the ' +
      'same answer, marked `Idempotency-Replayed`.',
    ...[...byTag].map(([tag, operations]) => `## ${tag}\n\n${operations.map(one).join('\n\n')}`),
  ].join('\n\n');
}

function layout({ name, title, html, sections }, menu) {
  const items = menu
    .map(
      ([heading, pages]) =>
        `<h2>${escape(heading)}</h2><ul>${pages
          .map(
            (p) =>
              `<li><a href="${p.name}.html"${p.name === name ? ' aria-current="page"' : ''}>${escape(p.title)}</a></li>`,
          )
          .join('')}</ul>`,
    )
    .join('');
  const inside = sections.filter(({ depth }) => depth === 2);
  const contents =
    inside.length < 2
      ? ''
      : `<nav class="contents" aria-label="On this page"><h2>On this page</h2><ul>${inside
          .map(({ id, title: t }) => `<li><a href="#${escape(id)}">${escape(t)}</a></li>`)
          .join('')}</ul></nav>`;
  return `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>${escape(title)} · Bellwether</title>
<link rel="stylesheet" href="assets/docs.css">
<script src="assets/search.js" defer></script>
</head>
<body>
<a class="skip" href="#main">Skip to the text</a>
<header>
<a class="home" href="index.html">Bellwether <span>docs</span></a>
<form role="search" class="search" action="index.html"><label for="q">Search</label><input id="q" type="search" autocomplete="off" spellcheck="false" aria-controls="found"></form>
<a href="/">Console</a>
</header>
<div id="found" class="found" role="region" aria-label="Search results" aria-live="polite" hidden></div>
<div class="page">
<nav class="menu" aria-label="Pages">${items}</nav>
<main id="main" tabindex="-1">
${html}
</main>
${contents}
</div>
</body>
</html>
`;
}

/** Writes the site into `out`, and answers with its pages. */
export function buildDocs({ root = ROOT, out, errors, document }) {
  const files = [
    ...readdirSync(join(root, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => `docs/${name}`),
    ...Object.keys(ELSEWHERE).filter((file) => existsSync(join(root, file))),
  ].sort();
  const made = { troubleshooting: troubleshooting(errors), api: apiReference(document) };
  const names = new Set([...files.map(pageNameOf), ...Object.keys(made)]);
  const isPage = (name) => names.has(name);
  const pages = [
    ...files.map((file) => ({
      name: pageNameOf(file),
      file,
      ...render(file, readFileSync(join(root, file), 'utf8'), isPage),
    })),
    ...Object.entries(made).map(([name, text]) => ({
      name,
      file: name,
      ...render(`docs/${name}.md`, text, isPage),
    })),
  ];
  const byFile = new Map(pages.map((page) => [page.file, page]));
  const listed = new Set(MENU.flatMap(([, wanted]) => wanted));
  const rest = pages.filter(({ file, name }) => !listed.has(file) && name !== 'index');
  const menu = [
    ...MENU.map(([heading, wanted]) => [heading, wanted.flatMap((file) => byFile.get(file) ?? [])]),
    ['More', rest],
  ].filter(([, wanted]) => wanted.length > 0);
  rmSync(out, { recursive: true, force: true });
  mkdirSync(join(out, 'assets'), { recursive: true });
  for (const page of pages) writeFileSync(join(out, `${page.name}.html`), layout(page, menu));
  const lost = {
    name: '404',
    title: 'No such page',
    sections: [],
    html: '<h1>No such page</h1>\n<p>Look in the menu, or search above.</p>',
  };
  writeFileSync(join(out, '404.html'), layout(lost, menu));
  const index = pages.flatMap(({ name, title, sections }) =>
    sections
      .filter((s) => s.title !== '')
      .map((s) => ({
        page: title,
        title: s.title,
        href: `${name}.html${s.depth === 1 ? '' : `#${s.id}`}`,
        text: s.text.replace(/\s+/g, ' ').trim().slice(0, 1500),
      })),
  );
  writeFileSync(join(out, 'search.json'), JSON.stringify(index));
  for (const asset of ['docs.css', 'search.js']) {
    writeFileSync(join(out, 'assets', asset), readFileSync(join(root, 'docs/site', asset)));
  }
  return pages;
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const { ERRORS } = await import(pathToFileURL(join(ROOT, 'dist/src/protocol/index.js')).href);
  const { openApiDocument } = await import(
    pathToFileURL(join(ROOT, 'dist/src/server/platform/http/openapi.js')).href
  );
  const out = join(ROOT, 'dist/docs');
  const pages = buildDocs({ out, errors: ERRORS, document: openApiDocument() });
  console.log(`${pages.length} pages in ${relative(ROOT, out)}`);
}
