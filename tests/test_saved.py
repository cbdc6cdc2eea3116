"A saved denoiser: what older versions wrote, what wraps a network, and what its data lie in"
import hashlib, json
import pytest, torch
from safetensors.torch import save_file
from torch import nn
from progressive_distillation.all import *
from conftest import contents, same, small_net, weights

network = dict(name='PatchNet', channels=1, size=4, out_channels=None, patch=2, width=2, hidden=3, depth=1, classes=2)
format_1 = dict(format=1, pred='v', steps=4, clip=True, model=network,
    schedule=dict(name='CosineNoiseSchedule', logsnr_min=-20, logsnr_max=20))
shapes = {'time.layers.0': (128, 32), 'time.layers.2': (128, 128), 'first': (2, 4, 3, 3),
    'blocks.0.norm': (8,), 'blocks.0.inner': (3, 8), 'blocks.0.outer': (8, 3), 'blocks.0.time': (3, 128),
    'blocks.1.norm': (2,), 'blocks.1.inner': (2, 2, 3, 3), 'blocks.1.outer': (2, 2, 3, 3), 'blocks.1.time': (2, 128),
    'last.0': (2,), 'last.1': (4, 2, 3, 3)} # of each layer's weight; its bias is a vector

def test_files_of_format_1(tmp_path):
    "Byte by byte what version 0.1 wrote"
    saved, folder = {'time.classes.weight': torch.randn(2, 128)}, tmp_path/'old'
    for name, shape in shapes.items():
        saved |= {f'{name}.weight': torch.randn(shape), f'{name}.bias': torch.randn(shape[0])}
    folder.mkdir()
    save_file(saved, folder/'model.safetensors')
    digest = hashlib.sha256((folder/'model.safetensors').read_bytes()).hexdigest()
    (folder/'config.json').write_text(json.dumps({**format_1, 'sha256': digest}))
    old = load_denoiser(folder)
    assert same(weights(old.model), {k: saved[k] for k in weights(old.model)}) and len(saved) == len(weights(old.model))
    assert (old.steps, old.pred.name, old.clip, old.value_range) == (4, 'v', True, (-1, 1))
    assert old.schedule == CosineNoiseSchedule(-20, 20)
    save_denoiser(old, tmp_path/'new')
    assert json.loads((tmp_path/'new'/'config.json').read_text()).keys() == {*format_1, 'sha256'}

@pytest.fixture
def process_group():
    torch.distributed.init_process_group('gloo', store=torch.distributed.HashStore(), rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()

parallel, sharded = nn.DataParallel, nn.parallel.DistributedDataParallel
nests = [parallel], [torch.compile], [torch.compile, parallel], [sharded, torch.compile], [parallel, parallel]

@pytest.mark.parametrize('nest', nests, ids=lambda nest: '-'.join(o.__name__ for o in nest))
def test_a_wrapped_network_is_saved_and_loaded_as_the_one_inside(nest, tmp_path, process_group):
    net = wrapped = small_net()
    for wrap in nest: wrapped = wrap(wrapped)
    assert unwrap(wrapped) is net
    save_denoiser(Denoiser(net), tmp_path/'plain')
    save_denoiser(Denoiser(wrapped), tmp_path/'wrapped')
    assert contents(tmp_path/'plain') == contents(tmp_path/'wrapped')
    before = weights(net)
    for o in net.parameters(): o.data.fill_(3)
    assert load_denoiser(tmp_path/'plain', wrapped).model is wrapped and same(weights(net), before)

@pytest.mark.parametrize('value_range, format', [((-1, 1), 1), ((0, 255), 2), (None, 2)])
def test_value_range(value_range, format, tmp_path):
    folder = save_denoiser(Denoiser(small_net(), value_range=value_range), tmp_path/'saved')
    assert load_denoiser(folder).value_range == value_range
    assert json.loads((folder/'config.json').read_text())['format'] == format
