"""The sections of a configuration file.

``training`` takes TRL's SFTConfig names, ``lora`` PEFT's LoraConfig names and ``quantization`` transformers'
BitsAndBytesConfig names, all unchanged: they are passed through and redeclared nowhere.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator, model_validator

from polychromic.settings.section import Kind as Kind
from polychromic.settings.section import Section as Section
from polychromic.settings.thresholds import Thresholds
from polychromic.settings.watching import DuringTrainingSection as DuringTrainingSection
from polychromic.settings.watching import HealthSection as HealthSection


class ExperimentSection(Section):
    """What this run is called and where it is kept."""

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """the run's folder under output_root"""
    group: str = ""
    """groups runs in W&B"""
    output_root: str = "runs"
    """where runs are kept"""
    seed: int = Field(default=0, ge=0)
    """of training and sampling"""
    notes: str = ""
    """kept in run.json"""
    license: str | None = None
    """of the trained weights, for the model card, such as apache-2.0"""


class ModelSection(Section):
    """The base model: a local folder, a hub name, or an embedded one."""

    name_or_path: str
    """a local folder, a hub name, embedded:countdown or embedded:countdown-early"""
    revision: str | None = None
    """of the hub"""
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    """of the base's weights; auto: as they are stored"""
    attn_implementation: str | None = None
    """transformers' name for it"""
    trust_remote_code: bool = False
    """runs code that comes with the model; needs a pinned revision"""
    format: Literal["chat", "plain"] | None = Field(
        default=None,
        description="of prompts that are plain text: chat makes each a user's turn, plain lets the model continue it; "
        "asked for where the model has a chat template",
    )
    chat_template_kwargs: dict[str, Any] = Field(
        default_factory=dict,
        description="the chat template's options, such as {enable_thinking: false}, for training and evaluation",
    )


class HarvestSection(Section):
    """The model's own right and different samples as a second source to learn from.

    Reward, gate, temperature and token limit are those of the section ``polychromic``.
    """

    path: str | None = Field(
        default=None, description="folder of a pool drawn before; None: drawn into the run's folder before training"
    )
    source: str = Field(default="base", alias="from", description="who draws: base, or the folder of a finished run")
    n: int = Field(default=16, ge=2, description="samples a prompt")
    prompts: int | None = Field(
        default=None,
        ge=1,
        description="how many prompts, chosen by the seed, of the task's (also those without a demonstration) or of "
        "the demonstrations'; None: all",
    )
    rounds: int = Field(
        default=1, ge=1, description="harvests: each but the first is drawn from a run on those before (ReST-EM)"
    )
    round_steps: int | None = Field(
        default=None, ge=1, description="training steps of the runs between the rounds; None: those of the run itself"
    )
    set_size: int | Literal["shapley"] = Field(
        default="shapley", description="of the credit: shapley weighs each different answer once, 1 as often as drawn"
    )
    share: float | None = Field(
        default=None, gt=0.0, le=1.0, description="of the rows learnt from; None: 0.8, or what lambda amounts to"
    )
    weight: float | None = Field(
        default=None, gt=0.0, alias="lambda", description="in place of share: the online term's lambda for the harvest"
    )
    engine: Kind = "transformers"
    """the sampler that draws the pool"""

    @model_validator(mode="after")
    def _one_strength(self) -> HarvestSection:
        if self.share is not None and self.weight is not None:
            raise ValueError("give share or lambda, not both: they are two units of one strength")
        if isinstance(self.set_size, int) and not 1 <= self.set_size <= self.n:
            raise ValueError(f"set_size must lie between 1 and n ({self.n}), or be shapley")
        if self.path is not None and self.rounds > 1:
            raise ValueError("rounds are drawn by the run itself; leave path out")
        return self


class SourceSection(Section):
    """One of several sources of demonstrations."""

    file: str | None = None
    """JSONL, JSON, CSV or Parquet"""
    dataset: str | None = None
    """a hub dataset, or a local folder of one"""
    subset: str | None = None
    """of the dataset"""
    split: str = "train"
    """of the dataset"""
    columns: dict[str, str] = Field(default_factory=dict, description="as data.columns")
    weight: float | None = Field(
        default=None,
        gt=0.0,
        description="its rows' share of the mixture, relative to the other weights; None: all",
    )

    @model_validator(mode="after")
    def _one_place(self) -> SourceSection:
        if (self.file is None) == (self.dataset is None):
            raise ValueError("give file or dataset, one of them")
        return self


class DataSection(Section):
    """Demonstrations: a task of the shelf, or files and hub datasets of the user's."""

    task: Kind | None = None
    """a kind of the shelf tasks: a checker, and demonstrations where no file or dataset gives them"""
    train_file: str | None = None
    """demonstrations: JSONL, JSON, CSV or Parquet"""
    eval_file: str | None = Field(default=None, description="demonstrations whose loss is watched while training")
    dataset: str | None = None
    """a hub dataset of demonstrations, or a local folder of one"""
    subset: str | None = None
    """of the dataset"""
    split: str = "train"
    """of the task or the dataset"""
    columns: dict[str, str] = Field(
        default_factory=dict,
        description="other names for columns, {prompt: question, completion: answer}; the old ones stay for a judge",
    )
    sources: tuple[SourceSection, ...] = ()
    """several files and datasets in the place of one, mixed by their weights"""
    max_examples: int | None = Field(default=None, ge=1)
    """the first so many only"""
    skip_bad_rows: bool = False
    """leaves bad rows out and counts them, instead of stopping at the first"""
    completion_only_loss: bool = True
    """the loss is on completions, not on prompts"""
    trust_judge: bool = False
    """trains although the task refuses demonstrations or accepts what it should not"""
    harvest: HarvestSection | None = None
    """the model's own right and different samples as a second source"""

    @model_validator(mode="after")
    def _one_source(self) -> DataSection:
        rows = [source for source in (self.train_file, self.dataset, self.sources or None) if source is not None]
        if len(rows) > 1 or (not rows and self.task is None):
            raise ValueError(
                "give train_file or dataset or sources, one of them, with or without a task that judges; or a task"
            )
        if self.sources and (self.columns or self.subset):
            raise ValueError("columns and subset stand with each of the sources")
        weighted = [source.weight is not None for source in self.sources]
        if any(weighted) and not all(weighted):
            raise ValueError("sources: give each a weight, or none")
        return self


class ScheduleSection(Section):
    """What lambda is measured in, and how it moves over a run.

    ``unit``: lambda counts against the demonstrations' mean loss a target token, as TRL's loss does, or with
    ``sequence`` against the loss of a whole demonstration (it is then ``lambda_eff``, and the same number is the same
    strength on tasks with answers of other lengths). ``warmup_steps``: lambda grows linearly from 0.
    ``max_lambda_eff``: cap on lambda times the tokens per demonstration. ``target_share`` in (0, 1): lambda is set so
    that ``|w g_diversity| / (|w g_diversity| + |g_demonstration|)`` is this share. ``calibrated`` in [0, 1]: minimise
    ``lambda max(0, target - E f)^2``; with ``demonstrations`` the target is what sets of the demonstrations are worth
    (see ``objective.set_value``). ``monitor_every``: steps between two looks at the gradients' norms, 0 for never.
    """

    unit: Literal["token", "sequence"] = "token"
    """what lambda counts against: the loss a target token, or that of a whole demonstration, which carries over"""
    warmup_steps: int = Field(default=0, ge=0)
    """lambda grows linearly from 0 over these steps"""
    max_lambda_eff: float | None = Field(default=None, gt=0)
    """cap on lambda times the target tokens of a demonstration"""
    target_share: float | None = Field(default=None, gt=0, lt=1)
    """lambda is set so that the diversity term's gradient has this share of the norms"""
    calibrated: Annotated[float, Field(ge=0, le=1)] | Literal["demonstrations"] | None = None
    """pulls a set's worth up to this target, or to that of the demonstrations' own sets"""
    monitor_every: int = Field(default=10, ge=0)
    """steps between two looks at the gradients' norms; 0: never"""

    @model_validator(mode="after")
    def _one_controller(self) -> ScheduleSection:
        if self.target_share is not None and self.calibrated is not None:
            raise ValueError("target_share and calibrated both set lambda; give one")
        if self.target_share is not None and not self.monitor_every:
            raise ValueError("target_share needs monitor_every of 1 or more")
        return self


class PolychromicSection(Section):
    """The diversity term: ``loss = SFT - diversity_weight * E[f(y_1..y_k)]``; 0 is plain SFT."""

    diversity_weight: float = Field(default=0.0, ge=0.0, alias="lambda")
    """weight of the diversity term; 0 is SFTTrainer, bit for bit"""
    n_generations: int = Field(default=8, ge=1)
    """N, samples a prompt"""
    set_size: int | Literal["shapley"] | None = Field(default=None, description="k; None means n_generations")
    max_examples_for_diversity: int = Field(default=8, ge=1)
    """prompts a diversity step samples for"""
    compute_every_n_steps: int = Field(default=1, ge=1)
    """steps between two diversity steps, each of which counts as often: lambda is the mean strength"""
    temperature: float = Field(default=1.0, gt=0.0)
    """of the training samples, which are never truncated"""
    max_new_tokens: int = Field(default=128, ge=1)
    """of a training sample"""
    engine: Kind = "transformers"
    """what draws them: transformers (the policy itself) or vllm, to which the adapter moves at every step"""
    reward: Kind = "answers"
    """what a set is worth: a kind of the shelf rewards"""
    gate: Kind = "verifier"
    """what counts at all: a kind of the shelf gates"""
    baseline: Literal["control_variate", "leave_one_out", "mean", "none"] = "control_variate"
    """what is subtracted from the credit; none of them biases the gradient but mean, slightly"""
    rival: Literal["naive", "shuffled", "accuracy", "poly_epo", "darling", "dra"] | None = Field(
        default=None, description="another method's credit in the place of ours, for comparison"
    )
    demonstration_loss: Kind = "nll"
    """the loss on demonstrations"""
    schedule: ScheduleSection = ScheduleSection()
    """how lambda moves"""


class SavingSection(Section):
    """What ``training`` has beside TRL's names."""

    save_minutes: float | None = Field(default=5.0, gt=0.0)
    """a checkpoint at least this often, besides those of save_steps; null: those alone"""


class EvaluationSection(Section):
    """How the evaluator samples and what it measures."""

    task: Kind | None = None
    """what is asked and how answers are judged; null: the task trained on"""
    split: str = "test"
    """of the task"""
    max_prompts: int | None = Field(default=None, ge=1)
    """the first so many only"""
    n: int = Field(default=16, ge=1)
    """samples a prompt"""
    temperatures: tuple[float, ...] = (1.0,)
    """each model is sampled at each"""
    max_new_tokens: int = Field(default=128, ge=1)
    """of a sample"""
    metrics: tuple[Kind, ...] | None = Field(default=None, description="None: every metric that applies")
    encoder: str | None = Field(default=None, description="path or hub name; None: the installed package")
    engine: Kind = "transformers"
    """what samples: a kind of the shelf samplers"""
    batch_size: int = Field(default=512, ge=1)
    """sequences sampled at a time"""
    bootstrap_resamples: int = Field(default=10_000, ge=100)
    """for intervals and p-values"""
    thresholds: Thresholds = Thresholds()
    """where the levels of the verdict begin"""
    during_training: DuringTrainingSection = DuringTrainingSection()
    """what is sampled and measured while a run trains"""


class TrackingSection(Section):
    """W&B and the price of a GPU hour."""

    wandb: Literal["auto", "online", "offline", "disabled"] = "auto"
    """auto: WANDB_MODE of the environment, else online where a key is present, else offline"""
    project: str = "polychromic"
    """W&B's project"""
    entity: str | None = None
    """W&B's team or person"""
    tags: tuple[str, ...] = ()
    """of the run in W&B"""
    log_samples: int = Field(default=0, ge=0)
    """samples of the newest diversity step kept at every log"""
    price_per_hour: float | None = Field(
        default=None, ge=0.0, description="dollars a GPU hour; None: POLYCHROMIC_PRICE_PER_HOUR of the environment"
    )
    price_per_million_tokens: float | None = Field(
        default=None, ge=0.0, description="dollars for a million tokens drawn by evaluation.engine: server"
    )
    price_per_million_prompt_tokens: float | None = Field(
        default=None, ge=0.0, description="dollars for a million tokens of prompts that it reads"
    )
    budget: float | None = Field(
        default=None,
        gt=0.0,
        description="dollars for all of output_root: warns at 80 %; at 100 % training and evaluation stop",
    )
    alerts: bool = False
    """a W&B alert for each finding on the run's health"""


class Settings(Section):
    """A whole configuration file."""

    experiment: ExperimentSection
    model: ModelSection
    data: DataSection
    polychromic: PolychromicSection = PolychromicSection()
    quantization: dict[str, Any] | None = None
    lora: dict[str, Any] = Field(default_factory=dict)
    training: dict[str, Any] = Field(default_factory=dict)
    evaluation: EvaluationSection = EvaluationSection()
    tracking: TrackingSection = TrackingSection()
    health: HealthSection = HealthSection()

    @field_validator("training")
    @classmethod
    def _saving(cls, training: dict[str, Any]) -> dict[str, Any]:
        minutes = training.get("save_minutes")
        if minutes is not None and not minutes > 0:
            raise ValueError(f"save_minutes must be above 0 or null, got {minutes}")
        return training
