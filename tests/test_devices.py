"What trains, samples, judges and saves on the CPU does so on a GPU, where there is one."
import math
import pytest
import torch
from fastai.torch_core import default_device
from progressive_distillation.all import *
from conftest import devices, same, small_net, weights

here = [('cpu', 'cpu')] # where the images lie, where batches go
if torch.cuda.is_available(): here += [('cpu', 'cuda'), ('cuda', 'cuda')]

def learner(device, images='cpu', model=None, **kwargs):
    x, y = (o[:272].to(images) for o in digits_dls(valid_pct=0.).train.tensors)
    dls = tensor_dls(x, y, bs=64, valid_idx=range(16), vocab=list('0123456789'), device=device)
    return diffusion_learner(dls, small_net() if model is None else model, **kwargs)

def where(model): return {o.device.type for o in model.state_dict().values()}

@pytest.mark.parametrize('images, device', here)
def test_training_distilling_and_sampling(images, device, tmp_path):
    learn = learner(device, images, small_net(classes=10), conditional=True)
    before = weights(learn.model)
    learn.fit_anneal(1)
    assert where(learn.model) == {device} and not same(before, weights(learn.model))
    noise, y = make_noise(8, (1, 8, 8), 0).to(device), torch.arange(8, device=device)
    def pairing(student): return pairing_error(student, learn.model, noise, 4, y=y)
    students = learn.distill(4, 1, epochs=1, refine=2, lookahead=0.25, ema=0.9, seed=0, metrics=pairing)
    assert [o.steps for o in students] == [2, 1] and all(where(o) == {device} for o in students)
    assert all(math.isfinite(o[k]) for o in learn.records for k in ('valid_loss', 'pairing'))
    assert learn.sample(12, seed=0).device.type == device and learn.show_samples(4, 2, seed=0)
    save_denoiser(students[1], tmp_path/'student')
    again = load_denoiser(tmp_path/'student', device=device)
    assert where(again) == {device} and same(weights(again), weights(students[1]))
    assert ddim_sample(again, noise, y=y).equal(ddim_sample(students[1], noise, y=y))

@pytest.mark.parametrize('device', devices)
@pytest.mark.parametrize('pred', ['x', 'v', 'x_eps', 'u'])
@pytest.mark.parametrize('make', [CosineNoiseSchedule, BetaSchedule.linear, FlowSchedule])
def test_every_device_predicts_the_same(make, pred, device):
    "In float64, but for the network's clocks, whose sines are float32 and rounded differently."
    torch.manual_seed(0)
    net = small_net(out_channels=get_prediction(pred).channels(1)).double()
    for o in net.parameters(): o.data.normal_(0, 0.3)
    noise, t = make_noise(8, (1, 8, 8), 0).double(), torch.arange(1, 9).double() / 8
    def predictions(device):
        denoiser, z = Denoiser(net.to(device), make(), pred), noise.to(device)
        yield from (denoiser(z, t.to(device)), denoiser(z, t), denoiser.eps(z, t))
        yield from (distillation_target(denoiser, z, t, 8), ddim_sample(denoiser, z, 8))
        yield get_weight(None, denoiser.schedule)(t.to(device))
    on_cpu = [o.detach() for o in predictions('cpu')]
    for a, b in zip(on_cpu, predictions(device)): torch.testing.assert_close(a, b.detach().cpu(), rtol=0, atol=1e-5)

@pytest.mark.parametrize('device', devices)
def test_measuring(device):
    x, y = (o[:300].to(device) for o in digits_dls(valid_pct=0.).train.tensors)
    for labels in y, None:
        net, accuracy = fit_judge(x, labels, epochs=2, device=device)
        assert where(net) == {device} and 0.1 < accuracy <= 1
    a, b = x[:150], x[150:]
    assert fid(a, a, net.body) < 1e-3 < fid(a, b, net.body) and math.isfinite(kid(a, b, net.body))
    assert 0 <= confidence(net, b) <= 1
    assert precision_recall(a, a, net.body) == (1, 1) and fid_of_halves(x, net.body, 3)[0] > 0
    distance, index = nearest_images(a, x)
    assert index.tolist() == list(range(150)) and distance.max() < 1e-2
    exact = ExactDenoiser(x, CosineNoiseSchedule())
    samples = ddim_sample(exact, make_noise(4, (1, 8, 8), 0).to(device), 64)
    assert samples.device.type == device and nearest_images(samples, x)[0].max() < 0.1

@pytest.mark.filterwarnings('ignore:.*(CUDA|cuda)')
@pytest.mark.parametrize('device', devices)
def test_short_dtypes(device):
    short = learner(device, model=Denoiser(small_net(), compute_dtype=torch.bfloat16))
    for learn in short, learner(device).to_bf16(), learner(device).to_fp16():
        before = weights(learn.model)
        learn.fit_anneal(2)
        student, = learn.distill(2, 1, epochs=1)
        after = [*learn.model.state_dict().values(), *student.state_dict().values()]
        assert not same(before, weights(learn.model))
        assert all(o.isfinite().all() and o.dtype == torch.float32 for o in after)
        assert learn.sample(4, 2, seed=0).dtype == torch.float32

@pytest.mark.parametrize('device', devices)
def test_wrong_classes_are_an_error_that_ends_nothing(device):
    learn = learner(device, model=small_net(classes=10), conditional=True)
    for y in torch.tensor([0, 10]), torch.tensor([-1, 3]):
        with pytest.raises(ValueError, match=r'class numbers must lie in 0 … 9, got'): learn.sample(2, 1, y=y)
    assert learn.sample(2, 1, y=torch.tensor([0, 9])).isfinite().all()

class TooLarge(torch.nn.Module):
    "A network that the device has no room for."
    def __init__(self):
        super().__init__()
        self.net = small_net()
    def forward(self, z, t): raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9.00 TiB.")

def test_no_room_is_not_taken_for_a_wrong_shape():
    with pytest.raises(torch.OutOfMemoryError, match='out of memory'): learner('cpu', model=TooLarge())

@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_the_best_device_is_taken(tmp_path):
    results = pd_distill(out=str(tmp_path/'run'), epochs=1, stage_epochs=1, start=2, teacher_steps=2, samples=100)
    assert results['judge']['device'].startswith('cuda') and default_device().type == 'cuda'
