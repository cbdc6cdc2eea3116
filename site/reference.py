"The reference: a page for each module, one that lists all names, and where names in backticks lead"
import json, re, sys
from functools import cache
from importlib import import_module
from inspect import getsource, getsourcelines, isclass, isfunction, signature
from pathlib import Path
from fastai.learner import Learner
from smalldocs import api
import notebooks

package = 'progressive_distillation'


# ---- Where things are

@cache
def cell_ids(file): return [o.get('id') for o in notebooks.read(file)['cells']]

def places(module, proc):
    "For each line of a module the notebook and the cell on its page that the line was exported from"
    here, found = '', []
    for line in Path(module.__file__).read_text('utf-8').splitlines():
        if origin := re.match(r'# %% \.\./nbs/(\S+) #(\S+)', line):
            here, ids = origin[1], cell_ids(proc/origin[1])
            if origin[2] in ids: here += f'#cell-{ids.index(origin[2])}'
        found.append(here)
    return found

def line_of(name, obj, module):
    "Where a function, a class or a value begins in its module, from 1"
    if isclass(obj) or isfunction(obj): return getsourcelines(obj)[1]
    lines = Path(module.__file__).read_text('utf-8').splitlines()
    return next(i for i, line in enumerate(lines, 1) if re.match(rf'{name}(:.*)? =', line))

def members(module):
    "The public names of a module, those that it gives to fastai's Learner among them, in their order there"
    found = {name: api.unwrapped(getattr(module, name)) for name in module.__all__}
    given = {name: o for name, o in vars(Learner).items() if isfunction(o) and o.__module__ == module.__name__}
    found |= {f'Learner.{name}': o for name, o in given.items()}
    return sorted((line_of(name, o, module), name, o) for name, o in found.items())

def methods(obj):
    "What a class does when it is called, and its public methods and properties, in their order there"
    public = [o for name, o in vars(obj).items() if name == '__call__' or name[0] != '_']
    found = [api.unwrapped(getattr(o, 'fget', getattr(o, 'func', o))) for o in public]
    return sorted((o for o in found if isfunction(o) and api.doc(o)), key=api.line_of)


# ---- How they are called

def comment(obj, argument):
    "What the line of an argument says of it; fastcore reads no two stars, and one argument a line."
    if hasattr(obj, '_fields'): return api.class_comments(obj).get(argument.name)
    if argument.kind is not argument.VAR_KEYWORD and (said := api.safe_docments(obj)[argument.name].docment): return said
    found = re.search(rf'^ +[^#()\n]*(?<!\w){argument.name}(?!\w)[^#\n]*, # (.*)', getsource(obj), re.M)
    return found and found[1]

def explained(obj, argument):
    "What an argument is, and its type: a class says it once for all its methods, or one of its bases does."
    cls = obj if isclass(obj) else getattr(sys.modules[obj.__module__], obj.__qualname__.rpartition('.')[0], None)
    bases = [o for o in getattr(cls, '__mro__', ()) if o.__module__.startswith(package)]
    places = [obj, *bases, *(method for base in bases for method in methods(base))]
    for o in places:
        found = signature(o).parameters.get(argument.name)
        said = found and comment(o, found)
        if said: return said, argument.annotation if argument.annotation is not argument.empty else found.annotation
    is_named = any(f'`{argument.name}`' in (o.__doc__ or '') for o in places)
    return 'as said above' if is_named else '', argument.annotation

def arguments(obj):
    "The call of a function or class, without its name, and a table of what it takes and returns"
    call, rows, module = [], [], sys.modules[obj.__module__]
    for o in signature(obj).parameters.values():
        if o.name in ('self', 'cls'): continue
        stars = {o.VAR_POSITIONAL: '*', o.VAR_KEYWORD: '**'}.get(o.kind, '')
        default = '' if o.default is o.empty else api.default_text(o.default)
        call.append(stars + o.name + f'={default}'*bool(default))
        said, anno = explained(obj, o)
        anno = '' if anno is o.empty else api.type_text(anno, module)
        needed = '' if stars else 'required'
        rows.append([f'`{stars}{o.name}`', anno, f'`{default}`' if default else needed, said])
    end = None if isclass(obj) else api.safe_docments(obj).get('return')
    if end and end.docment: rows.append(['returns', api.type_text(end.anno, module), '', end.docment])
    return f"({', '.join(call)})", api.table(rows, ['Argument', 'Type', 'Default', 'What it is'])

def entry(obj, name, is_called=True):
    "The call, docstring and arguments of a class, function or method; what it raises comes last."
    doc = api.doc(obj).split('\n\n')
    above, below = ['\n\n'.join(o for o in doc if o.startswith('Raises') == raises) for raises in (False, True)]
    bases = [o for o in getattr(obj, '__bases__', ()) if o.__module__.startswith(package) and o.__name__[0] != '_']
    kind = f"Subclass of {' and '.join(f'`{o.__name__}`' for o in bases)}." if bases else ''
    if not is_called: return [above, kind, below]
    call, table = arguments(obj)
    return [f'```python\n{name}{call}\n```', above, kind, table, below]

def value(name, obj, line):
    "A name that stands for a value, with the comment beside it"
    said = line.partition(' # ')[2] or f'a {type(obj).__name__}'
    shown = re.sub(r"<class '[\w.]*?(\w+)'>", r'\1', repr(obj))
    return [said[0].upper() + said[1:], f'```python\n{name} = {shown}\n```']


# ---- The pages

def heading(level, name, place):
    title = name.replace('_', r'\_') # two of them would be taken for bold
    return [f"{'#'*level} {title} {{#{name}}}", f'[source](../{place}){{.source-link}}']

def entries(module, proc):
    "Name, summary and Markdown of each public name of a module"
    where, lines = places(module, proc), Path(module.__file__).read_text('utf-8').splitlines()
    for line, name, obj in members(module):
        parts = heading(2, name, where[line - 1])
        if not (isclass(obj) or isfunction(obj)):
            said, shown = value(name, obj, lines[line - 1])
            yield name, said, [*parts, said, shown]
            continue
        parts += entry(obj, name, isfunction(obj) or api.has_init(obj) or hasattr(obj, '_fields'))
        for o in methods(obj) if isclass(obj) else ():
            parts += heading(3, o.__qualname__, where[api.line_of(o) - 1])
            parts += entry(o, o.__qualname__, isfunction(api.unwrapped(vars(obj)[o.__name__])))
        yield name, api.summary(obj), parts

def page(title, description, order, *parts):
    "A page as smalldocs reads it: nobody reads these in a row, and all that is typed stays as it is."
    front = {'page-navigation': False, 'from': 'markdown-smart'}
    front |= dict(title=title, description=description, order=order)
    text = re.sub(r'(`[^`]*`)|<', lambda found: found[1] or r'\<', '\n\n'.join(filter(None, parts))) # no tags
    return f'---\n{json.dumps(front)}\n---\n\n{text}\n'

def module_page(module, found, order, proc):
    made = dict.fromkeys(o.partition('#')[0] for o in places(module, proc) if o)
    titles = [re.search('title: (.*)', notebooks.source(notebooks.read(proc/o)['cells'][0]))[1] for o in made]
    links = ' and '.join(f'[{title}](../{o})' for title, o in zip(titles, made))
    about = f'Reference of {module.__name__}: every public name with its arguments, their shapes and ranges.'
    head = f'`from {module.__name__} import *` · derived in {links}'
    return page(short(module), about, order, head, *(o for *_, parts in found for o in parts))

def short(module): return module.__name__.rpartition('.')[2]

def index_page(found):
    "All names, and what to import for them"
    everything = import_module(f'{package}.all')
    alone = [o for o in found if any(getattr(everything, n, None) is not getattr(o, n) for n in o.__all__)]
    head = f'All of them come with `from {package}.all import *`'
    if alone: head += f", but for those of {' and '.join(map(short, alone))}, which come from their own module"
    tables = [f'## {short(module)}\n\n' + api.table([[f'[`{name}`]({short(module)}.qmd#{name})', said]
        for name, said, _ in names], ['Name', 'What it is']) for module, names in found.items()]
    return page('All names', f'Every public name of {package}, by module.', 0, head + '.', *tables)


def write(proc):
    "Write the pages into the folder `api` of the processed notebooks, and _symbols.json."
    from_notebooks = {o: list(filter(None, places(o, proc))) for o in api.package_modules(package)}
    modules = sorted(filter(from_notebooks.get, from_notebooks), key=from_notebooks.get)
    found, symbols = {o: list(entries(o, proc)) for o in modules}, {}
    (proc/'api').mkdir()
    for order, (module, names) in enumerate(found.items(), 1):
        text = module_page(module, names, order, proc)
        (proc/'api'/f'{short(module)}.qmd').write_text(text, encoding='utf-8')
        symbols |= {o: f'/api/{short(module)}.qmd#{o}' for o in re.findall(r'(?m)^##+ .*\{#([\w.]+)\}$', text)}
    (proc/'api'/'index.qmd').write_text(index_page(found), encoding='utf-8')
    (proc/'_symbols.json').write_text(json.dumps(symbols), encoding='utf-8')
