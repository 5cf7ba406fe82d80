"""Push models with transformers and PEFT, and read them back; HF_ENDPOINT points at the server."""

import json
import os
import sys
from pathlib import Path

import torch
from datasets import Dataset, DatasetDict, load_dataset
from huggingface_hub import HfApi, InferenceClient
from peft import LoraConfig, PeftModel, get_peft_model
from transformers import (
    AutoModelForSequenceClassification,
    AutoTokenizer,
    BertConfig,
    BertForQuestionAnswering,
    BertForSequenceClassification,
    BertModel,
    Trainer,
    TrainingArguments,
)

folder = Path(sys.argv[2])
api, token = HfApi(), os.environ["HF_TOKEN"]
me = api.whoami()["name"]
torch.manual_seed(0)
tokenizer = AutoTokenizer.from_pretrained("curso/sentimento-pt")
config = BertConfig(
    vocab_size=len(tokenizer),
    hidden_size=16,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=16,
    id2label={0: "ruim", 1: "bom"},
    label2id={"ruim": 0, "bom": 1},
)


def client(name):
    return InferenceClient(model=f"{sys.argv[1]}/hf-inference/models/{me}/{name}", token=token)


def classified(name):
    answer = client(name).text_classification("Gostei muito.")
    return {item.label: item.score for item in answer}


def expected(model):
    with torch.no_grad():
        inputs = tokenizer("Gostei muito.", return_tensors="pt")
        scores = model.eval()(**inputs).logits.softmax(-1)[0].tolist()
    return dict(zip(["ruim", "bom"], scores, strict=True))


model = BertForSequenceClassification(config)
first = model.push_to_hub("classificador")
tokenizer.push_to_hub("classificador")
seen = {"answers": [[classified("classificador"), expected(model)]]}
read = AutoModelForSequenceClassification.from_pretrained(f"{me}/classificador")
seen["same weights"] = all(
    torch.equal(a, b) for a, b in zip(model.parameters(), read.parameters(), strict=True)
)
info = api.model_info(f"{me}/classificador", expand=["inferenceProviderMapping", "pipeline_tag"])
seen["task"] = [info.pipeline_tag, info.inference_provider_mapping[0].task]

data = Dataset.from_dict({"text": ["bom", "ruim"] * 4, "label": [1, 0] * 4})
encoded = data.map(lambda rows: tokenizer(rows["text"]), batched=True)
trainer = Trainer(
    model=model,
    args=TrainingArguments(
        output_dir=str(folder / "treinado"),
        hub_model_id="classificador",
        push_to_hub=True,
        max_steps=1,
        use_cpu=True,
        save_strategy="no",
        report_to=[],
        disable_tqdm=True,
        learning_rate=0.1,
    ),
    train_dataset=encoded,
    processing_class=tokenizer,
)
trainer.train()
trainer.push_to_hub(commit_message="Treinado")
seen["answers"].append([classified("classificador"), expected(model)])
seen["trained files"] = api.list_repo_files(f"{me}/classificador")
older = AutoModelForSequenceClassification.from_pretrained(
    f"{me}/classificador", revision=first.oid
)
seen["older is older"] = torch.equal(older.classifier.weight, read.classifier.weight)

adapted = get_peft_model(
    BertForSequenceClassification(config), LoraConfig("SEQ_CLS", target_modules=["query"], r=2)
)
adapted.push_to_hub("adaptador")
seen["adapter files"] = api.list_repo_files(f"{me}/adaptador")
again = PeftModel.from_pretrained(BertForSequenceClassification(config), f"{me}/adaptador")
seen["adapter"] = torch.equal(
    again.base_model.model.classifier.weight, adapted.base_model.model.classifier.weight
)

for name, made in (("perguntas", BertForQuestionAnswering), ("vetores", BertModel)):
    made(config).push_to_hub(name)
    tokenizer.push_to_hub(name)
answer = client("perguntas").question_answering(question="Quem?", context="A Ana saiu cedo.")
seen["answer"] = (answer[0] if isinstance(answer, list) else answer).answer
seen["vector"] = len(client("vetores").feature_extraction("Olá")[0])

splits = DatasetDict(train=data, test=data.select(range(2)))
splits.push_to_hub("frases")
data.push_to_hub("frases", config_name="outra")
back = load_dataset(f"{me}/frases")
seen["dataset"] = [back["train"].to_dict() == data.to_dict(), back["test"].num_rows]
stream = load_dataset(f"{me}/frases", "outra", split="train", streaming=True)
seen["streamed"] = [row["label"] for row in stream]
seen["datasets"] = [one.id for one in api.list_datasets(author=me)]
print(json.dumps(seen))
