// Search over the headings and texts of all pages. Everything is built of text nodes: no markup is ever made
// out of words, as the policy of the manager demands.
(() => {
  const SHOWN_MAX = 20;
  const field = document.getElementById('q');
  const found = document.getElementById('found');
  let index = null;

  const load = async () => {
    index ??= fetch('search.json').then((answer) => (answer.ok ? answer.json() : []));
    return index;
  };
  const scoreOf = ({ title, page, text }, words) => {
    const [t, p, all] = [title.toLowerCase(), page.toLowerCase(), text.toLowerCase()];
    let score = 0;
    for (const word of words) {
      if (t === word) score += 40;
      else if (t.includes(word)) score += 12;
      else if (p.includes(word)) score += 4;
      else if (all.includes(word)) score += 1;
      else return 0;
    }
    return score;
  };
  const element = (name, text) => {
    const made = document.createElement(name);
    made.textContent = text;
    return made;
  };
  const around = (text, word) => {
    const at = Math.max(0, text.toLowerCase().indexOf(word) - 60);
    return (at > 0 ? '… ' : '') + text.slice(at, at + 180);
  };
  const show = async () => {
    const words = field.value.toLowerCase().split(/\s+/).filter(Boolean);
    if (words.length === 0) {
      found.hidden = true;
      return;
    }
    const entries = await load();
    const hits = entries
      .map((entry) => ({ entry, score: scoreOf(entry, words) }))
      .filter(({ score }) => score > 0)
      .sort((a, b) => b.score - a.score)
      .slice(0, SHOWN_MAX);
    const list = document.createElement('ol');
    for (const { entry } of hits) {
      const item = document.createElement('li');
      const link = element(
        'a',
        entry.title === entry.page ? entry.title : `${entry.page}: ${entry.title}`,
      );
      link.href = entry.href;
      item.append(link, element('p', around(entry.text, words[0])));
      list.append(item);
    }
    found.replaceChildren(
      hits.length === 0
        ? element('p', 'Nothing found. Try a shorter word or an error code.')
        : list,
    );
    found.hidden = false;
  };

  field.addEventListener('input', show);
  field.form.addEventListener('submit', (event) => {
    event.preventDefault();
    found.querySelector('a')?.click();
  });
  found.addEventListener('click', (event) => {
    if (event.target instanceof HTMLAnchorElement) found.hidden = true;
  });
  document.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') found.hidden = true;
    const isTyping = event.target instanceof HTMLInputElement;
    if (event.key === '/' && !isTyping) {
      event.preventDefault();
      field.focus();
    }
  });
})();
