// What every page does beside smalldocs.js: boxes that say where they go on, a menu for phones and keys, and the search
(() => {
  const $ = selector => document.querySelector(selector), $$ = selector => [...document.querySelectorAll(selector)];

  // ---- Tables, outputs and equations
  const words = o => { const copy = o.cloneNode(true); copy.querySelectorAll('.katex-mathml').forEach(e => e.remove()); return copy.textContent.trim(); };
  for (const table of $$('.sd-table > table')) { // cells that stand one below the other keep the heads of their columns
    const heads = [...table.tHead.rows[0].cells].map(words);
    for (const row of table.tBodies[0].rows) [...row.cells].forEach((o, i) => { o.dataset.head = heads[i]; });
    table.classList.toggle('named', [...table.tBodies[0].rows].some(o => o.cells[0].textContent.length > 16)); // rows with long names need room for them
  }
  const kinds = { '.sd-table': 'Table', '.cell-output pre': 'Output', '.cell-output-display': 'Figure', 'p.wide': 'Figure', 'pre': 'Code', '.math.display': 'Equation' };
  const kind = o => kinds[Object.keys(kinds).find(selector => o.matches(selector))];
  const mark = o => { // what is cut off says so, and can be scrolled with the keys
    const on = o.scrollWidth > o.clientWidth + 1;
    o.classList.toggle('goes-on', on && !o.matches('.math'));
    for (const [name, value] of Object.entries({ tabindex: 0, role: 'group', 'aria-label': `${kind(o)}, which goes on to the right` })) on ? o.setAttribute(name, value) : o.removeAttribute(name);
  };
  const watch = new ResizeObserver(all => all.forEach(o => mark(o.target)));
  for (const o of $$(Object.keys(kinds).join())) { mark(o); watch.observe(o); }
  for (const o of $$('.anchorjs-link')) o.setAttribute('aria-label', `Link to “${words(o.parentElement)}”`);

  // ---- The sidebar, which is a menu on a phone
  const sidebar = $('#quarto-sidebar'), opener = $('.quarto-btn-toggle'), here = sidebar?.querySelector('.sidebar-link.active');
  if (here) {
    const item = here.getBoundingClientRect(), menu = sidebar.getBoundingClientRect();
    if (item.bottom > menu.bottom) sidebar.scrollTop += item.top - menu.top - sidebar.clientHeight / 2; // the page one reads is in sight
  }
  if (opener) {
    const told = () => {
      const open = sidebar.classList.contains('show');
      opener.setAttribute('aria-expanded', open);
      $('main').inert = open && opener.offsetParent != null;
    };
    new MutationObserver(told).observe(sidebar, { attributes: true, attributeFilter: ['class'] });
    addEventListener('resize', told);
    document.addEventListener('keydown', e => { if (e.key === 'Escape' && sidebar.classList.contains('show')) { opener.click(); opener.focus(); } });
    told();
  }
  const scheme = () => $$('.quarto-color-scheme-toggle').forEach(o => o.setAttribute('aria-pressed', document.documentElement.dataset.scheme === 'alternate'));
  new MutationObserver(scheme).observe(document.documentElement, { attributes: true, attributeFilter: ['data-scheme'] });
  scheme();

  // ---- Search: by what is read, so that x~ finds x̃ and α1 finds α₁
  const box = $('.search'), root = $('meta[name="smalldocs:offset"]')?.content ?? './';
  if (!box) return;
  const input = box.querySelector('input'), list = box.querySelector('[role=listbox]'), status = box.querySelector('[role=status]');
  const filling = new Set('a an and are can do does for how i in is it my of on the there to what which who why with'.split(' '));
  const word = /[\p{L}\p{N}][\p{L}\p{N}\p{M}_]*/gu;
  const fold = text => text.replace(/(\p{L})~/gu, '$1\u0303').replace(/(\p{L})\^(?![\p{N}({])/gu, '$1\u0302').normalize('NFKD').toLowerCase().replace(/(?<![\p{L}\p{N}_])(\p{L}\p{M}*)_(?=[\p{L}\p{N}](?![\p{L}\p{N}_]))/gu, '$1');
  const tokens = text => [...fold(text).matchAll(word)].flatMap(([o]) => o.includes('_') ? [o, ...o.split('_').filter(Boolean)] : [o]);
  let loading, found = [], active = -1, asked = 0;

  const load = () => loading ??= (async () => {
    const [{ default: MiniSearch }, answer] = await Promise.all([import(new URL(`${root}site_libs/minisearch/index.js`, location.href)), fetch(`${root}search.json`)]);
    const index = new MiniSearch({ idField: 'objectID', fields: ['title', 'section', 'text'], storeFields: ['href', 'title', 'section', 'text'], tokenize: tokens, processTerm: o => o,
      searchOptions: { boost: { title: 3, section: 2 }, prefix: o => o.length > 2, fuzzy: o => o.length > 4 ? 0.2 : 0, weights: { prefix: 0.5, fuzzy: 0.2 } } });
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
    const fits = hits.map(o => new Set(hits.filter(e => e.index >= o.index && e.index < o.index + 150).map(e => fold(e[0]))).size);
    const from = hits.length ? text.lastIndexOf(' ', Math.max(0, hits[fits.indexOf(Math.max(...fits))].index - 40)) + 1 : 0, to = from + 230;
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
    [...list.children].forEach((o, k) => { o.classList.toggle('active', k === i); o.setAttribute('aria-selected', k === i); });
    if (i < 0) return input.removeAttribute('aria-activedescendant');
    input.setAttribute('aria-activedescendant', list.children[i].id);
    list.children[i].scrollIntoView({ block: 'nearest' });
  };
  const say = text => { found = []; hide(); status.textContent = text; };
  const search = async () => {
    const text = (last = input.value).trim(), turn = ++asked;
    if (!tokens(text).length) return say('');
    try {
      const hits = await look(text);
      if (turn !== asked) return; // one has typed on
      if (!hits.length) return say(`No results for “${text}”`);
      found = hits;
      list.innerHTML = hits.map((o, i) => `<a class="search-result" role="option" id="search-result-${i}" tabindex="-1" aria-selected="false" href="${root}${escape(o.href)}"><div class="search-result-title">${escape(o.title)}</div>`
        + `${o.section ? `<div class="search-result-section">${escape(o.section)}</div>` : ''}<div class="search-result-text">${marked(o.text, new Set(o.terms))}</div></a>`).join('');
      choose(-1);
      list.classList.add('show');
      list.scrollTop = 0;
      input.setAttribute('aria-expanded', true);
      status.textContent = `${hits.length}${hits.length === 20 ? ' or more' : ''} result${hits.length > 1 ? 's' : ''}`;
    } catch (error) {
      say(location.protocol === 'file:' ? 'Search needs a server: python -m http.server in this folder, then localhost:8000' : `Search did not load: ${error.message}`);
    }
  };

  let timer, last = '';
  input.addEventListener('focus', () => { load().catch(() => {}); if (input.value) search(); });
  input.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(search, 100); });
  input.addEventListener('keydown', async e => {
    if (e.key === 'Escape') { input.value = ''; say(''); e.stopPropagation(); }
    if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
      e.preventDefault();
      if (found.length) choose(active < 0 && e.key === 'ArrowUp' ? found.length - 1 : (active + (e.key === 'ArrowDown' ? 1 : -1) + found.length) % found.length);
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
    if ((e.key === '/' && !typing && !e.ctrlKey && !e.metaKey && !e.altKey) || (e.key === 'k' && (e.ctrlKey || e.metaKey))) {
      e.preventDefault();
      if (opener?.offsetParent && !sidebar.classList.contains('show')) opener.click();
      input.focus();
    }
  });
})();
