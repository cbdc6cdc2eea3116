"Everything a user needs, in one import, as in fastai"
from .schedule import *
from .prediction import *
from .weights import *
from .denoiser import *
from .sampling import *
from .target import *
from .images import *
from .data import *
from .unet import *
from .learner import *
from .distillation import *
from .metrics import *
from .io import *
from .settings import *
from .report import *
from .run import *
from .cli import *
