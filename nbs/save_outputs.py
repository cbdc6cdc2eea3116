"Runs notebooks from top to bottom, each in a new kernel, and saves their outputs without what only a kernel can show"
import os, time
from pathlib import Path
import nbformat
from fastcore.script import call_parse
from nbclient import NotebookClient
from nbdev.clean import clean_nb

nbs = Path(__file__).parent
live_only = 'application/vnd.jupyter.widget-view+json'


def lasting(outputs):
    "Outputs without widgets and what is left of progress bars; what was printed in a row is one piece."
    out = []
    for o in outputs:
        html = o.get('data', {}).get('text/html', 'none').strip()
        if live_only in o.get('data', {}) or not html or html.startswith('<style>'): continue
        if out and o.get('name') and o.get('name') == out[-1].get('name'): out[-1].text += o.text
        else: out.append(o)
    return out

def run(path):
    "Execute `path` in place; an error leaves the file as it was"
    nb = nbformat.read(path, 4)
    folder = {'metadata': {'path': str(path.parent)}}
    NotebookClient(nb, timeout=None, kernel_name='python3', resources=folder).execute()
    nb.metadata.pop('widgets', None)
    for cell in nb.cells:
        if cell.cell_type != 'code': continue
        said = ''.join(o.text for o in cell.outputs if o.get('name') == 'stderr')
        if said: raise ValueError(f"{path.name}, cell {cell.id}, writes to stderr, which a page does not show: {said}")
        cell.outputs = lasting(cell.outputs)
    clean_nb(nb)
    path.write_text(nbformat.writes(nb, indent=1, ensure_ascii=False) + '\n', encoding='utf-8')


@call_parse
def main(
    *names:str, # such as 05_target.ipynb
    full:bool=False, # the full sizes of long cells (sets FULL_RUN), which take minutes to hours
):
    "Save the outputs of the named notebooks, or of all in nbs/, from a run from top to bottom in a new kernel"
    os.environ['SAVING_OUTPUTS'] = '1'
    if full: os.environ['FULL_RUN'] = '1'
    for path in [nbs/Path(o).name for o in names] or sorted(nbs.glob('*.ipynb')):
        begin = time.time()
        run(path)
        print(f"{path.name}: {time.time() - begin:.0f} s", flush=True)
