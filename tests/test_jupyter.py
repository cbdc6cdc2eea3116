"A course notebook in JupyterLab itself: run all cells, move a control, see the plot change"
import json, os, re, shutil, socket, subprocess, sys, time, urllib.request
from pathlib import Path
import pytest

root, notebook = Path(__file__).parent.parent, '06_weights.ipynb'
settings = { # all cells drawn, no questions asked
    'notebook-extension/tracker': {'windowingMode': 'none'},
    'apputils-extension/notification': {'fetchNews': 'false'}}


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]

def is_up(address):
    try: return urllib.request.urlopen(f'{address}/api', timeout=2)
    except OSError: return False

@pytest.fixture
def lab(tmp_path):
    "JupyterLab on a copy of a notebook, with a kernel that it need not ask for; its address"
    shutil.copy(root/'nbs'/notebook, tmp_path)
    for name, setting in settings.items():
        file = tmp_path/'config'/'lab'/'user-settings'/'@jupyterlab'/f'{name}.jupyterlab-settings'
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(setting))
    port, log = free_port(), tmp_path/'lab.log'
    address = f'http://127.0.0.1:{port}'
    options = ['--no-browser', '--allow-root', '--ip=127.0.0.1', f'--port={port}', '--ServerApp.port_retries=0',
               '--IdentityProvider.token=test', f'--ServerApp.root_dir={tmp_path}']
    folders = dict(JUPYTER_CONFIG_DIR=str(tmp_path/'config'), JUPYTER_DATA_DIR=str(tmp_path/'data'), HOME=str(tmp_path))
    with log.open('w') as out:
        server = subprocess.Popen([sys.executable, '-m', 'jupyterlab', *options], stdout=out, stderr=subprocess.STDOUT,
                                  env={**os.environ, **folders})
    try:
        for _ in range(120):
            if is_up(address): break
            time.sleep(0.5)
        else: pytest.fail(log.read_text())
        start = json.dumps(dict(path=notebook, name='', type='notebook', kernel=dict(name='python3'))).encode()
        headers = {'Content-Type': 'application/json', 'Authorization': 'token test'}
        urllib.request.urlopen(urllib.request.Request(f'{address}/api/sessions', start, headers), timeout=60)
        yield address
    finally:
        server.terminate()
        server.wait(20)


def test_explorer_moves_in_jupyterlab(lab, browser):
    page = browser.new_page(viewport=dict(width=1300, height=1000))
    page.goto(f'{lab}/lab/tree/{notebook}?reset&token=test')
    page.locator('.jp-Notebook .jp-Cell').first.wait_for(timeout=60_000)
    page.get_by_text('Python 3 (ipykernel) | Idle').wait_for(timeout=60_000)
    page.get_by_role('menuitem', name='Run', exact=True).click()
    page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()
    panel = page.locator('.jp-OutputArea .widget-vbox').first
    panel.wait_for(state='attached', timeout=120_000)
    panel.scroll_into_view_if_needed()
    picture, slider = panel.locator('img'), panel.get_by_role('slider').first
    picture.wait_for(timeout=30_000)
    last = page.locator('.jp-Notebook .jp-CodeCell').last # when it has run, nothing moves under the mouse
    last.get_by_text(re.compile(r'\[\d+\]:')).first.wait_for(timeout=120_000)
    panel.scroll_into_view_if_needed()
    def moved(before):
        image = "document.querySelector('.jp-OutputArea .widget-vbox img')"
        page.wait_for_function(f"before => {image}.src !== before", arg=before, timeout=30_000)
    first, box = picture.get_attribute('src'), slider.bounding_box()
    at = box['x'] + box['width']/2, box['y'] + box['height']/2
    page.mouse.move(*at)
    page.mouse.down()
    page.mouse.move(at[0] + 160, at[1], steps=8)
    page.mouse.up()
    moved(first)
    dragged = picture.get_attribute('src')
    slider.focus()
    page.keyboard.press('ArrowLeft')
    moved(dragged)
    errors = '[data-mime-type="application/vnd.jupyter.error"], [data-mime-type="application/vnd.jupyter.stderr"]'
    assert not page.locator(errors).count()
    page.close()
