"The mathematics in float64 against its formulas, evaluated here with 50 digits, and what shorter dtypes leave of it"
import pytest, torch
from mpmath import mp, mpf
from progressive_distillation.all import *
from conftest import devices

mp.dps = 50
Ns = 1, 2, 3, 4, 7, 8, 64, 1000, 1024, 8192

# The schedules as published, t -> (alpha, sigma) with 50 digits
def flow(t): return 1 - t, t
def cosine(t): return mp.cos(mp.pi * t / 2), mp.sin(mp.pi * t / 2)
def truncated(t, lo=-20, hi=20):
    b = mp.atan(mp.exp(-mpf(hi) / 2))
    logsnr = -2 * mp.log(mp.tan((mp.atan(mp.exp(-mpf(lo) / 2)) - b) * t + b))
    return mp.sqrt(1 / (1 + mp.exp(-logsnr))), mp.sqrt(1 / (1 + mp.exp(logsnr)))
def betas(bar, zero):
    "Grid points only: timestep k is t = (k + 1)/T"
    root = [mp.sqrt(mpf(float(o))) for o in bar]
    if zero: root = [(o - root[-1]) * root[0] / (root[0] - root[-1]) for o in root]
    root = [mpf(1), *root] # clean at t = 0
    def at(t):
        k = int(mp.nint(t * len(bar)))
        assert abs(t * len(bar) - k) < 1e-40
        return root[k], mp.sqrt(1 - root[k]**2)
    return at

kinds = 'cosine', 'truncated', 'betas', 'betas to zero', 'flow'
zero_noise = {'cosine', 'betas', 'betas to zero', 'flow'} # at t = 0
def pair(kind, T=1024):
    "The library's schedule and the published one"
    if kind == 'flow': return FlowSchedule(), flow
    if kind == 'cosine': return CosineNoiseSchedule(), cosine
    if kind == 'truncated': return CosineNoiseSchedule(logsnr_min=-20, logsnr_max=20), truncated
    bar = (1 - torch.linspace(min(0.1, 0.1/T), min(0.5, 20/T), T, dtype=torch.float64)).cumprod(0)
    return BetaSchedule.from_alphas_cumprod(bar, zero_terminal_snr='zero' in kind), betas(bar, 'zero' in kind)

def off(got, want):
    "Largest difference, relative to the largest number that is wanted"
    got = got.flatten().tolist()
    assert len(got) == len(want)
    return float(max(abs(mpf(g) - w) for g, w in zip(got, want)) / max(map(abs, want)))
def off_each(got, want): return max(off(g, [w]) for g, w in zip(got, want, strict=True))

def digits(x): return list(map(mpf, x.flatten().tolist()))

# A teacher that is not linear, the same in both arithmetics
def network(z, t): return torch.tanh(1.3 * z + torch.cos(3 * t)[:, None, None, None]) - 0.2 * z
def network_mp(z, t): return mp.tanh(mpf(1.3) * z + mp.cos(3 * t)) - mpf(0.2) * z
def ddim(x_hat, z, t, s, sched):
    (alpha_t, sigma_t), (alpha_s, sigma_s) = sched(t), sched(s)
    return alpha_s * x_hat + sigma_s / sigma_t * (z - alpha_t * x_hat)
def images(n, dtype=torch.float64, seed=0):
    rng = torch.Generator().manual_seed(seed)
    return torch.randn(n, 1, 2, 3, dtype=torch.float64, generator=rng).to(dtype)

@pytest.mark.parametrize('kind', kinds)
def test_schedule_and_weights(kind):
    ours, published = pair(kind)
    k = [1, 2, 100, 511, 700, 1000, 1023]
    t = torch.tensor(k, dtype=torch.float64) / 1024
    alpha, sigma = zip(*(published(mpf(o) / 1024) for o in k))
    snr = [(a / s)**2 for a, s in zip(alpha, sigma)]
    share = [a**2 / (a**2 + s**2) for a, s in zip(alpha, sigma)]
    logsnr = [mp.log(o) for o in snr]
    wanted = dict(alpha=alpha, sigma=sigma, alpha_bar=share, snr=snr, logsnr=logsnr)
    for name, expected in wanted.items():
        assert off_each(getattr(ours, name)(t), expected) <= 1e-10, name
    talk, clipped, plus = continuous_weights(ours.alpha_bar), [max(o, mpf(1)) for o in snr], [o + 1 for o in snr]
    for weight, expected in (talk, snr), (talk.clip(min=1), clipped), (talk + 1, plus):
        assert off_each(weight(t), expected) <= 1e-10
    named = {None: clipped, 'truncated_snr': clipped, 'snr': snr, 'snr+1': plus, 'constant': [mpf(1)] * len(k)}
    for name, expected in named.items(): assert off_each(get_weight(name, ours)(t), expected) <= 1e-10, name

def test_the_talks_line_as_printed():
    weight = continuous_weights(CosineNoiseSchedule().alpha_bar).clip(min=1)
    assert weight(torch.tensor([1., .75, .5])).tolist() == pytest.approx([1, 1, 1])
    alpha, sigma = cosine(mpf(1) / 4)
    assert off_each(weight(torch.tensor([.25], dtype=torch.float64)), [(alpha / sigma)**2]) <= 1e-10

@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize('kind', ['cosine', 'betas to zero', 'flow'])
def test_ends_are_exact(kind, dtype):
    ours, ends = pair(kind)[0], torch.tensor([0, 1], dtype=dtype)
    alpha, sigma = ours.alpha(ends), ours.sigma(ends)
    assert alpha.tolist() == [1, 0] and sigma.tolist() == [0, 1] and alpha.dtype == sigma.dtype == dtype

@pytest.mark.parametrize('i', range(1, 10))
@pytest.mark.parametrize('kind', ['cosine', 'flow'])
def test_conversions(kind, i):
    "Of amplitudes on the circle, where the variance is preserved, and on the straight line"
    ours, published = pair(kind)
    a, s = published(mpf(i) / 10)
    power = a**2 + s**2
    alpha, sigma = (torch.tensor([float(o)], dtype=torch.float64) for o in (a, s))
    p, q, z = (images(1, seed=seed) for seed in range(3))
    def check(got, formula):
        assert off(got, [formula(*o) for o in zip(digits(p), digits(q), digits(z))]) <= 1e-10
    to_x = dict( # what outputs p, q at z mean
        x=lambda p, q, z: p,
        eps=lambda p, q, z: (z - s*p) / a,
        v=lambda p, q, z: (a*z - s*p) / power,
        x_eps=lambda p, q, z: (s**2*p + a*(z - s*q)) / power,
        u=lambda p, q, z: (z - s*p) / (a + s))
    assert to_x.keys() == predictions.keys()
    check(x_from_eps(p, z, alpha, sigma), to_x['eps'])
    check(eps_from_x(p, z, alpha, sigma), lambda p, q, z: (z - a*p) / s)
    check(v_from_x_eps(p, q, alpha, sigma), lambda p, q, z: a*q - s*p)
    check(x_from_v(p, z, alpha, sigma), to_x['v'])
    for name, formula in to_x.items():
        out = torch.cat([p, q], 1) if name == 'x_eps' else p
        denoiser = Denoiser(lambda z, t: out, ours, name)
        check(denoiser(z, i / 10), formula)
        check(denoiser.eps(z, i / 10), lambda p, q, z: (z - a * formula(p, q, z)) / s)
        pred = get_prediction(name)
        perfect = pred.target(p, q, alpha, sigma) # a network that knows x = p and eps = q
        check(pred.to_x(perfect, alpha*p + sigma*q, alpha, sigma), lambda p, q, z: p)

@pytest.mark.parametrize('pred', ['x', 'v', 'x_eps', 'u'])
def test_a_denoiser_that_clips_is_exact_and_passes_gradients(pred):
    p, z = images(2 if pred == 'x_eps' else 1).reshape(1, -1, 2, 3).requires_grad_(), images(1, seed=1)
    free, inside = (Denoiser(lambda z, t: 3 * p, pred=pred, clip=clip)(z, 0.7) for clip in (False, True))
    assert free.abs().max() > 1 and inside.equal(free.clamp(-1, 1))
    gradients = [torch.autograd.grad(o.sum(), p)[0] for o in (inside, free)]
    assert gradients[0].equal(gradients[1])

@pytest.mark.parametrize('kind', kinds)
def test_ddim_step(kind):
    ours, published = pair(kind)
    for t, s in (1024, 512), (1024, 0), (900, 899), (600, 300), (1, 0):
        x, z = images(1), images(1, seed=1)
        got = ddim_step(x, z, t/1024, s/1024, ours)
        want = [ddim(a, b, mpf(t)/1024, mpf(s)/1024, published) for a, b in zip(digits(x), digits(z))]
        assert off(got, want) <= 1e-10
        if s == 0 and kind in zero_noise: assert got.equal(x)

@pytest.mark.parametrize('clip', [True, False])
@pytest.mark.parametrize('kind', kinds)
def test_trajectory(kind, clip):
    ours, published = pair(kind)
    noise, states = 3 * images(2), [] # large enough to be clipped
    z = digits(noise)
    for i in range(8, 0, -1):
        states += z
        t, s = mpf(i) / 8, mpf(i - 1) / 8
        alpha, sigma = published(t)
        x_hat = [(alpha*o - sigma*network_mp(o, t)) / (alpha**2 + sigma**2) for o in z]
        if clip: x_hat = [max(mpf(-1), min(mpf(1), o)) for o in x_hat]
        z = [ddim(x, o, t, s, published) for x, o in zip(x_hat, z)]
    denoiser = Denoiser(network, ours, 'v')
    assert off(ddim_sample(denoiser, noise, 8, clip=clip, trajectory=True), states + z) <= 1e-10
    assert off(ddim_sample(denoiser, noise, 8, clip=clip), z) <= 1e-10
    assert off(ddim_sample(denoiser, noise, 8, clip=not clip), z) > 1e-3

@pytest.mark.parametrize('k', [1, 2, 3, 4])
@pytest.mark.parametrize('N', Ns)
@pytest.mark.parametrize('kind', kinds)
def test_target(kind, N, k):
    "Appendix G after k teacher steps, with 50 digits, against the form that the library computes"
    ours, published = pair(kind, T=max(2, k * N))
    index = sorted({1, max(1, N // 2), N})
    z, want = images(len(index)), []
    for i, image in zip(index, z):
        times = [(i - mpf(j) / k) / N for j in range(k)] + [mpf(i - 1) / N]
        (alpha, sigma), (alpha2, sigma2) = published(times[0]), published(times[-1])
        for start in digits(image):
            here = start
            for t, s in zip(times, times[1:]): here = ddim(network_mp(here, t), here, t, s, published)
            want.append((here - sigma2/sigma * start) / (alpha2 - sigma2/sigma * alpha))
    t = torch.tensor(index, dtype=torch.float64) / N
    got = distillation_target(Denoiser(network, ours, 'x'), z, t, N, k)
    for o, i in zip(got, range(0, len(want), 6)): assert off(o, want[i:i+6]) <= 1e-10

@pytest.mark.parametrize('N', [1, 2, 3, 7, 16, 1000])
@pytest.mark.parametrize('kind', [*kinds, 'own'])
def test_student_lands_where_teacher_does(kind, N):
    class Own(NoiseSchedule):
        def alpha(self, t): return 1 - t**2
    ours = Own() if kind == 'own' else pair(kind)[0]
    teacher, i = Denoiser(network, ours, 'v'), torch.arange(1, N + 1, dtype=torch.float64)
    def step(x_hat, z, t, s):
        (a, b), (c, d) = ([f(o)[:, None, None, None] for f in (ours.alpha, ours.sigma)] for o in (t, s))
        return c * x_hat + d / b * (z - a * x_hat)
    z, t, t1, t2 = images(N), i / N, (i - 0.5) / N, (i - 1) / N
    x_tilde, z1 = distillation_target(teacher, z, t, N), step(teacher(z, t), z, t, t1)
    after_two, after_one = step(teacher(z1, t1), z1, t1, t2), step(x_tilde, z, t, t2)
    def length(x): return x.flatten(1).norm(dim=1)
    assert (length(after_one - after_two) / length(after_two)).max() <= 1e-10
    assert (ddim_step(x_tilde, z, t, t2, ours) - after_two).abs().max() <= 1e-10 * after_two.abs().max()

class Fixed:
    "A teacher whose two predictions are given"
    def __init__(self, schedule, *x_hats): self.schedule, self.x_hats = schedule, iter(x_hats)
    def __call__(self, z, t): return next(self.x_hats)

@pytest.mark.parametrize('N', [1024, 8192])
@pytest.mark.parametrize('kind', ['cosine', 'truncated', 'betas to zero', 'flow'])
def test_short_dtypes_keep_their_digits(kind, N):
    ours, worst_printed = pair(kind)[0], 0.
    for i in (1, N//2, N - 1, N):
        z, x1, x2 = (images(64, torch.float32, seed) for seed in range(3))
        t, t1, t2 = (torch.full((64,), o / N, dtype=torch.float64) for o in (i, i - 0.5, i - 1))
        exact = distillation_target(Fixed(ours, x1.double(), x2.double()), z.double(), t, N)
        def error(o): return ((o.double() - exact).abs().max() / exact.abs().max()).item()
        for mixed in False, True:
            with torch.autocast('cpu', dtype=torch.bfloat16, enabled=mixed):
                short = distillation_target(Fixed(ours, x1, x2), z, t.float(), N)
            assert short.dtype == torch.float32 and error(short) <= 1e-5
        z1 = ddim_step(x1, z, t, t1, ours)
        printed = appendix_g_target(ddim_step(x2, z1, t1, t2, ours), z, t, t2, ours)
        worst_printed = max(worst_printed, error(printed))
    assert worst_printed > 1e-4

def test_autocast_does_not_reach_the_teacher():
    layer = torch.nn.Conv2d(1, 1, 3, padding=1)
    teacher = Denoiser(lambda z, t: layer(z))
    z, t = images(8, torch.float32), torch.arange(1, 9) / 8
    with torch.autocast('cpu', dtype=torch.bfloat16):
        assert layer(z).dtype == torch.bfloat16
        mixed = distillation_target(teacher, z, t, 8)
    assert mixed.equal(distillation_target(teacher, z, t, 8))

@pytest.mark.parametrize('device', devices)
@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16, torch.float32, torch.float64])
@pytest.mark.parametrize('kind', kinds)
def test_dtype_and_device_are_kept(kind, dtype, device):
    ours = pair(kind)[0]
    denoiser, z = Denoiser(network, ours, 'v'), images(3, dtype).to(device)
    for N in (1, 3, 8, 1000):
        t = (torch.tensor([1, (N + 1)//2, N], dtype=torch.float64) / N).to(device, dtype)
        made = [ours.alpha(t), ours.sigma(t), denoiser(z, t), ddim_step(z, z, t, t / 2, ours)]
        made += [distillation_target(denoiser, z, t, N), ddim_sample(denoiser, z, 3)]
        assert all(o.dtype == dtype and o.device == z.device and o.isfinite().all() for o in made)

@pytest.mark.parametrize('weight', weight_names)
@pytest.mark.parametrize('pred', ['x', 'v', 'x_eps', 'u'])
@pytest.mark.parametrize('N', [1, 4])
def test_ends_are_finite(N, pred, weight):
    """At t = 1 there is no signal and at t'' = 0 no noise: values and gradients stay finite.

    The weight SNR alone teaches nothing at t = 1."""
    layer = torch.nn.Conv2d(1, get_prediction(pred).channels(1), 3, padding=1)
    denoiser = Denoiser(lambda z, t: layer(z), CosineNoiseSchedule(), pred)
    for t in {1., 1 / N}:
        z, t = images(5, torch.float32), torch.full((5,), t)
        target, x_hat = distillation_target(denoiser, z, t, N), denoiser(z, t)
        loss = weighted_mse(x_hat, target + 0.1, get_weight(weight, denoiser.schedule)(t))
        grad = torch.cat([o.flatten() for o in torch.autograd.grad(loss, layer.parameters())])
        assert all(o.isfinite().all() for o in (target, x_hat, loss, grad))
        assert grad.any() == (not (weight == 'snr' and t[0] == 1))
