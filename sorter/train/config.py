"""How a training is set."""

from __future__ import annotations

from dataclasses import dataclass, field

from sorter.core.config import require

KINDS = ("contrastive", "factorvae")
KEEPS = ("orientation", "size")
DEVICES = ("auto", "cpu", "cuda")
PRECISIONS = ("32", "bf16")
DEFAULT_STEPS = {"contrastive": 500, "factorvae": 600}
DEFAULT_RATE = {"contrastive": 2e-3, "factorvae": 1e-3}


@dataclass(frozen=True)
class TrainConfig:
    """Settings of `shotsort train`; 0 means the model's own default.

    model: "contrastive" or "factorvae". steps: weight updates. minutes: stop after that long (0: when the steps are done;
    a training that time cut short is not repeatable). batch: frames per update. keep: differences that count ("orientation",
    "size", "orientation+size"), "" for shape alone. temperature: of NT-Xent. gamma: weight of the total correlation.
    sigma: noise of the reconstruction, in units of the logarithmic picture. memory_mb: for cached polar pictures.
    device: "auto", "cpu", "cuda". devices, nodes: processes per node, one per GPU, and nodes, that share each batch. precision:
    "32", or "bf16" for mixed precision. compile: whether the network goes through torch.compile. balance: what hits are drawn
    evenly over: "photons" (octaves of brightness), the name of a clustering, "" draws each hit as often as any other.
    bright_span: a contrastive training takes the hits that are at most so many times dimmer than the 90th percentile (0: all
    hits); there is little to learn from dim ones, and thinned views of the bright ones stand for them.
    """

    model: str = "contrastive"
    steps: int = 0
    minutes: float = 0.0
    batch: int = 256
    learning_rate: float = 0.0
    keep: str = ""
    n_radii: int = 32
    n_angles: int = 64
    n_latents: int = 16
    discriminator_layers: int = 4
    discriminator_width: int = 256
    temperature: float = 0.2
    gamma: float = 6.4
    sigma: float = 1.0
    memory_mb: float = 400.0
    device: str = "auto"
    devices: int = 1
    nodes: int = 1
    precision: str = "32"
    compile: bool = False
    balance: str = ""
    bright_span: float = 40.0
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.model in KINDS, f"--model {self.model}: choose one of {', '.join(KINDS)}")
        wrong = [word for word in self.keep.split("+") if word and word not in KEEPS]
        require(not wrong, f"--keep {self.keep}: choose from {', '.join(KEEPS)} (several: orientation+size)")
        require(self.steps >= 0 and self.minutes >= 0, "--steps and --minutes must not be negative")
        require(0 <= self.learning_rate < 1, f"--learning-rate {self.learning_rate}: must be from 0 to 1")
        require(self.device in DEVICES, f"--device {self.device}: choose one of {', '.join(DEVICES)}")
        require(self.batch >= 8, f"--batch {self.batch}: need at least 8 frames per update")
        require(self.devices >= 1 and self.nodes >= 1, "--devices and --nodes must be at least 1")
        require(
            self.n_processes == 1 or self.model == "contrastive",
            f"--devices {self.devices}: a {self.model} is trained by one process; give --devices 1, or --model contrastive",
        )
        require(
            self.batch % self.n_processes == 0,
            f"--batch {self.batch}: must be a multiple of {self.n_processes} processes",
        )
        require(self.precision in PRECISIONS, f"--precision {self.precision}: choose one of {', '.join(PRECISIONS)}")
        require(self.temperature > 0 and self.sigma > 0, "temperature and sigma must be positive")
        require(self.gamma >= 0, f"--gamma {self.gamma}: must not be negative")
        require(
            self.bright_span == 0 or self.bright_span >= 1,
            f"--bright-span {self.bright_span}: at least 1, or 0 for all",
        )
        require(self.n_latents >= 2, f"--latents {self.n_latents}: need at least 2")
        require(self.n_radii % 8 == 0 and self.n_angles % 8 == 0, "n_radii and n_angles must be multiples of 8")

    @property
    def total_steps(self) -> int:
        """Weight updates of the whole training."""
        return self.steps or DEFAULT_STEPS[self.model]

    @property
    def n_processes(self) -> int:
        """Processes that share each batch."""
        return self.devices * self.nodes

    @property
    def kept(self) -> frozenset[str]:
        """The differences that count."""
        return frozenset(word for word in self.keep.split("+") if word)


@dataclass(frozen=True)
class PairConfig:
    """Settings of a pre-training on patterns that are seen again (`shotsort pretrain`).

    steps: weight updates. minutes: stop after that long (0: when the steps are done). batch: shots per update, ``views`` of each
    thing. shares: of the sources among them. temperature: of the supervised contrastive loss. classify: weight of the
    cross-entropy over kinds. channels, hidden: sizes of the network (`ContrastiveModelConfig`).
    """

    steps: int = 22_000
    minutes: float = 0.0
    batch: int = 256
    views: int = 4
    shares: dict[str, float] = field(
        default_factory=lambda: {"clusters": 0.4, "families": 0.4, "droplets": 0.1, "spi": 0.1}
    )
    learning_rate: float = 2e-3
    temperature: float = 0.1
    classify: float = 0.5
    channels: tuple[int, ...] = (16, 32, 64)
    hidden: int = 1024
    n_radii: int = 32
    n_angles: int = 64
    seed: int = 0

    def __post_init__(self) -> None:
        require(self.steps >= 1 and self.minutes >= 0, "--steps must be at least 1, --minutes not negative")
        require(self.views >= 2, f"views = {self.views}: need at least 2 of each thing")
        require(
            self.batch >= 8 and self.batch % self.views == 0,
            f"--batch {self.batch}: a multiple of {self.views}, at least 8",
        )
        require(self.temperature > 0 and self.classify >= 0, "temperature must be positive, classify not negative")
        require(0 < self.learning_rate < 1, f"--learning-rate {self.learning_rate}: must be from 0 to 1")
