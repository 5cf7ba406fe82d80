import re
from datetime import timedelta

import pytest
from huggingface_hub import ModelCard, RepoCard

from helpers.embedded.catalog import catalog, repositories
from helpers.errors import CourseError

PACKAGES = list(catalog().packages.values())
LICENCES = {"mit", "apache-2.0", "bsd-3-clause", "cc-by-4.0", "cc-by-sa-4.0", "mpl-2.0", "other"}
MODELS = [repository for repository in repositories() if repository.kind == "model"]


def ids(item):
    return getattr(item, "id", None) or getattr(item, "name", None)


@pytest.mark.parametrize("package", PACKAGES, ids=ids)
def test_package_is_pinned(package):
    assert re.fullmatch(r"[0-9a-f]{64}", package.sha256)
    assert package.filename.startswith(f"{package.name.replace('-', '_')}-{package.version}-")
    assert package.licence in LICENCES
    # pip takes a wheel for any platform by itself, and must be told the tag of any other.
    assert (package.platform is None) == package.filename.endswith("-none-any.whl")
    assert package.platform is None or package.platform in package.filename


@pytest.mark.parametrize("repository", repositories(), ids=ids)
def test_repository_is_well_described(repository):
    assert re.fullmatch(r"curso/[a-z0-9.-]+", repository.id)
    assert repository.files or repository.needs or repository.source
    assert all(re.fullmatch(r"[0-9a-f]{64}", file.sha256) for file in repository.files)
    assert repository.licence in LICENCES
    assert repository.last_modified.utcoffset() == timedelta(0)
    earlier = list(catalog().repositories)
    assert all(earlier.index(n) < earlier.index(repository.id) for n in repository.needs)


@pytest.mark.parametrize("repository", MODELS, ids=ids)
def test_model_card_has_what_the_hub_reads(repository):
    card = ModelCard.load(repository.card)
    assert card.data.pipeline_tag == repository.task
    assert card.data.library_name == "transformers"
    assert card.data.language and card.data.tags
    # An original that its authors do not publish on the Hub is linked in the text instead.
    assert card.data.base_model or re.search(r"Modelo original: .*\]\(https://", card.text)


@pytest.mark.parametrize("repository", repositories(), ids=ids)
def test_card_says_what_the_catalog_says(repository):
    card = RepoCard.load(repository.card)
    assert card.data.license == repository.licence
    assert repository.id in card.text
    assert card.text.count("```") % 2 == 0
    for file in repository.files:
        for fact in (file.package.version, file.package.sha256, file.member, file.sha256):
            assert fact in card.text


def test_every_package_is_used():
    used = {file.package.name for repository in repositories() for file in repository.files}
    assert used == set(catalog().packages)


def test_unknown_repository_lists_the_others():
    with pytest.raises(CourseError, match="curso/nada.*curso/e5-pt-en, curso/qa-pt"):
        catalog().repository("curso/nada")
