"A step of Algorithm 2 with nothing but PyTorch, for the cosine schedule and a network that predicts v."
import copy
import math
import torch
from torch.nn.utils import clip_grad_norm_


def amplitudes(t):
    "alpha and sigma, ready to multiply images."
    angle = (t * math.pi / 2)[:, None, None, None]
    return angle.cos(), angle.sin()

def x_hat(model, z, t):
    alpha, sigma = amplitudes(t)
    return alpha * z - sigma * model(z, t)

def noisy(x, steps):
    "Noisy images, their times and amplitudes."
    t = torch.randint(1, steps + 1, (len(x),), device=x.device) / steps
    alpha, sigma = amplitudes(t)
    return alpha * x + sigma * torch.randn_like(x), t, alpha, sigma

def weighted_loss(target, predicted, alpha, sigma):
    "Truncated SNR times the squared error."
    return ((alpha / sigma).pow(2).clamp(min=1) * (target - predicted).pow(2)).mean()

def batches(x, bs):
    "Shuffled batches, again and again."
    while True:
        for idx in torch.randperm(len(x), device=x.device)[:len(x) // bs * bs].view(-1, bs): yield x[idx]

@torch.no_grad()
def two_teacher_steps(teacher, z, t, steps):
    "x̃ for the cosine schedule: `(sigma_t x2 + sigma_t2 x1) / (sigma_t + sigma_t2)`."
    t1, t2 = t - 0.5 / steps, t - 1 / steps
    (alpha, sigma), (alpha1, sigma1), (_, sigma2) = map(amplitudes, (t, t1, t2))
    x1 = x_hat(teacher, z, t)
    x2 = x_hat(teacher, alpha1 * x1 + sigma1 / sigma * (z - alpha * x1), t1)
    return (sigma * x2 + sigma2 * x1) / (sigma + sigma2)

def plain_steps(teacher, x, bs, steps, lr, total):
    "Algorithm 2 as a careful person writes it, a step at a time."
    student = copy.deepcopy(teacher).train().requires_grad_(True)
    teacher.eval().requires_grad_(False)
    opt = torch.optim.AdamW(student.parameters(), lr=lr, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    smooth = 0.
    for done, batch in enumerate(batches(x, bs)):
        for group in opt.param_groups: group['lr'] = lr * (1 + math.cos(math.pi * done / total)) / 2
        z, t, alpha, sigma = noisy(batch, steps)
        target = two_teacher_steps(teacher, z, t, steps)
        loss = weighted_loss(target, x_hat(student, z, t), alpha, sigma)
        loss.backward()
        clip_grad_norm_(student.parameters(), 1.)
        opt.step()
        opt.zero_grad()
        smooth = 0.98 * smooth + 0.02 * loss.item()
        yield

def appendix_g(teacher, z, t, steps):
    "x̃ as appendix G prints it."
    t1, t2 = t - 0.5 / steps, t - 1 / steps
    (alpha, sigma), (alpha1, sigma1), (alpha2, sigma2) = map(amplitudes, (t, t1, t2))
    x1 = x_hat(teacher, z, t)
    z1 = alpha1 * x1 + sigma1 / sigma * (z - alpha * x1)
    x2 = x_hat(teacher, z1, t1)
    z2 = alpha2 * x2 + sigma2 / sigma1 * (z1 - alpha1 * x2)
    return (z2 - sigma2 / sigma * z) / (alpha2 - sigma2 / sigma * alpha)

def naive_steps(teacher, x, bs, steps, lr):
    "Algorithm 2 typed in from the paper: the teacher is called like any model, so autograd follows it."
    student, teacher = copy.deepcopy(teacher).train(), teacher.train()
    opt = torch.optim.Adam(student.parameters(), lr=lr)
    for batch in batches(x, bs):
        z, t, alpha, sigma = noisy(batch, steps)
        target = appendix_g(teacher, z, t, steps).detach()
        loss = weighted_loss(target, x_hat(student, z, t), alpha, sigma)
        loss.backward()
        opt.step()
        opt.zero_grad()
        yield
