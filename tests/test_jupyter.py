"A course notebook in JupyterLab itself: run all cells, move a control, see the plot change"
import json, os, shutil, socket, subprocess, sys, time, urllib.request
from pathlib import Path
import pytest

root = Path(__file__).parent.parent


@pytest.fixture
def lab(tmp_path):
    "JupyterLab on a copy of a notebook; its address"
    pytest.importorskip('jupyterlab')
    shutil.copy(root/'nbs'/'04_weights.ipynb', tmp_path)
    for name, setting in {'notebook-extension/tracker': {'windowingMode': 'none'}, 'apputils-extension/notification': {'fetchNews': 'false'}}.items(): # all cells drawn, no questions asked
        file = tmp_path/'config'/'lab'/'user-settings'/'@jupyterlab'/f'{name}.jupyterlab-settings'
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps(setting))
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    command = [sys.executable, '-m', 'jupyterlab', '--no-browser', '--allow-root', '--ip=127.0.0.1', f'--port={port}', '--ServerApp.port_retries=0', '--IdentityProvider.token=test', f'--ServerApp.root_dir={tmp_path}']
    with open(tmp_path/'lab.log', 'w') as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env={**os.environ, 'JUPYTER_CONFIG_DIR': str(tmp_path/'config'), 'JUPYTER_DATA_DIR': str(tmp_path/'data'), 'HOME': str(tmp_path)})
    try:
        for _ in range(120):
            try: urllib.request.urlopen(f'http://127.0.0.1:{port}/api', timeout=2); break
            except OSError: time.sleep(0.5)
        else: pytest.fail((tmp_path/'lab.log').read_text())
        start = dict(path='04_weights.ipynb', name='', type='notebook', kernel=dict(name='python3')) # so that Lab need not ask for a kernel
        urllib.request.urlopen(urllib.request.Request(f'http://127.0.0.1:{port}/api/sessions', json.dumps(start).encode(), {'Content-Type': 'application/json', 'Authorization': 'token test'}), timeout=60)
        yield f'http://127.0.0.1:{port}'
    finally:
        server.terminate()
        server.wait(20)


def test_explorer_moves_in_jupyterlab(lab, browser):
    page = browser.new_page(viewport=dict(width=1300, height=1000))
    page.goto(f'{lab}/lab/tree/04_weights.ipynb?reset&token=test')
    page.locator('.jp-Notebook .jp-Cell').first.wait_for(timeout=60_000)
    page.get_by_text('Python 3 (ipykernel) | Idle').wait_for(timeout=60_000)
    page.get_by_role('menuitem', name='Run', exact=True).click()
    page.locator('.lm-Menu-item[data-command="runmenu:run-all"]').click()
    panel = page.locator('.jp-OutputArea .widget-vbox').first
    panel.wait_for(state='attached', timeout=120_000)
    panel.scroll_into_view_if_needed()
    picture, slider = panel.locator('img'), panel.get_by_role('slider').first
    picture.wait_for(timeout=30_000)
    before = picture.get_attribute('src')
    slider.focus()
    page.keyboard.press('ArrowRight')
    page.wait_for_function("before => document.querySelector('.jp-OutputArea .widget-vbox img').src !== before", arg=before, timeout=30_000)
    assert not page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"], .jp-RenderedText[data-mime-type="application/vnd.jupyter.stderr"]').count()
    page.close()
