// What every page does beside smalldocs.js: boxes that say where they go on, a menu for phones, and all of it by keys
(() => {
  const $ = selector => document.querySelector(selector), $$ = selector => [...document.querySelectorAll(selector)];

  // ---- Code: a long line goes on below its own indent; what was printed in columns stays in them
  const hang = line => {
    const text = line.replace(/<[^>]*>/g, '').replace(/&\w+;/g, '&'), indent = Math.min(text.search(/\S|$/) + 4, 20);
    if (/\S{30}/.test(text)) line = line.replace(/\((?!\))/g, '(<wbr>'); // where a long word may break
    return text.length < 41 ? line : `<span class="line" style="--hang: ${indent}ch">${line}</span>`;
  };
  for (const code of $$('pre > code')) {
    const text = code.textContent, longest = Math.max(...text.split('\n').map(o => o.length));
    const columns = code.closest('.cell-output') && longest < 120 && text.match(/^\||\S {2,}\S/gm)?.length > 1;
    code.classList.toggle('columns', columns);
    code.classList.toggle('many', columns && longest > 88);
    if (columns || longest < 41) continue;
    const by_line = code.innerHTML.replace(/<span class="(\w+)">([^<]*\n[^<]*)<\/span>/g, // such as a docstring
      (_, kind, lines) => lines.split('\n').map(o => `<span class="${kind}">${o}</span>`).join('\n'));
    code.innerHTML = by_line.split('\n').map(hang).join('\n');
  }
  for (const o of $$(':not(pre) > code')) o.classList.toggle('short', o.textContent.length < 24);

  // ---- Tables, figures and equations
  const words = o => {
    const copy = o.cloneNode(true);
    copy.querySelectorAll('.katex-mathml').forEach(e => e.remove());
    return copy.textContent.trim();
  };
  for (const table of $$('.sd-table > table')) { // cells that stand one below the other keep the heads of their columns
    const heads = [...table.tHead.rows[0].cells].map(words), rows = [...table.tBodies[0].rows];
    for (const row of rows) [...row.cells].forEach((o, i) => { o.dataset.head = heads[i]; });
    table.classList.toggle('named', rows.some(o => o.cells[0].textContent.length > 16)); // long names need room
    table.parentElement.classList.toggle('arguments', /^(Argument|Name)$/.test(heads[0]));
  }
  for (const o of $$('main p > img')) { // a phone shows a picture of seven inches or more at a size that can be read
    const widen = () => o.classList.toggle('wide', o.naturalWidth > 700);
    o.complete ? widen() : o.addEventListener('load', widen);
  }
  for (const o of $$('.math.inline')) { // a symbol and the comma behind it stay together
    const next = o.nextSibling, mark = next?.nodeType === Node.TEXT_NODE && next.data.match(/^[,.;:!?)’”]+/)?.[0];
    if (!mark) continue;
    const together = document.createElement('span');
    together.className = 'together';
    o.replaceWith(together);
    next.data = next.data.slice(mark.length);
    together.append(o, mark);
  }
  const methods = $$('#TOC a, main h3'); // which may break at their dot
  for (const o of methods) o.innerHTML = o.innerHTML.replace(/(?<=\w)\.(?=[a-z_])/g, '.<wbr>');
  const kinds = {
    '.sd-table': 'Table', '.cell-output pre': 'Output', 'p:has(> img)': 'Figure', 'pre': 'Code',
    '.math.display': 'Equation',
  };
  const kind = o => kinds[Object.keys(kinds).find(selector => o.matches(selector))];
  const mark = o => { // what is cut off says so, and can be scrolled with the keys
    const on = o.scrollWidth > o.clientWidth + 1;
    o.classList.toggle('goes-on', on && !o.matches('.math'));
    const said = { tabindex: 0, role: 'group', 'aria-label': `${kind(o)}, which goes on to the right` };
    for (const [name, value] of Object.entries(said)) on ? o.setAttribute(name, value) : o.removeAttribute(name);
  };
  const watch = new ResizeObserver(all => all.forEach(o => mark(o.target)));
  for (const o of $$(Object.keys(kinds).join())) { mark(o); watch.observe(o); }

  // ---- What smalldocs leaves unsaid to those who listen, or who use keys
  const names = {
    '.quarto-secondary-nav': 'Where you are', '#quarto-sidebar': 'All pages', '#TOC': 'On this page',
    '.page-navigation': 'Pages before and after',
  };
  for (const [selector, name] of Object.entries(names)) $(selector)?.setAttribute('aria-label', name);
  for (const o of $$('.anchorjs-link')) o.setAttribute('aria-label', `Link to “${words(o.parentElement)}”`);
  for (const o of $$('.sidebar-item-toggle')) { // a section's title folds it already
    o.previousElementSibling.append(o.firstElementChild);
    o.remove();
  }
  const switches = $$('.quarto-color-scheme-toggle'); // links that lead nowhere
  for (const o of switches) {
    o.removeAttribute('href');
    o.setAttribute('aria-label', 'Dark mode');
  }
  for (const o of [...switches, ...$$('[data-bs-toggle=collapse]')]) {
    o.setAttribute('role', 'button');
    o.tabIndex = 0;
  }
  document.addEventListener('keydown', e => {
    if (!['Enter', ' '].includes(e.key) || !e.target.matches('[role=button]')) return;
    e.preventDefault();
    e.target.click();
  });
  const page = document.documentElement;
  const scheme = () => switches.forEach(o => o.setAttribute('aria-pressed', page.dataset.scheme === 'alternate'));
  new MutationObserver(scheme).observe(page, { attributes: true, attributeFilter: ['data-scheme'] });
  scheme();

  // ---- The sidebar, which is a menu on a phone
  const sidebar = $('#quarto-sidebar'), opener = $('.quarto-btn-toggle'), here = $('.sidebar-link.active');
  $('.sidebar-title a').href = `${$('meta[name="smalldocs:offset"]').content}index.html`;
  if (here) { // the page one reads is in sight
    const item = here.getBoundingClientRect(), menu = sidebar.getBoundingClientRect();
    if (item.bottom > menu.bottom) sidebar.scrollTop += item.top - menu.top - sidebar.clientHeight / 2;
  }
  const told = () => {
    const open = sidebar.classList.contains('show');
    opener.setAttribute('aria-expanded', open);
    $('main').inert = open && opener.offsetParent != null;
  };
  new MutationObserver(told).observe(sidebar, { attributes: true, attributeFilter: ['class'] });
  addEventListener('resize', told);
  document.addEventListener('keydown', e => {
    if (e.key !== 'Escape' || !sidebar.classList.contains('show')) return;
    opener.click();
    opener.focus();
  });
  told();
})();
