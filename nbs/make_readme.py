"Makes README.md from index.ipynb, without Quarto"
import re
from pathlib import Path
from fastcore.nbio import read_nb

nbs = Path(__file__).parent


def output(o):
    "What a cell showed: Markdown as it is, text fenced"
    data = o.get('data', {})
    if 'text/markdown' in data: return ''.join(data['text/markdown'])
    return f"```\n{''.join(o.get('text') or data.get('text/plain', '')).rstrip()}\n```"


def parts(cell):
    "A cell as pieces of Markdown; links to files beside the notebook now start from the top of the repository"
    if cell.cell_type != 'code': return [re.sub(r'\]\((?=images/|\w+\.ipynb)', '](nbs/', cell.source)]
    shown = [] if '#| echo: false' in cell.source else [f"```python\n{cell.source}\n```"]
    return [*shown, *map(output, cell.outputs)]


head = '<!-- Made from nbs/index.ipynb by nbs/make_readme.py: edit the notebook. -->'
found = [head, *(part for cell in read_nb(nbs/'index.ipynb').cells for part in parts(cell))]
(nbs.parent/'README.md').write_text('\n\n'.join(found) + '\n', encoding='utf-8')
