"Makes README.md from index.ipynb as nbdev processes it, without Quarto"
from pathlib import Path
from nbdev.process import NBProcessor
from nbdev.processors import FilterDefaults

nbs = Path(__file__).parent


def outputs(cell):
    "What a cell printed, fenced"
    texts = [''.join(o.get('text') or o.get('data', {}).get('text/plain', '')) for o in cell.get('outputs', [])]
    return [f"```\n{t.rstrip()}\n```" for t in texts if t.strip()]


def markdown(cell):
    "A cell as Markdown"
    source = cell.source.strip()
    if cell.cell_type != 'code': return [source.replace('](images/', '](nbs/images/').replace('.ipynb)', '.ipynb)').replace('](0', '](nbs/0').replace('](1', '](nbs/1')]
    return [f"```python\n{source}\n```", *outputs(cell)] if source else []


processor = NBProcessor(nbs/'index.ipynb', procs=FilterDefaults().procs())
processor.process()
parts = ['<!-- Made from nbs/index.ipynb by nbs/make_readme.py: edit the notebook. -->', *(p for c in processor.nb.cells for p in markdown(c))]
(nbs.parent/'README.md').write_text('\n\n'.join(parts) + '\n')
