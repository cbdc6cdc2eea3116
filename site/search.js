// The search: by what is read, so that x~ finds x̃ and α1 finds α₁
(() => {
  const root = document.querySelector('meta[name="smalldocs:offset"]').content;
  document.querySelector('.sidebar-header').insertAdjacentHTML('afterend', `<div class="search" role="search">
    <i class="bi bi-search" aria-hidden="true"></i>
    <input type="search" class="form-control form-control-sm" placeholder="Search" aria-label="Search"
      autocomplete="off" role="combobox" aria-autocomplete="list" aria-expanded="false" aria-controls="search-results">
    <div class="search-results dropdown-menu" id="search-results" role="listbox" aria-label="Results"></div>
    <p class="search-status" role="status"></p></div>`);
  const box = document.querySelector('.search');
  const [input, list, status] = ['input', '[role=listbox]', '[role=status]'].map(o => box.querySelector(o));
  const filling = new Set('a an and are can do does for how i in is it my of on the there to what which who why with'
    .split(' '));
  const word = /[\p{L}\p{N}][\p{L}\p{N}\p{M}_]*/gu;
  const fold = text => text.replace(/(\p{L})~/gu, '$1\u0303').replace(/(\p{L})\^(?![\p{N}({])/gu, '$1\u0302')
    .normalize('NFKD').toLowerCase()
    .replace(/(?<![\p{L}\p{N}_])(\p{L}\p{M}*)_(?=[\p{L}\p{N}](?![\p{L}\p{N}_]))/gu, '$1');
  const tokens = text => [...fold(text).matchAll(word)]
    .flatMap(([o]) => o.includes('_') ? [o, ...o.split('_').filter(Boolean)] : [o]);
  let loading, found = [], active = -1, asked = 0;

  const load = () => loading ??= (async () => {
    const program = new URL(`${root}site_libs/minisearch/dist/es/index.js`, location.href);
    const [{ default: MiniSearch }, answer] = await Promise.all([import(program), fetch(`${root}search.json`)]);
    const fields = ['title', 'section', 'text'];
    const index = new MiniSearch({
      idField: 'objectID', fields, storeFields: ['href', ...fields], tokenize: tokens, processTerm: o => o,
      searchOptions: {
        boost: { title: 3, section: 2 }, weights: { prefix: 0.5, fuzzy: 0.2 },
        prefix: o => o.length > 2, fuzzy: o => o.length > 4 ? 0.2 : 0,
      },
    });
    index.addAll(await answer.json());
    return index;
  })().catch(error => { loading = undefined; throw error; });

  const look = async text => {
    const index = await load(), all = [...new Set(tokens(text))], telling = all.filter(o => !filling.has(o));
    const query = (telling.length ? telling : all).join(' '), both = index.search(query, { combineWith: 'AND' });
    return (both.length ? both : index.search(query)).slice(0, 20);
  };

  const escape = text => text.replace(/[&<>"]/g, o => ({ '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;' })[o]);
  const marked = (text, terms) => { // the part of the text that has most of the words, with these marked
    const hits = [...text.matchAll(word)].filter(([o]) => tokens(o).some(t => terms.has(t)));
    const near = o => hits.filter(e => e.index >= o.index && e.index < o.index + 150);
    const fits = hits.map(o => new Set(near(o).map(e => fold(e[0]))).size);
    const best = hits[fits.indexOf(Math.max(...fits))];
    const from = best ? text.lastIndexOf(' ', Math.max(0, best.index - 40)) + 1 : 0, to = from + 230;
    let shown = from ? '… ' : '', at = from;
    for (const o of hits.filter(o => o.index >= from && o.index < to)) {
      shown += `${escape(text.slice(at, o.index))}<mark>${escape(o[0])}</mark>`;
      at = o.index + o[0].length;
    }
    return shown + escape(text.slice(at, Math.max(at, to)));
  };

  const hide = () => { list.classList.remove('show'); input.setAttribute('aria-expanded', false); choose(-1); };
  const choose = i => {
    active = i;
    [...list.children].forEach((o, k) => {
      o.classList.toggle('active', k === i);
      o.setAttribute('aria-selected', k === i);
    });
    if (i < 0) return input.removeAttribute('aria-activedescendant');
    input.setAttribute('aria-activedescendant', list.children[i].id);
    list.children[i].scrollIntoView({ block: 'nearest' });
  };
  const result = (o, i) => `<a class="search-result" role="option" id="search-result-${i}" tabindex="-1"
      aria-selected="false" href="${root}${escape(o.href)}">
    <div class="search-result-title">${escape(o.title)}</div>
    ${o.section && `<div class="search-result-section">${escape(o.section)}</div>`}
    <div class="search-result-text">${marked(o.text, new Set(o.terms))}</div></a>`;
  const say = text => { found = []; hide(); status.textContent = text; };
  const search = async () => {
    const text = (last = input.value).trim(), turn = ++asked;
    if (!tokens(text).length) return say('');
    try {
      const hits = await look(text);
      if (turn !== asked) return; // one has typed on
      if (!hits.length) return say(`No results for “${text}”`);
      found = hits;
      list.innerHTML = hits.map(result).join('');
      choose(-1);
      list.classList.add('show');
      list.scrollTop = 0;
      input.setAttribute('aria-expanded', true);
      status.textContent = `${hits.length}${hits.length === 20 ? ' or more' : ''} result${hits.length > 1 ? 's' : ''}`;
    } catch (error) {
      say(location.protocol !== 'file:' ? `Search did not load: ${error.message}`
        : 'Search needs a server: python -m http.server in this folder, then localhost:8000');
    }
  };

  let timer, last = '';
  input.addEventListener('focus', () => { load().catch(() => {}); if (input.value) search(); });
  input.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(search, 100); });
  input.addEventListener('keydown', async e => {
    if (e.key === 'Escape') { input.value = ''; say(''); e.stopPropagation(); }
    if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
      e.preventDefault();
      const next = e.key === 'ArrowDown' ? active + 1 : Math.max(active, 0) - 1;
      if (found.length) choose((next + found.length) % found.length);
    }
    if (e.key === 'Enter') {
      e.preventDefault();
      clearTimeout(timer);
      if (last !== input.value) await search();
      if (found.length) list.children[Math.max(0, active)].click();
    }
  });
  document.addEventListener('click', e => { if (!box.contains(e.target)) hide(); });
  document.addEventListener('keydown', e => {
    const typing = document.activeElement.matches('input, textarea, select, [contenteditable]');
    const held = e.ctrlKey || e.metaKey;
    if (!(e.key === '/' && !typing && !held && !e.altKey) && !(e.key === 'k' && held)) return;
    e.preventDefault();
    const opener = document.querySelector('.quarto-btn-toggle'); // of the menu on a phone, where the box is
    if (opener.offsetParent && !box.parentElement.classList.contains('show')) opener.click();
    input.focus();
  });
})();
