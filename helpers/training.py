"""Training that can be watched, interrupted and resumed.

:func:`fit` calls ``Trainer.train()`` and looks after what a learner should not have to: labels that
are missing, a curve that moves, Ctrl-C that saves before it stops, a disk that fills up.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import statistics
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

from helpers.display import BLUE, INK, Chart, number
from helpers.errors import CourseError
from helpers.messages import text

if TYPE_CHECKING:
    from transformers import Trainer

LABEL_COLUMNS = ("label", "labels")
REDRAW_SECONDS = 2.0
VALIDATION_COLOUR = "#d55e00"  # from the same palette as BLUE
STEPS_VARIABLE = "COURSE_TRAINING_STEPS"
# What PyTorch says of a file that it could not write to its end, without the system's reason.
CUT_WRITE = re.compile(r"PytorchStreamWriter failed|inline_container\.cc.*unexpected pos")
CHECKPOINT = re.compile(r"checkpoint-(\d+)")

Point = tuple[int, float]
"""A step of the training, and the loss there."""


@dataclass(frozen=True)
class Training:
    """What a training did, from its first step even if it was interrupted and resumed.

    Attributes:
        step: The step that it reached.
        steps: How many steps there are in all.
        epoch: How many times the examples were seen.
        seconds: How long it has taken, since it was started or last resumed.
        folder: Where its checkpoints are.
        train: The mean loss on the training examples since the point before.
        validation: The loss on the validation examples.
        was_cut: Whether ``COURSE_TRAINING_STEPS`` ended it before its time.
    """

    step: int
    steps: int
    epoch: float
    seconds: float
    folder: Path
    train: tuple[Point, ...]
    validation: tuple[Point, ...]
    was_cut: bool = False

    @property
    def is_finished(self) -> bool:
        """Whether all steps were made."""
        return self.step >= self.steps

    def __repr__(self) -> str:
        if self.was_cut:
            return text("training.cut", steps=self.steps, name=STEPS_VARIABLE)
        if self.is_finished:
            return text("training.finished", steps=self.steps, elapsed=_duration(self.seconds))
        return text("training.interrupted", step=self.step, total=self.steps, folder=self.folder)

    def chart(self) -> Chart:
        """Draw the two losses."""
        return curve(self.train, self.validation)


def fit(trainer: Trainer, *, resume: bool = False, live: bool = True) -> Training:
    """Train, with a curve that is drawn as it goes.

    An interruption (the notebook's stop button, Ctrl-C) lets the step end, saves a checkpoint and
    returns; a second one stops at once.

    The environment variable ``COURSE_TRAINING_STEPS`` cuts every training to that many steps. It is
    for trying out a notebook's other cells, as the tests of its exercises do: such a model has
    learned nothing, and what is returned says so.

    Args:
        trainer: Its ``args.output_dir`` is where checkpoints go.
        resume: Go on from the last checkpoint there, instead of starting. A start sets those of the
            training before aside, in a folder called ``anterior``.
        live: Show the curve while training.

    Returns:
        What was done; ``is_finished`` is false after an interruption.

    Raises:
        CourseError: the examples lack labels or have a single class, there is nothing to resume, or
            the disk is full.
    """
    _check_labels(trainer)
    folder = Path(str(trainer.args.output_dir))
    whole = checkpoints(folder) if resume else []
    if resume and not whole:
        raise CourseError(text("training.no_checkpoint", folder=folder))
    if not resume:
        _set_aside(folder)
    cut = _cut_short(trainer)
    stop = _Stop()
    callback = _callback(stop, _Screen() if live else None)
    trainer.add_callback(callback)
    _silence(trainer)
    began = time.monotonic()
    try:
        with _interruptions(stop), _full_disk(trainer, folder):
            trainer.train(resume_from_checkpoint=str(whole[-1]) if whole else None)
    finally:
        trainer.remove_callback(callback)
    return _described(trainer, time.monotonic() - began, cut)


def precision(device: str) -> dict[str, bool]:
    """Return what ``TrainingArguments`` takes to train in 16 bits where that is faster.

    Args:
        device: ``"cuda"``, ``"mps"`` or ``"cpu"``.

    Returns:
        ``bf16`` on a GPU that computes in bfloat16 and on a processor with AMX, which does so
        several times faster; elsewhere it would be slower than float32. Without a GPU also
        ``use_cpu``: ``bf16`` is refused on a CPU that was not asked for.
    """
    if device == "cuda":
        import torch

        return {"bf16": True} if torch.cuda.is_bf16_supported(including_emulation=False) else {}
    if device == "cpu":
        return {"use_cpu": True, "bf16": True} if _has_amx() else {"use_cpu": True}
    return {}


def _has_amx() -> bool:
    """Tell whether the processor multiplies matrices in bfloat16; only Linux says so in a file."""
    try:
        return "amx_bf16" in Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        return False


def checkpoints(folder: str | Path) -> list[Path]:
    """Return the whole checkpoints of a training, the oldest first.

    Args:
        folder: The training's ``output_dir``.
    """
    numbered = []
    for path in Path(folder).glob("checkpoint-*"):
        match = CHECKPOINT.fullmatch(path.name)
        # The state is written last: a checkpoint without it was cut short.
        if match and _is_whole(path / "trainer_state.json"):
            numbered.append((int(match[1]), path))
    return [path for _, path in sorted(numbered)]


def _set_aside(folder: Path) -> None:
    """Move the checkpoints of the training before out of the way of a new one.

    They are numbered by their steps: those of a longer training would pass for the newest. The last
    one set aside is kept, because whoever starts again by mistake should lose nothing.
    """
    old = sorted(folder.glob("checkpoint-*"))
    if not old:
        return
    aside = folder / "anterior"
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for path in old:
        path.rename(aside / path.name)


def _cut_short(trainer: Trainer) -> bool:
    """Limit the steps to what the environment says; tell whether it does."""
    steps = os.environ.get(STEPS_VARIABLE, "").strip()
    if not steps:
        return False
    if not steps.isdecimal() or not int(steps):
        raise CourseError(text("training.bad_steps", name=STEPS_VARIABLE, value=steps))
    # Every step is logged and judged, so that what reads the curve finds one.
    trainer.args.max_steps = int(steps)
    trainer.args.logging_steps = trainer.args.eval_steps = 1
    return True


def _is_whole(state: Path) -> bool:
    try:
        return state.is_file() and state.read_bytes().rstrip().endswith(b"}")
    except OSError:
        return False


# --- texts too long ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Lengths:
    """How many tokens texts have, and what a limit would cut.

    Attributes:
        count: How many texts there are.
        median: Half of the texts have at most this many tokens.
        longest: The most that any has.
        limit: How many the model reads.
        cut: How many texts have more.
        lost: Share of the tokens of those texts that the model would not read, from 0 to 1.
    """

    count: int
    median: int
    longest: int
    limit: int
    cut: int
    lost: float

    def __repr__(self) -> str:
        values: dict[str, Any] = {
            "count": number(self.count, 0),
            "limit": self.limit,
            "longest": number(self.longest, 0),
        }
        if not self.cut:
            return text("training.lengths_fit", median=self.median, **values)
        lost = number(100 * self.lost, 0)
        return text("training.lengths_cut", cut=number(self.cut, 0), lost=lost, **values)


def lengths(texts: Sequence[str], tokenizer: Any, limit: int = 512) -> Lengths:
    """Tell how long texts are for a model, before ``truncation=True`` cuts them in silence.

    Args:
        texts: The texts.
        tokenizer: The model's.
        limit: How many tokens the model reads.

    Raises:
        CourseError: there are no texts, or one of them is empty or no text.
    """
    texts = list(texts)
    if not texts:
        raise CourseError(text("training.no_texts"))
    for place, item in enumerate(texts, 1):
        if not isinstance(item, str) or not item.strip():
            raise CourseError(text("training.not_texts", place=place))
    counts = [len(ids) for ids in tokenizer(texts, truncation=False, verbose=False)["input_ids"]]
    long = [count for count in counts if count > limit]
    lost = sum(count - limit for count in long) / sum(long) if long else 0.0
    median = round(statistics.median(counts))
    return Lengths(len(texts), median, max(counts), limit, len(long), lost)


# --- sending to the Hub -----------------------------------------------------------------------


@contextlib.contextmanager
def publishing(repo_id: str) -> Iterator[None]:
    """Say in a sentence why the Hub refused what was sent.

    Args:
        repo_id: Where it was sent.

    Raises:
        CourseError: there is no token, the token may not write there, or what was sent is too big.
    """
    from huggingface_hub.errors import HfHubHTTPError, LocalTokenNotFoundError

    try:
        yield
    except LocalTokenNotFoundError as error:
        raise CourseError(text("training.push_no_token")) from error
    except HfHubHTTPError as error:
        status = error.response.status_code if error.response is not None else None
        if status == 401:
            raise CourseError(text("training.push_no_token")) from error
        if status == 403:
            raise CourseError(_forbidden(repo_id)) from error
        if status == 413:
            detail = error.server_message or str(error)
            sentence = text("training.push_too_large", repo_id=repo_id, detail=detail)
            raise CourseError(sentence) from error
        raise


def _forbidden(repo_id: str) -> str:
    """Say where one may write instead."""
    from huggingface_hub import HfApi

    name = text("training.own_name")
    with contextlib.suppress(Exception):  # the sentence is worth saying without the name too
        name = HfApi().whoami()["name"]
    return text("training.push_forbidden", repo_id=repo_id, name=name)


# --- the curve --------------------------------------------------------------------------------


def curve(train: Sequence[Point], validation: Sequence[Point], title: str | None = None) -> Chart:
    """Draw the loss on training and on validation examples against the steps.

    Args:
        train: Steps and losses.
        validation: Steps and losses.
        title: What is shown.

    Raises:
        CourseError: there is no point to draw.
    """
    if not train and not validation:
        raise CourseError(text("training.curve_none"))
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 3.4), layout="constrained", facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    title = title or text("training.curve_title")
    lines: tuple[tuple[str, Sequence[Point], dict[str, Any]], ...] = (
        (text("training.curve_train"), train, {"color": BLUE}),
        (
            text("training.curve_validation"),
            validation,
            {"color": VALIDATION_COLOUR, "marker": "o", "linestyle": "--"},
        ),
    )
    for name, points, style in lines:
        if points:
            steps, losses = zip(*points, strict=True)
            axes.plot(steps, losses, label=name, linewidth=1.8, **style)
    axes.set_ylim(bottom=0)
    axes.set_xlabel(text("training.curve_step"), fontsize=11, color=INK)
    axes.yaxis.set_major_formatter(lambda value, _: number(value, None))
    axes.set_title(title, loc="left", fontsize=12, color=INK)
    axes.legend(frameon=False, fontsize=11)
    axes.spines[["top", "right"]].set_visible(False)
    parts = [_in_words(name, points) for name, points, _ in lines if points]
    alt = text("training.curve_chart", title=title.rstrip("."), lines="; ".join(parts))
    return Chart(figure, alt)


def _in_words(name: str, points: Sequence[Point]) -> str:
    step, lowest = min(points, key=lambda point: point[1])
    first, last = points[0][1], points[-1][1]
    if len(points) == 1:
        return text("training.curve_alone", name=name, first=number(first), step=step)
    return text(
        "training.curve_part", name=name, first=number(first), last=number(last),
        lowest=number(lowest), step=step,
    )  # fmt: skip


def _points(history: Sequence[dict[str, Any]], key: str) -> tuple[Point, ...]:
    return tuple((row["step"], float(row[key])) for row in history if key in row)


class _Screen:
    """The part of a notebook's output that changes while training goes on."""

    def __init__(self) -> None:
        self._handle: Any = None
        self._shown = 0.0
        self._began = time.monotonic()
        self._first_step: int | None = None

    def update(self, state: Any, *, last: bool = False) -> None:
        """Draw again, if the last time was a while ago.

        Args:
            state: The ``TrainerState``.
            last: Draw now, without the progress bar.
        """
        now = time.monotonic()
        if self._first_step is None:
            self._first_step = max(0, state.global_step - 1)
        if not last and now - self._shown < REDRAW_SECONDS:
            return
        self._shown = now
        self._show(_Drawing(state, self._times(state), last))

    def _times(self, state: Any) -> str:
        done = state.global_step - (self._first_step or 0)
        elapsed = time.monotonic() - self._began
        if done < 1:
            return text("training.just_started")
        left = elapsed / done * (state.max_steps - state.global_step)
        return text("training.elapsed", elapsed=_duration(elapsed), left=_duration(left))

    def _show(self, drawing: _Drawing) -> None:
        from IPython.display import display

        if self._handle is None:
            self._handle = display(drawing, display_id=True)
        else:
            self._handle.update(drawing)


class _Drawing:
    """One state of a training: a progress bar and the curve so far."""

    def __init__(self, state: Any, times: str, last: bool) -> None:
        self._state, self._times, self._last = state, times, last

    def __repr__(self) -> str:
        chart = self._chart()
        if self._last and chart:
            return repr(chart)
        return f"{self._progress()}. {self._times}."

    def _progress(self) -> str:
        state = self._state
        return text(
            "training.progress", step=state.global_step, total=state.max_steps,
            epoch=number(state.epoch or 0, 1),
        )  # fmt: skip

    def _chart(self) -> Chart | None:
        history = self._state.log_history
        train, validation = _points(history, "loss"), _points(history, "eval_loss")
        return curve(train, validation) if train or validation else None

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        chart = self._chart()
        bundle = chart._repr_mimebundle_() if chart else {"text/html": ""}
        bundle["text/plain"] = repr(self)
        if not self._last:
            bar = (
                f'<progress value="{self._state.global_step}" max="{self._state.max_steps}" '
                f'style="width:20em" aria-label="{escape(self._progress())}"></progress>'
            )
            line = f"<p>{bar} {escape(self._progress())} · {escape(self._times)}</p>"
            bundle["text/html"] = line + bundle["text/html"]
        return bundle


# --- while training ---------------------------------------------------------------------------


class _Stop:
    """Whether somebody asked to stop."""

    def __init__(self) -> None:
        self.asked = False


def _callback(stop: _Stop, screen: _Screen | None) -> Any:
    """Return what the ``Trainer`` calls at each step; its base class is imported only here."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if stop.asked:
                control.should_save = True
                control.should_training_stop = True
            if screen:
                screen.update(state)

        def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if stop.asked:
                # The checkpoint of the last step is the one to resume from: judging now would move
                # the random numbers on, and saving again would keep them so.
                control.should_evaluate = False
                control.should_save = state.global_step >= state.max_steps

        def on_train_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if screen:
                screen.update(state, last=True)

    return Watch()


@contextlib.contextmanager
def _interruptions(stop: _Stop) -> Iterator[None]:
    """Note the first interruption instead of breaking off in the middle of a step."""
    # Only the main thread hears signals; elsewhere an interruption is what it always was.
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT) or signal.default_int_handler

    def note(*_: Any) -> None:
        stop.asked = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextlib.contextmanager
def _full_disk(trainer: Trainer, folder: Path) -> Iterator[None]:
    """Say what a full disk means for a training: where it can go on from."""
    from helpers.embedded.fetch import FULL_DISK, FULL_DISK_TEXT

    try:
        yield
    except Exception as error:
        code = error.errno if isinstance(error, OSError) else None
        told = _whole_story(error)
        if code not in FULL_DISK and not (FULL_DISK_TEXT.search(told) or CUT_WRITE.search(told)):
            raise
        key = "training.disk_full" if checkpoints(folder) else "training.disk_full_start"
        state = trainer.state
        sentence = text(key, step=state.global_step, total=state.max_steps, folder=folder)
        raise CourseError(sentence) from error


def _whole_story(error: BaseException | None) -> str:
    """Join an error's text and those of the errors behind it: PyTorch hides the system's own."""
    told: list[BaseException] = []
    while error is not None and error not in told:  # a library may have made the chain a circle
        told.append(error)
        error = error.__cause__ or error.__context__
    return "\n".join(map(str, told))


def _silence(trainer: Trainer) -> None:
    """Take away the lines and the bar of the library, in the place of which is the curve."""
    from transformers import PrinterCallback, ProgressCallback

    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    with contextlib.suppress(ImportError):
        from transformers.utils.notebook import NotebookProgressCallback

        trainer.remove_callback(NotebookProgressCallback)


def _check_labels(trainer: Trainer) -> None:
    """Refuse examples without labels, or of one class; other tasks have no column of labels."""
    from helpers.datafiles import check_labels

    data: Any = trainer.train_dataset
    columns = getattr(data, "column_names", None) or []
    for column in LABEL_COLUMNS:
        if column in columns:
            check_labels(data, column)


def _described(trainer: Trainer, seconds: float, was_cut: bool) -> Training:
    state = trainer.state
    return Training(
        state.global_step,
        state.max_steps,
        float(state.epoch or 0),
        seconds,
        Path(str(trainer.args.output_dir)),
        _points(state.log_history, "loss"),
        _points(state.log_history, "eval_loss"),
        was_cut,
    )


def _duration(seconds: float) -> str:
    return text("training.seconds", seconds=number(seconds, 1))
