"The notebooks between nbdev and smalldocs: what a page folds, and the notebook itself to take home"
import ast, json, re
from itertools import groupby

offer = '''::: {.content-hidden when-format="llms-txt"}
```{=html}
<p class="download"><i class="bi bi-download" aria-hidden="true"></i>
<a href="NAME" download>Download this notebook</a>.
It runs in the folder <code>nbs</code> of a clone of the repository, after <code>pip install '.[course]'</code>.</p>
```
:::'''
answer = re.compile(r'(.*::: \{\.callout-tip collapse="true" title="Answer.*)\n:::\s*', re.S)


def read(file): return json.loads(file.read_text('utf-8'))
def source(cell): return ''.join(cell['source'])
def markdown(text): return dict(cell_type='markdown', metadata={}, source=text)
def has_code(file): return any(o['cell_type'] == 'code' for o in read(file)['cells'])

def is_imports(cell):
    "Whether a cell imports and does nothing else"
    if cell['cell_type'] != 'code': return False
    try: body = ast.parse(source(cell)).body
    except SyntaxError: return False # a magic
    return bool(body) and all(isinstance(o, (ast.Import, ast.ImportFrom)) for o in body)

def fold_imports(cells):
    "Cells of imports that follow one another, as one, folded: a reader of the page skips them."
    for found, group in groupby(cells, is_imports):
        first, *rest = group
        if not found: yield from [first, *rest]
        else:
            lines = [o for cell in [first, *rest] for o in source(cell).splitlines() if not o.startswith('#|')]
            yield first | dict(source='\n'.join(['#| code-fold: true', '#| code-summary: "Imports"', *lines]))

def complete_answers(cells):
    "An answer to an exercise ends below the cells that check it, which a notebook folds by themselves."
    opened = False
    for cell in cells:
        text = source(cell)
        if opened and '#| code-fold: true\n' in text: text = text.replace('#| code-fold: true\n', '')
        elif opened:
            opened = False
            yield markdown(':::')
        if cell['cell_type'] == 'markdown' and (begin := answer.fullmatch(text)): text, opened = begin[1], True
        yield cell | dict(source=text)
    if opened: yield markdown(':::')


def prepare(file, original):
    "Make of a notebook that nbdev processed one that smalldocs makes a good page of."
    nb = read(file)
    head, *cells = complete_answers(fold_imports(nb['cells']))
    head['source'] = re.sub('output-file: .*\n', '', source(head)) # nbdev's, which smalldocs does not know
    nb['cells'] = [head, *[markdown(offer.replace('NAME', file.name))]*has_code(original), *cells]
    file.write_text(json.dumps(nb, ensure_ascii=False), encoding='utf-8')
