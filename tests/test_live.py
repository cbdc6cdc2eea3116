"The networks in the reader's browser: what they draw, how fast, and whether they agree with Python"
import json
import pytest
from conftest import no_site

if no_site: pytest.skip(no_site, allow_module_level=True)


@pytest.fixture(scope='module')
def page(browser, address):
    page = browser.new_page()
    page.goto(f'{address}live.html')
    yield page
    page.close()


def press(page):
    "Press the button and wait for the verdict; answers both pictures"
    page.click('#live-sample')
    page.wait_for_function("!document.getElementById('live-sample').disabled", timeout=120_000)
    assert 'times as long' in page.inner_text('#live-status')
    return [page.evaluate('id => [...document.getElementById(id).getContext("2d").getImageData(0, 0, 37, 37).data]', f'live-{who}-picture') for who in ('teacher', 'student')]

def test_nothing_is_loaded_before_the_button(browser, address):
    page, asked = browser.new_page(), []
    page.on('request', lambda o: asked.append(o.url))
    page.goto(f'{address}live.html')
    page.wait_for_load_state('networkidle')
    page.close()
    assert not [o for o in asked if o.endswith(('.wasm', '.onnx'))]

def test_the_noise_is_shown_first(page):
    pictures = [page.evaluate('id => document.getElementById(id).toDataURL()', f'live-{who}-picture') for who in ('teacher', 'student')]
    assert pictures[0] == pictures[1] and page.get_attribute('#live-student-picture', 'aria-label') == 'the noise that the student starts from'
    page.fill('#live-seed', '7')
    page.dispatch_event('#live-seed', 'change')
    assert page.evaluate('document.getElementById("live-teacher-picture").toDataURL()') != pictures[0]

def test_the_button_draws_digits(page):
    page.fill('#live-seed', '1')
    first = press(page)
    for picture in first: assert len(set(picture)) > 20, 'the picture is nearly blank'
    assert press(page) == first, 'the same noise number gave other pictures'
    page.fill('#live-seed', '2')
    second = press(page)
    assert all(a != b for a, b in zip(first, second)), 'other noise gave the same pictures'
    for who, steps in ('teacher', '256 steps'), ('student', '1 step'): assert f'{who}, {steps}: ' in page.inner_text(f'#live-{who}-words') and ' ms ' in page.inner_text(f'#live-{who}-words')

def test_the_page_agrees_with_python(page, site):
    live = json.loads((site/'live'/'live.json').read_text())
    assert {(o['name'], o['steps']) for o in live['reference']} >= {('teacher', 256), ('student-04', 4), ('student-01', 1)}
    for o in live['reference']:
        here = page.evaluate('([name, steps, noise]) => liveSample(name, steps, noise)', [o['name'], o['steps'], live['noise']])
        assert max(abs(a - b) for a, b in zip(here, o['images'], strict=True)) < 1e-4

def test_a_missing_network_is_named(browser, address):
    page = browser.new_page()
    page.route('**/*.onnx', lambda route: route.fulfill(status=404))
    page.goto(f'{address}live.html')
    page.click('#live-sample')
    page.wait_for_function("document.getElementById('live-status').textContent.includes('did not work')", timeout=60_000)
    assert 'teacher.onnx is missing (404): build the site with "make site"' in page.inner_text('#live-status')
    page.close()
