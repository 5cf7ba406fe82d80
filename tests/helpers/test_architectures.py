"""transformers' auto classes know the course's architectures, whoever is imported first."""

import json
import subprocess
import sys

import pytest

from helpers import architectures

SIZES = {
    "d_model": 8,
    "decoder_attention_heads": 2,
    "decoder_ffn_dim": 16,
    "decoder_layers": 1,
    "decoder_start_token_id": 5,
    "encoder_attention_heads": 2,
    "encoder_ffn_dim": 16,
    "encoder_layers": 1,
    "eos_token_id": 0,
    "model_type": "ssru_marian",
    "pad_token_id": 5,
    "vocab_size": 6,
}
LOADS = """
from transformers import AutoConfig, AutoModelForSeq2SeqLM
config = AutoConfig.from_pretrained({folder!r})
print(type(config).__name__, type(AutoModelForSeq2SeqLM.from_config(config)).__name__)
"""


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps(SIZES))
    return str(tmp_path)


def run(code):
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


REGISTER = "from helpers import architectures; architectures.register()"


@pytest.mark.parametrize(
    "lines",
    [
        (REGISTER,),
        # These two are half-way through their own imports when the auto modules are loaded.
        (REGISTER, "import transformers.modeling_utils"),
        (REGISTER, "import transformers.models.bert.modeling_bert"),
        ("import transformers.models.auto.configuration_auto", REGISTER),
        ("from transformers import pipeline", REGISTER),
    ],
    ids=" > ".join,
)
def test_a_fresh_process_loads_them(folder, lines):
    code = "\n".join([*lines, LOADS.format(folder=folder)])
    assert run(code) == ["SSRUMarianConfig SSRUMarianForSeq2SeqLM"]


def test_registering_imports_nothing_heavy_and_happens_once():
    code = (
        "import sys\nfrom helpers import architectures\n"
        "before = len(sys.meta_path)\n"
        "for _ in range(3): architectures.register()\n"
        "print({'torch', 'transformers', 'numpy'} & set(sys.modules), len(sys.meta_path) - before)"
    )
    assert run(code) == ["set() 1"]


def test_without_registering_the_folder_is_unknown(folder):
    code = f"from transformers import AutoConfig\nAutoConfig.from_pretrained({folder!r})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert "ssru_marian" in done.stderr


def test_the_finder_leaves_other_modules_alone():
    code = (
        "from helpers import architectures; architectures.register()\n"
        "import importlib.util\n"
        "assert importlib.util.find_spec('transformers.models.auto.no_such_module') is None\n"
        "import transformers.models.auto.modeling_auto as loaded\n"
        "print(loaded.__spec__.loader.get_source(loaded.__name__) is not None, loaded.__name__)"
    )
    assert run(code) == ["True transformers.models.auto.modeling_auto"]


def test_every_class_of_the_table_exists():
    architectures.register()
    from transformers import AutoConfig, PreTrainedConfig, PreTrainedModel

    for row in architectures.ARCHITECTURES:
        config = architectures._load(row.config)
        assert issubclass(config, PreTrainedConfig)
        assert type(AutoConfig.for_model(row.model_type)) is config
        for auto_class, path in row.models.items():
            model = architectures._load(path)
            assert issubclass(model, PreTrainedModel) and model.config_class is config
            import transformers

            assert getattr(transformers, auto_class)._model_mapping[config] is model
