"What smalldocs leaves to do on its pages, and on their copies for machines"
import html, re
from smalldocs.layout import KATEX, SiteNav

find_root = """<script>
(function(){ // the server shows this page at any depth: find the folder of the site, so that its links are right
  for (let at = new URL('./', location.href);; at = new URL('../', at)) {
    const ask = new XMLHttpRequest();
    ask.open('GET', new URL('favicon.svg', at), false);
    try { ask.send() } catch (e) { return }
    if (ask.status === 200) { document.write('<base href="' + at + '">'); return }
    if (at.pathname === '/') return;
  }
})();
</script>"""


def finish_page(file, site):
    "KaTeX comes from the site; the page for wrong addresses finds it."
    up = '../'*(len(file.relative_to(site).parts) - 1)
    text = file.read_text('utf-8').replace(KATEX, f'{up}site_libs/katex/dist')
    if file.name == '404.html': text = text.replace('<head>', '<head>' + find_root)
    file.write_text(text, encoding='utf-8')


def explorer_in_words(found): return f'*Explorer, which moves on the page itself: {html.unescape(found[1])}*'

def finish_copy(file):
    "A copy in Markdown has no pictures within it, no scripts and no places that one can point at."
    text = file.read_text('utf-8')
    for pattern, new in (r'^<div class="explorer">.*?<img [^>]*alt="([^"]*)".*?</script></div>$', explorer_in_words), \
            (r'^<link rel="stylesheet".*?</script>$', 'This part runs in a browser only.'), \
            (r'(?<=\w) \{#[\w.]+\}$', ''), (r'\{\.source-link\}$', ''):
        text = re.sub(pattern, new, text, flags=re.S | re.M)
    file.write_text(text, encoding='utf-8')


def order_list(made):
    "llms.txt in the order of the sidebar"
    pages = SiteNav(made).order(next(iter(made.pages.values())))
    made.pages = {o.src: o for o in pages}
    made.write_llms_txt()
