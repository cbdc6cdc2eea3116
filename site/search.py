"The index of the search: what is read, not what was typed to typeset it, and each row of the glossary by itself"
import json, re
from bs4 import BeautifulSoup

greek = '''alpha beta gamma delta epsilon zeta eta theta iota kappa lambda mu nu xi omicron pi rho sigmaf sigma tau
    upsilon phi chi psi omega'''
signs = dict(varphi='φ', ell='ℓ', Delta='Δ', Sigma='Σ', sum='Σ', sqrt='√', le='≤', ge='≥', to='→', infty='∞', cdot='·',
    times='×', approx='≈', dots='…', sim='∼', ne='≠', frac=' ')
letters = {f'\\{name}': chr(code) for code, name in enumerate(greek.split(), 0x3b1)}
letters |= {f'\\{name}': sign for name, sign in signs.items()} | {'\\in': '∈'}
letters |= {f'\\{name}': name for name in 'cos sin tan cot log exp max min'.split()}
below = dict(zip('0123456789aehijklmnoprstuvx', '₀₁₂₃₄₅₆₇₈₉ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ'))
marks = {'\\hat': '\u0302', '\\tilde': '\u0303', '\\bar': '\u0304', '\\widehat': '\u0302'}


def lowered(found):
    "A letter with its index below it, where there are such signs"
    return found[1] + ''.join(map(below.get, found[2])) if set(found[2]) <= below.keys() else found[0]

def plain(text):
    "Prose with TeX in it, readable without a typesetter: `$\\tilde x$` is x̃."
    text = re.sub(r'\\(tag|label|begin|end)\{[^}]*\}|\\\\', ' ', text)
    accent = r'(\\(?:hat|tilde|bar|widehat))(?![a-z])\s*\{?\s*(\\[a-z]+|\w)\}?'
    text = re.sub(accent, lambda found: letters.get(found[2], found[2]) + marks[found[1]], text)
    text = re.sub(r'\\[A-Za-z]+', lambda found: letters.get(found[0], ''), text)
    text = re.sub(r'\\[,;:! ]', ' ', re.sub(r'\\[()\[\]]', '', text))
    text = re.sub(r'(?<!\w)(\w[\u0302-\u0304]?)_\{?([0-9a-z]+)\}?(?!\w)', lowered, text)
    return ' '.join(re.sub(r'[${}`]|\*\*', '', text).split())


def glossary_entries(page):
    "An entry for each row of the glossary's tables: who looks for a letter finds its meaning first."
    for i, row in enumerate(BeautifulSoup(page.read_text('utf-8'), 'html.parser').select('main tbody tr')):
        name, *rest = [plain(o.get_text()) for o in row.find_all('td')]
        place = row.find_parent('section')['id']
        text = ' · '.join(filter(None, rest))
        yield dict(objectID=f'row-{i}', href=f'{page.name}#{place}', title=name, section='Glossary', text=text)

def finish_search(site):
    "Rewrite search.json."
    file = site/'search.json'
    entries = json.loads(file.read_text('utf-8'))
    for o in entries: o |= {k: plain(o[k]) for k in ('title', 'section', 'text')}
    entries += glossary_entries(site/'glossary.html')
    file.write_text(json.dumps(entries, ensure_ascii=False), encoding='utf-8')
