"""Training that is watched, interrupted and resumed, with the real Trainer on a small model."""

import os
import signal
import threading
from pathlib import Path

import pytest

from helpers import training
from helpers.errors import CourseError

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")
datasets = pytest.importorskip("datasets")
peft = pytest.importorskip("peft")

WORDS = ["bom", "ótimo", "adorei", "ruim", "péssimo", "odiei", "o", "a", "é", "filme"]
LABELS = ["negativo", "positivo"]


@pytest.fixture(scope="module")
def tokenizer():
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    vocabulary = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}
    vocabulary |= {word: number for number, word in enumerate(WORDS, start=4)}
    words = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 2)]
    )
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=words, pad_token="<pad>", unk_token="<unk>", model_max_length=512
    )


@pytest.fixture(scope="module")
def examples(tokenizer):
    texts = [f"o filme é {word}" for word in WORDS[:6]] * 8
    features = datasets.Features(
        {"text": datasets.Value("string"), "label": datasets.ClassLabel(names=LABELS)}
    )
    rows = {"text": texts, "label": ([1] * 3 + [0] * 3) * 8}
    data = datasets.Dataset.from_dict(rows, features=features)
    return data.map(lambda batch: tokenizer(batch["text"]), batched=True)


def small_model():
    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=20,
        hidden_size=16,
        initializer_range=0.2,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=2,
        pad_token_id=1,
    )
    model = transformers.BertForSequenceClassification(config)
    adapter = peft.LoraConfig(
        task_type="SEQ_CLS",
        r=4,
        target_modules=["query", "value"],
        modules_to_save=["classifier", "pooler"],
    )
    return peft.get_peft_model(model, adapter)


def trainer(folder, tokenizer, examples, callbacks=None, **options):
    settings = {
        "output_dir": str(folder),
        "num_train_epochs": 4,
        "per_device_train_batch_size": 8,
        "learning_rate": 2e-2,
        "logging_steps": 4,
        "eval_strategy": "epoch",
        "save_strategy": "epoch",
        "save_total_limit": 2,
        "train_sampling_strategy": "group_by_length",
        "report_to": "none",
        "disable_tqdm": True,
        "use_cpu": True,
    }
    return transformers.Trainer(
        model=small_model(),
        args=transformers.TrainingArguments(**settings | options),
        train_dataset=examples,
        eval_dataset=examples.select(range(min(12, len(examples)))),
        processing_class=tokenizer,
        callbacks=callbacks,
    )


class StopAt(transformers.TrainerCallback):
    """What a person does: press Ctrl-C while a step is being made."""

    def __init__(self, step):
        self.step = step

    def on_step_begin(self, args, state, control, **_):
        if state.global_step == self.step:
            os.kill(os.getpid(), signal.SIGINT)


class FillDisk(transformers.TrainerCallback):
    """A disk that fills up while the second checkpoint is written, in one of its files."""

    def __init__(self, name):
        self.name = name

    def on_step_begin(self, args, state, control, **_):
        if state.global_step == 10:
            full = Path(args.output_dir) / "checkpoint-12"
            full.mkdir()
            (full / self.name).symlink_to("/dev/full")


def weights(built):
    return {name: value.clone() for name, value in built.model.state_dict().items()}


def test_it_learns_quietly_and_draws(tokenizer, examples, tmp_path, capsys):
    built = trainer(tmp_path, tokenizer, examples)
    done = training.fit(built, live=False)
    assert done.is_finished and done.step == done.steps == 24
    assert done.validation[-1][1] < done.validation[0][1] < 1
    assert len(done.train) == 6 and len(done.validation) == 4
    assert "Treino completo: 24 passos" in repr(done)
    assert "treino: de" in done.chart().alt and "validação: de" in done.chart().alt
    assert capsys.readouterr().out == ""


def test_the_live_output_ends_as_a_chart_without_widgets(tokenizer, examples, tmp_path):
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output

    InteractiveShell.instance()
    with capture_output() as captured:
        training.fit(trainer(tmp_path, tokenizer, examples, num_train_epochs=1))
    shown = [output.data for output in captured.outputs]
    assert not any("widget" in kind for data in shown for kind in data)
    assert "Passo 1 de 6" in shown[0]["text/plain"] and "<progress" in shown[0]["text/html"]
    assert shown[-1]["text/plain"].startswith("Gráfico de linhas. Perda ao longo")
    assert "alt=" in shown[-1]["text/html"] and "<progress" not in shown[-1]["text/html"]
    InteractiveShell.clear_instance()


@pytest.mark.parametrize("at", [2, 13])
def test_an_interrupted_training_goes_on_as_if_nothing_had_happened(
    tokenizer, examples, tmp_path, at
):
    # Batches by length are drawn anew in the epoch of the interruption; shuffled ones are not.
    order = {"train_sampling_strategy": "random"}
    whole = trainer(tmp_path / "whole", tokenizer, examples, **order)
    training.fit(whole, live=False)

    before = signal.getsignal(signal.SIGINT)
    broken = trainer(tmp_path / "broken", tokenizer, examples, [StopAt(at)], **order)
    done = training.fit(broken, live=False)
    assert not done.is_finished and done.step == at + 1
    assert f"interrompido no passo {at + 1} de 24" in repr(done) and "resume=True" in repr(done)
    assert signal.getsignal(signal.SIGINT) is before

    # Another process would also start from a new Trainer.
    resumed = trainer(tmp_path / "broken", tokenizer, examples, **order)
    done = training.fit(resumed, resume=True, live=False)
    assert done.is_finished and done.validation[-1][0] == 24
    for name, value in weights(whole).items():
        assert torch.allclose(value, weights(resumed)[name], atol=1e-5), name


def test_the_same_trainer_can_be_resumed_with_batches_by_length(tokenizer, examples, tmp_path):
    stop = StopAt(9)
    built = trainer(tmp_path, tokenizer, examples, [stop])
    done = training.fit(built, live=False)
    assert not done.is_finished
    built.remove_callback(stop)
    again = training.fit(built, resume=True, live=False)
    assert again.is_finished and again.validation[-1][1] < done.validation[0][1]


def test_a_second_interruption_stops_at_once(tokenizer, examples, tmp_path):
    twice = [StopAt(5), StopAt(5)]
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(KeyboardInterrupt):
        training.fit(trainer(tmp_path, tokenizer, examples, twice), live=False)
    assert signal.getsignal(signal.SIGINT) is before


def test_it_trains_in_another_thread_too(tokenizer, examples, tmp_path):
    results = []
    built = trainer(tmp_path, tokenizer, examples, num_train_epochs=1)
    thread = threading.Thread(target=lambda: results.append(training.fit(built, live=False)))
    thread.start()
    thread.join()
    assert results[0].is_finished


def test_nothing_to_resume_is_said(tokenizer, examples, tmp_path):
    with pytest.raises(CourseError, match="Não há treino interrompido"):
        training.fit(trainer(tmp_path, tokenizer, examples), resume=True, live=False)


def test_a_checkpoint_cut_short_is_not_resumed_from(tokenizer, examples, tmp_path):
    built = trainer(tmp_path, tokenizer, examples, num_train_epochs=2)
    training.fit(built, live=False)
    whole = training.checkpoints(tmp_path)
    assert [path.name for path in whole] == ["checkpoint-6", "checkpoint-12"]
    state = whole[-1] / "trainer_state.json"
    state.write_bytes(state.read_bytes()[:-20])
    assert training.checkpoints(tmp_path) == whole[:1]
    again = trainer(tmp_path, tokenizer, examples, num_train_epochs=2)
    assert training.fit(again, resume=True, live=False).is_finished


def test_a_new_start_is_not_mistaken_for_the_training_before(tokenizer, examples, tmp_path):
    training.fit(trainer(tmp_path, tokenizer, examples), live=False)
    shorter = trainer(tmp_path, tokenizer, examples, num_train_epochs=1)
    training.fit(shorter, live=False)
    assert [path.name for path in training.checkpoints(tmp_path)] == ["checkpoint-6"]
    aside = [path.name for path in training.checkpoints(tmp_path / "anterior")]
    assert aside == ["checkpoint-18", "checkpoint-24"]


def test_a_training_can_be_cut_to_try_a_notebook_out(tokenizer, examples, tmp_path, monkeypatch):
    monkeypatch.setenv(training.STEPS_VARIABLE, "2")
    for strategy in ("epoch", "steps"):
        built = trainer(tmp_path, tokenizer, examples, eval_strategy=strategy)
        done = training.fit(built, live=False)
        assert done.step == 2 and done.was_cut
        assert done.train and done.validation, strategy
    assert "cortado em 2 passos" in repr(done) and training.STEPS_VARIABLE in repr(done)
    monkeypatch.setenv(training.STEPS_VARIABLE, "poucos")
    with pytest.raises(CourseError, match="poucos"):
        training.fit(trainer(tmp_path, tokenizer, examples), live=False)


@pytest.mark.parametrize(
    ("labels", "fragment"),
    [([1, -1, 0, 1], "rótulo"), ([1, 1, 1, 1], "classe")],
)
def test_bad_labels_stop_it_before_the_first_step(tokenizer, examples, tmp_path, labels, fragment):
    bad = examples.select(range(4)).remove_columns("label")
    bad = bad.add_column("label", labels).cast_column("label", datasets.ClassLabel(names=LABELS))
    with pytest.raises(CourseError, match=fragment):
        training.fit(trainer(tmp_path, tokenizer, bad), live=False)
    assert not any(tmp_path.glob("checkpoint-*"))


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("name", ["optimizer.pt", "trainer_state.json"])
def test_a_full_disk_is_said_and_the_last_whole_checkpoint_stays(
    tokenizer, examples, tmp_path, name
):
    built = trainer(tmp_path, tokenizer, examples, [FillDisk(name)])
    with pytest.raises(CourseError, match="O disco encheu no passo 12 de 24") as raised:
        training.fit(built, live=False)
    assert "resume=True" in str(raised.value)
    (tmp_path / "checkpoint-12" / name).unlink()
    assert [path.name for path in training.checkpoints(tmp_path)] == ["checkpoint-6"]
    again = trainer(tmp_path, tokenizer, examples)
    assert training.fit(again, resume=True, live=False).is_finished


def test_long_texts_are_told_with_what_the_cut_takes(tokenizer):
    texts = ["bom " * 10, "ruim " * 1022, "adorei"]
    found = training.lengths(texts, tokenizer)
    assert (found.cut, found.longest, found.median) == (1, 1024, 12)
    assert found.lost == pytest.approx(0.5)
    assert "mais de 512 tokens: 1 de 3" in repr(found) and "50 %" in repr(found)
    assert "cabem em 2000 tokens" in repr(training.lengths(texts, tokenizer, limit=2000))


@pytest.mark.parametrize(("texts", "fragment"), [([], "nenhum texto"), (["bom", None], "número 2")])
def test_texts_that_are_missing_are_said(tokenizer, texts, fragment):
    with pytest.raises(CourseError, match=fragment):
        training.lengths(texts, tokenizer)


def test_an_empty_curve_is_said():
    with pytest.raises(CourseError, match="nenhuma perda"):
        training.curve([], [])


def test_the_precision_is_one_that_the_trainer_takes(tmp_path):
    from transformers import TrainingArguments

    chosen = training.precision("cpu")
    arguments = TrainingArguments(output_dir=str(tmp_path), **chosen)
    assert arguments.device.type == "cpu" and not arguments.fp16
    assert arguments.bf16 == chosen.get("bf16", False)
    assert training.precision("mps") == {}
