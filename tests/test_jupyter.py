"A course notebook in JupyterLab itself: run all cells, move a control, see the plot change"
import json, os, re, shutil, socket, subprocess, sys, time, urllib.request
from pathlib import Path
import pytest

root = Path(__file__).parent.parent


@pytest.fixture
def lab(tmp_path):
    "JupyterLab on a copy of a notebook; its address"
    shutil.copy(root/'nbs'/'06_weights.ipynb', tmp_path)
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
        start = dict(path='06_weights.ipynb', name='', type='notebook', kernel=dict(name='python3')) # so that Lab need not ask for a kernel
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
    page.locator('.jp-Notebook .jp-CodeCell').last.get_by_text(re.compile(r'\[\d+\]:')).first.wait_for(timeout=120_000) # all cells have run, so that nothing moves under the mouse
    panel.scroll_into_view_if_needed()
    def moved(before): page.wait_for_function("before => document.querySelector('.jp-OutputArea .widget-vbox img').src !== before", arg=before, timeout=30_000)
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
    assert not page.locator('.jp-OutputArea-output[data-mime-type="application/vnd.jupyter.error"], .jp-RenderedText[data-mime-type="application/vnd.jupyter.stderr"]').count()
    page.close()
