"""Small notebooks, each one way to find a GPU and to use it, below the usual imports. They are for an x of (3, 4)."""

ASK = 'device = torch.device("cuda" if torch.cuda.is_available() else "cpu")\n'

# Each defines f(x), which gives x + 1, on the GPU where there is one. Right on the CPU, and right on a GPU.
FUNCTIONS = {
    "global-DEVICE": """\
ONES = torch.ones(4, device=DEVICE)
def f(x):
    return x + ONES
""",
    "DEVICE-made-a-text": """\
DEVICE = "cuda:0" if torch.cuda.is_available() else "cpu"
ONES = torch.ones(4).to(DEVICE)
def f(x):
    assert DEVICE.startswith(x.device.type)
    return x + ONES
""",
    "own-device": ASK
    + """\
ONES = torch.ones(4, device=device)
def f(x):
    return x + ONES
""",
    "try_gpu": """\
def try_gpu(i=0):
    if torch.cuda.device_count() >= i + 1:
        return torch.device(f"cuda:{i}")
    return torch.device("cpu")
where = try_gpu()
ONES = torch.ones(4, device=where)
def f(x):
    return x + ONES
""",
    "use_gpu": """\
use_gpu = torch.cuda.is_available()
ONES = torch.ones(4)
if use_gpu:
    ONES = ONES.cuda()
def f(x):
    return x + ONES
""",
    "float-tensor": """\
FloatTensor = torch.cuda.FloatTensor if torch.cuda.is_available() else torch.FloatTensor
def f(x):
    assert isinstance(x, FloatTensor)
    return x + FloatTensor([1, 1, 1, 1])
""",
    "cast-to-a-type": """\
KIND = torch.cuda.FloatTensor if torch.cuda.is_available() else torch.FloatTensor
def f(x):
    return x + torch.ones(4).type(KIND)
""",
    "type-as-text": """\
def f(x):
    return x + torch.ones(4, dtype=torch.int64).type(x.type())
""",
    "class-attribute": ASK
    + """\
class Config:
    where = device
def f(x):
    return x + torch.ones(4, device=Config.where)
""",
    "default-argument": ASK
    + """\
def f(x, where=device):
    return x + torch.ones(4, device=where)
""",
    "dataclass": """\
from dataclasses import dataclass
@dataclass
class Config:
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
cfg = Config()
def f(x):
    return x + torch.ones(4, device=cfg.device)
""",
    "dictionary": """\
CONFIG = {"device": "cuda" if torch.cuda.is_available() else "cpu"}
def f(x):
    return x + torch.ones(4, device=CONFIG["device"])
""",
    "accelerator": """\
device = torch.accelerator.current_accelerator().type if torch.accelerator.is_available() else "cpu"
ONES = torch.ones(4, device=device)
def f(x):
    return x + ONES
""",
    "default-device": """\
torch.set_default_device("cuda" if torch.cuda.is_available() else "cpu")
UNUSED = torch.get_default_device()
def f(x):
    return x + torch.ones(4, device=UNUSED)
""",
    "context": ASK
    + """\
def f(x):
    with device:
        return x + torch.ones(4)
""",
    "compared-as-text": """\
def f(x):
    where = "cuda" if str(x.device).startswith("cuda") else "cpu"
    return x + torch.ones(4, device=where)
""",
    "compared-as-device": """\
def f(x):
    same = x.device == torch.device("cuda", 0)
    return x + torch.ones(4, device="cuda" if same else "cpu")
""",
    "is-cuda": """\
def f(x):
    ones = torch.ones(4)
    return x + (ones.cuda() if x.is_cuda else ones)
""",
    "get-device": """\
def f(x):
    n = x.get_device()
    return x + torch.ones(4, device=n if n >= 0 else 'cpu')
""",
    "index": """\
def f(x):
    ones = torch.ones(4)
    return x + (ones.to(torch.cuda.current_device()) if x.is_cuda else ones)
""",
    "new": """\
def f(x):
    return x + x.new(4).fill_(1)
""",
    "new-tensor": """\
def f(x):
    return x + x.new_tensor([1.0, 1, 1, 1])
""",
    "to-another": """\
def f(x):
    return x + torch.ones(4).to(x)
""",
    "numpy-round-trip": """\
def f(x):
    return torch.from_numpy(x.detach().cpu().numpy() + 1).to(x.device)
""",
    "cpu-and-back": """\
def f(x):
    y = x.cpu()
    y += torch.ones(4)
    return y.to(x.device)
""",
    "a-copy-is-a-copy": """\
def f(x):
    y = x.to('cpu', copy=True)
    y.zero_()
    return x + 1
""",
    "rows-from-a-list": """\
def f(x):
    return torch.stack([torch.as_tensor(row.tolist(), device=x.device) for row in x]) + 1
""",
    "arange-meshgrid": """\
def f(x):
    i, j = torch.meshgrid(torch.arange(3, device=x.device), torch.arange(4, device=x.device), indexing="ij")
    return x + (i + j >= 0)
""",
    "half-on-the-gpu-only": """\
def f(x):
    y = x.half() if x.is_cuda else x
    return y + torch.ones_like(y)
""",
    "autocast": """\
def f(x):
    with torch.autocast("cuda", enabled=torch.cuda.is_available()):
        return x @ torch.eye(4, device=x.device) + 1
""",
    "old-autocast": """\
from torch.cuda.amp import autocast
def f(x):
    with autocast():
        return x @ torch.eye(4, device=x.device) + 1
""",
    "timed-by-events": """\
def f(x):
    if x.is_cuda:
        a, b = torch.cuda.Event(enable_timing=True), torch.cuda.Event()
        a.record()
        b.record()
        torch.cuda.synchronize()
        assert a.elapsed_time(b) >= 0
    return x + 1
""",
    "asked-for-its-name": """\
if torch.cuda.is_available():
    NAME = torch.cuda.get_device_name(0)
    MEMORY = torch.cuda.get_device_properties(0).total_memory / 2**30
    torch.cuda.empty_cache()
else:
    NAME, MEMORY = "", 0.0
def f(x):
    assert (MEMORY > 1) == x.is_cuda
    return x + 1
""",
    "a-stream": """\
def f(x):
    if not x.is_cuda:
        return x + 1
    s = torch.cuda.Stream()
    with torch.cuda.stream(s):
        y = x + 1
    torch.cuda.current_stream().wait_stream(s)
    return y
""",
    "a-generator": ASK
    + """\
def f(x):
    g = torch.Generator(device=device).manual_seed(0)
    return x + 1 + 0 * torch.rand(4, generator=g, device=device)
""",
    "pinned": """\
def f(x):
    y = torch.ones(4)
    y = y.pin_memory().to(x.device, non_blocking=True) if x.is_cuda else y
    return x + y
""",
    "vmapped": """\
def g(x):
    return x + torch.ones(4, device=x.device)
def f(x):
    return torch.vmap(g)(x)
""",
    "vmapped-at-the-top": """\
def g(x):
    return x + torch.ones_like(x)
f = torch.vmap(g)
""",
    "functional-gradient": """\
def f(x):
    return torch.func.grad(lambda y: (y * y / 2 + y).sum())(x)
""",
    "scripted": """\
def g(x):
    return x + torch.ones(4, device=x.device)
def f(x):
    return h(x)
h = torch.jit.trace(g, torch.zeros(3, 4))
""",
    "one-hot-index-nonzero": """\
def f(x):
    i = torch.nonzero(x.sum(dim=1) > -100).squeeze(1)
    y = torch.zeros_like(x)
    y[i] = 1.0
    return x + y
""",
    "picked-by-an-index-of-the-cpu": """\
ROWS = torch.tensor([0, 1, 2])
def f(x):
    return x[ROWS] + 1
""",
    "a-table-of-the-cpu-by-a-number": """\
TABLE = torch.ones(12)
def f(x):
    return x + TABLE[x.argmax()]
""",
}

# The methods of a class N, whose forward gives x + 1.
MODULES = {
    "buffer": """\
def __init__(self):
    super().__init__()
    self.register_buffer('ones', torch.ones(4))
def forward(self, x):
    return x + self.ones
""",
    "not-persistent": """\
def __init__(self):
    super().__init__()
    self.register_buffer('ones', torch.ones(4), persistent=False)
def forward(self, x):
    return x + self.ones
""",
    "parameter-device": """\
def __init__(self):
    super().__init__()
    self.p = nn.Parameter(torch.zeros(1))
def forward(self, x):
    return x + torch.ones(4, device=next(self.parameters()).device) + self.p
""",
    "device-property": """\
def __init__(self):
    super().__init__()
    self.register_buffer('dummy', torch.empty(0))
@property
def device(self):
    return self.dummy.device
def forward(self, x):
    return x.to(self.device) + torch.ones(4, device=self.device)
""",
    "self-device": """\
def __init__(self):
    super().__init__()
    self.device = 'cuda' if torch.cuda.is_available() else 'cpu'
def forward(self, x):
    return x + torch.ones(4, device=self.device)
""",
    "own-to": """\
def __init__(self):
    super().__init__()
    self.ones = torch.ones(4)
def to(self, *args, **kwargs):
    self.ones = self.ones.to(*args, **kwargs)
    return super().to(*args, **kwargs)
def forward(self, x):
    return x + self.ones
""",
    "own-to-that-returns-nothing": """\
def __init__(self):
    super().__init__()
    self.ones = torch.ones(4)
def to(self, where):
    super().to(where)
    self.ones = self.ones.to(where)
def forward(self, x):
    return x + self.ones
""",
    "own-apply": """\
def __init__(self):
    super().__init__()
    self.ones = torch.ones(4)
def _apply(self, fn, *rest):
    super()._apply(fn, *rest)
    self.ones = fn(self.ones)
    return self
def forward(self, x):
    return x + self.ones
""",
    "moved-in-init": """\
def __init__(self):
    super().__init__()
    self.l = nn.Linear(4, 4).to(DEVICE)
    nn.init.eye_(self.l.weight)
    nn.init.ones_(self.l.bias)
def forward(self, x):
    return self.l(x)
""",
    "made-late": """\
def __init__(self):
    super().__init__()
    self.l = None
def forward(self, x):
    if self.l is None:
        self.l = nn.Linear(4, 4).to(x.device)
        nn.init.eye_(self.l.weight)
        nn.init.ones_(self.l.bias)
    return self.l(x)
""",
    "channels-last": """\
def forward(self, x):
    y = x[None, None].to(memory_format=torch.channels_last)
    return y[0, 0] + 1
""",
    "data-parallel": """\
def __init__(self):
    super().__init__()
    inner = nn.BatchNorm1d(4).eval()
    self.inner = nn.DataParallel(nn.Sequential(nn.Identity()))
def forward(self, x):
    return self.inner(x) + 1
""",
    "checkpointed": """\
def forward(self, x):
    from torch.utils.checkpoint import checkpoint
    return checkpoint(lambda y: y + torch.ones(4, device=y.device), x, use_reentrant=False)
""",
    "batch-norm": """\
def __init__(self):
    super().__init__()
    self.bn = nn.BatchNorm1d(4, eps=0.0)
def forward(self, x):
    self.bn.eval()
    return self.bn(x) + 1
""",
}

# They stop on a GPU, whatever they do on the CPU.
FAULTS = {
    "a-constant-of-the-top": """\
ONES = torch.ones(4)
def f(x):
    return x + ONES
""",
    "a-tensor-type": """\
def f(x):
    return x + torch.FloatTensor([1, 1, 1, 1])
""",
    "from-numpy": """\
def f(x):
    return x + torch.from_numpy(np.ones(4, dtype=np.float32))
""",
    "numpy-at-once": """\
def f(x):
    return torch.tensor(np.asarray(x.detach()) + 1)
""",
    "a-mask-and-values-of-the-cpu": """\
def f(x):
    y = x + 0
    y[x > -9] = torch.ones(12)
    return x + 1
""",
    "a-module-made-late": """\
def f(x):
    return nn.Linear(4, 4)(x)
""",
    "a-parameter-of-the-top": """\
P = nn.Parameter(torch.ones(4))
def f(x):
    return x + P
""",
    "an-index-of-the-gpu": """\
TABLE = torch.ones(9)
def f(x):
    return TABLE[x.argmax(dim=1)]
""",
    "a-view-of-the-cpu": """\
ONES = torch.ones(8)
def f(x):
    return x + ONES.view(2, 4)[0]
""",
    "scripted": """\
@torch.jit.script
def g(x):
    return x + torch.ones(4)
def f(x):
    return g(x)
""",
    "vmapped": """\
def g(x):
    return x + torch.ones(4)
def f(x):
    return torch.vmap(g)(x)
""",
    "the-default-device-is-the-cpu": """\
def f(x):
    with torch.device('cpu'):
        return x + torch.ones(4)
""",
}

# They run where there is a GPU and nowhere else; there f(x) gives x + 1.
ALONE = {
    "cuda": """\
def f(x):
    return x.cuda() + torch.ones(4).cuda()
""",
    "device-text": """\
def f(x):
    return x.to('cuda') + torch.ones(4, device='cuda:0')
""",
    "device-number": """\
def f(x):
    return x.to(0) + torch.ones(4, device=0)
""",
    "synchronize": """\
def f(x):
    torch.cuda.synchronize()
    return x + 1
""",
    "asserted": """\
def f(x):
    assert x.is_cuda, 'choose a GPU'
    return x + 1
""",
    "raised": """\
def f(x):
    if x.device.type != 'cuda':
        raise RuntimeError('Runtime > Change runtime type > GPU')
    return x + 1
""",
    "a-constant": """\
ONES = torch.ones(4).cuda()
def f(x):
    return x + ONES
""",
    "a-constant-under-a-name": """\
device = torch.device('cuda')
ONES = torch.ones(4, device=device)
def f(x):
    return x + ONES
""",
    "default-device": """\
torch.set_default_device('cuda')
ONES = torch.ones(4)
def f(x):
    return x + ONES
""",
    "default-type": """\
torch.set_default_tensor_type(torch.cuda.FloatTensor)
ONES = torch.ones(4)
def f(x):
    return x + ONES
""",
    "default-argument": """\
def f(x, ones=torch.ones(4, device='cuda')):
    return x + ones
""",
    "defined-with-a-gpu-only": """\
if torch.cuda.is_available():
    def f(x):
        return x + 1
""",
    "tensor-type": """\
def f(x):
    return x.type(torch.cuda.FloatTensor) + torch.cuda.FloatTensor([1, 1, 1, 1])
""",
    "stream": """\
def f(x):
    with torch.cuda.stream(torch.cuda.Stream()):
        return x.cuda() + 1
""",
    "generator": """\
def f(x):
    g = torch.Generator(device='cuda')
    return x.cuda() + 1 + 0 * torch.rand(4, device='cuda', generator=g)
""",
    "pinned": """\
def f(x):
    return x.pin_memory().cuda(non_blocking=True) + 1
""",
    "written-into-before-it-fails": """\
def f(x):
    x += 1
    return x.cuda()
""",
}
