"""The replay answers the real clients in every shape that the Hub may answer with."""

import pytest
import replay_hub
import requests
from huggingface_hub import HfApi, ModelCard, hf_hub_download
from huggingface_hub.errors import EntryNotFoundError, RepositoryNotFoundError

QA = "timpal0l/mdeberta-v3-base-squad2"


@pytest.fixture
def api(hub):
    return HfApi(endpoint=hub.url, token=False)


def test_a_listing_follows_its_pages(hub, api):
    hub.asked.clear()
    models = list(api.list_models(filter="pt"))
    expected = [item["id"] for item in replay_hub.recorded("models") if "pt" in item["tags"]]
    assert sorted(model.id for model in models) == sorted(expected)
    assert len(hub.asked) == -(-len(expected) // replay_hub.PAGE) > 1
    assert None in {model.pipeline_tag for model in models}
    assert all(model.downloads is not None and model.card_data is None for model in models)


def test_a_limited_listing_asks_once(hub, api):
    hub.asked.clear()
    models = list(api.list_models(pipeline_tag="question-answering", sort="downloads", limit=2))
    assert [model.id for model in models] == ["deepset/roberta-base-squad2", QA]
    assert len(hub.asked) == 1


def test_what_a_card_may_hold(api):
    fields = ["pipeline_tag", "cardData", "safetensors", "gated"]
    found = {model.id: model for model in api.list_models(filter="pt", limit=50, expand=fields)}
    cards = {repo_id: model.card_data for repo_id, model in found.items()}
    languages = {type(card.get("language")) for card in cards.values() if card}
    licences = {type(card.get("license")) for card in cards.values() if card}
    assert languages == {list, str, type(None)} and licences == {list, str, type(None)}
    assert None in cards.values() and None in [model.safetensors for model in found.values()]
    assert {model.gated for model in found.values()} == {False, "auto", "manual"}
    assert found["intfloat/multilingual-e5-small"].safetensors.total == 117_654_272  # two dtypes


def test_providers_are_a_list_in_a_listing_and_a_dictionary_in_details(hub, api):
    fields = {"expand": "inferenceProviderMapping"}
    repo_id = "deepset/roberta-base-squad2"
    listed = requests.get(
        f"{hub.url}/api/models",
        params={**fields, "inference_provider": "hf-inference", "limit": 9},
        timeout=10,
    ).json()
    told = requests.get(f"{hub.url}/api/models/{repo_id}", params=fields, timeout=10).json()
    assert {type(item["inferenceProviderMapping"]) for item in listed} == {list}
    assert type(told["inferenceProviderMapping"]) is dict
    for info in (
        api.model_info(repo_id, expand=["inferenceProviderMapping"]),
        *api.list_models(
            inference_provider="hf-inference", limit=9, **{"expand": [fields["expand"]]}
        ),
    ):
        (mapping,) = info.inference_provider_mapping
        assert (mapping.provider, mapping.status) == ("hf-inference", "live")
    assert (
        api.model_info(QA, expand=["inferenceProviderMapping"]).inference_provider_mapping is None
    )


def test_files_and_their_sizes(api):
    info = api.model_info(QA, files_metadata=True)
    sizes = {file.rfilename: file.size for file in info.siblings}
    assert all(size > 0 for size in sizes.values())
    (large,) = [file for file in info.siblings if file.rfilename == "model.safetensors"]
    assert large.lfs.size == large.size > 4 * 278_220_290


@pytest.mark.parametrize(
    ("repo_id", "files", "count"),
    [
        (QA, 1, {"F32": 278_220_290}),
        ("HuggingFaceTB/SmolLM2-135M-Instruct", 1, {"BF16": 134_515_008}),
        ("Qwen/Qwen3-4B-Instruct-2507", 3, {"BF16": 4_022_468_096}),
    ],
)
def test_weights_are_counted_without_a_download(api, repo_id, files, count):
    metadata = api.get_safetensors_metadata(repo_id)
    assert metadata.parameter_count == count and len(metadata.files_metadata) == files
    assert metadata.sharded is (files > 1)
    told = next(item for item in replay_hub.recorded("models") if item["id"] == repo_id)
    assert told["safetensors"]["parameters"] == count


def test_cards_with_and_without_a_header(hub, tmp_path):
    def card(repo_id):
        file = hf_hub_download(repo_id, "README.md", endpoint=hub.url, cache_dir=tmp_path)
        return ModelCard.load(file, ignore_metadata_errors=True)

    assert card(QA).data.license == "mit" and card(QA).data.language[0] == "multilingual"
    bare = card("exemplo/cartao-sem-cabecalho")
    assert bare.data.to_dict() == {} and bare.text.startswith("# Um modelo")


def test_what_is_not_there(api, hub, tmp_path):
    with pytest.raises(RepositoryNotFoundError):
        api.model_info("exemplo/nada")
    with pytest.raises(EntryNotFoundError):
        hf_hub_download(QA, "nada.txt", endpoint=hub.url, cache_dir=tmp_path)


def test_datasets_and_spaces(api):
    datasets = list(api.list_datasets(filter="language:pt", sort="downloads", expand=["cardData"]))
    licences = {type(item.card_data.get("license")) for item in datasets if item.card_data}
    assert licences == {list, str, type(None)} and None in [item.card_data for item in datasets]
    assert api.dataset_info("fka/awesome-chatgpt-prompts").id == "fka/prompts.chat"
    spaces = {item.id: api.space_info(item.id) for item in api.list_spaces(search="pergunte")}
    assert {space.models for space in spaces.values()} == {None}
    assert {space.runtime.stage for space in spaces.values()} == {"SLEEPING", "RUNNING"}
    assert {space.sdk for space in api.list_spaces()} == {"gradio", "static", None}


def test_the_viewer(hub):
    def ask(path, **query):
        return requests.get(f"{hub.viewer_url}/{path}", params=query, timeout=10)

    train = {"dataset": "fka/prompts.chat", "config": "default", "split": "train"}
    assert ask("splits", dataset="fka/prompts.chat").json()["splits"] == [train]
    first = ask("first-rows", **train).json()
    assert len(first["rows"]) == 100 and first["rows"][3]["truncated_cells"] == ["prompt"]
    page = ask("rows", **train, offset=100, length=2).json()
    assert [item["row_idx"] for item in page["rows"]] == [100, 101]
    assert page["rows"][0]["row"].keys() == {item["name"] for item in page["features"]}
    pictures = {"dataset": "uoft-cs/cifar100", "config": "cifar100", "split": "test"}
    picture = ask("rows", **pictures, length=1).json()["rows"][0]["row"]["img"]
    assert picture.keys() == {"src", "height", "width"}
    assert ask("rows", **train, length=101).status_code == 422
    renamed = ask("splits", dataset="fka/awesome-chatgpt-prompts")
    assert renamed.status_code == 404 and "renamed" in renamed.json()["error"]
