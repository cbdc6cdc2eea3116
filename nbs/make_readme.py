"Makes README.md from index.ipynb as nbdev processes it, without Quarto"
import re
from pathlib import Path
from nbdev.process import NBProcessor
from nbdev.processors import FilterDefaults

nbs = Path(__file__).parent


def output(o):
    "What a cell showed: Markdown as it is, text fenced"
    data = o.get('data', {})
    if 'text/markdown' in data: return ''.join(data['text/markdown'])
    return f"```\n{''.join(o.get('text') or data.get('text/plain', '')).rstrip()}\n```"


def parts(cell):
    "A cell as pieces of Markdown; links to files beside the notebook now start from the top of the repository"
    source = cell.source.strip()
    if cell.cell_type != 'code': return [re.sub(r'\]\((?=images/|\w+\.ipynb)', '](nbs/', source)]
    shown = [] if 'echo: false' in source or not source else [f"```python\n{source}\n```"]
    return [*shown, *map(output, cell.get('outputs', []))]


processor = NBProcessor(nbs/'index.ipynb', procs=FilterDefaults().procs())
processor.process()
head = '<!-- Made from nbs/index.ipynb by nbs/make_readme.py: edit the notebook. -->'
(nbs.parent/'README.md').write_text('\n\n'.join([head, *(p for c in processor.nb.cells for p in parts(c))]) + '\n', encoding='utf-8')
