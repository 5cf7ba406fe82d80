"""Bad data files, each with its sentence; what pandas and `datasets` make of the good ones."""

import json
import tracemalloc

import pandas
import pytest
from datasets import ClassLabel, Dataset, DatasetDict, Features, Value, load_dataset

from helpers.datafiles import MISSING, check_csv, check_json, check_labels
from helpers.errors import CourseError

GOOD = (
    "text,label,nota\n"
    "Adorei o café,positivo,5\n"
    '"Caro, frio e sem graça",negativo,1\n'
    '"Ele disse ""volto"",\ne voltou",positivo,4\n'
    "Normal,neutro,\n"
)


@pytest.fixture
def write(tmp_path):
    """Write a file and return its path."""

    def write_file(content, name="dados.csv", encoding="utf-8"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    return write_file


def load(kind, path, tmp_path, **options):
    cache = str(tmp_path / "cache")
    return load_dataset(kind, data_files=str(path), split="train", cache_dir=cache, **options)


def test_good_csv_is_described_as_it_is_read(write, tmp_path):
    path = write(GOOD)
    report = check_csv(path, text="text", label="label")
    data = load("csv", path, tmp_path)
    assert (
        (report.rows, list(report.columns)) == (data.num_rows, data.column_names) == (4, [*data[0]])
    )
    assert report.missing == {"nota": 1}
    assert report.labels.counts == {"positivo": 2, "negativo": 1, "neutro": 1}
    assert report.options == {} and report.notes == ()


def test_report_says_the_same_in_both_forms(write):
    report = check_csv(write(GOOD), label="label")
    for piece in ("dados.csv", "linhas de dados", "nota (1)", "positivo (2)"):
        assert piece in repr(report) and piece in report._repr_html_()


def test_options_are_what_the_readers_take(write, tmp_path):
    path = write("texto;nota\nótimo;4,5\nruim;1,0\n", encoding="cp1252")
    report = check_csv(path, text="texto", sep=";", encoding="cp1252", decimal=",")
    data = load("csv", path, tmp_path, **report.options)
    frame = pandas.read_csv(path, **report.options)
    assert data["nota"][:] == frame["nota"].tolist() == [4.5, 1.0]
    assert data["texto"][:] == frame["texto"].tolist() == ["ótimo", "ruim"]


def test_missing_values_are_those_of_pandas(write):
    path = write("text,label\n" + "".join(f'"{value}",x\n' for value in sorted(MISSING)))
    assert pandas.read_csv(path, skip_blank_lines=False)["text"].isna().all()
    assert check_csv(path).missing == {"text": len(MISSING)}


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "está vazio"),
        ("\ufeff \n\n", "está vazio"),
        ("text,label\n", "só tem o cabeçalho"),
        ("text,label\n\n\n", "só tem o cabeçalho"),
        ("text,label\na,b\nc\n", r"2 colunas.*linha 3 \(1\).*falta um valor"),
        ("text,label\na,b\nc,d,e\n", r"linha 3 \(3\).*entre aspas"),
        ("text,label\n" + "a\n" * 5, r"linha 2 \(1\), linha 3 \(1\), linha 4 \(1\), e outras"),
        ('text,label\na,b\n"c,d\ne,f\n', "linha 3 .*aspas não fecham"),
        ('text,label\n"disse "oi" a todos",b\n', "linha 2 .*aspas não fecham"),
        ("text;label\na;b\n", 'ponto e vírgula.*Passe sep=";"'),
        ("text\tlabel\na\tb\n", r'tabulação.*Passe sep="\\t"'),
        ("text,label,text\na,b,c\n", "repete “text”"),
        ("text,label, text\na,b,c\n", "repete “text”"),
        ('text,nota\na,"4,5"\nb,"1.234,5"\nc,\n', 'números de “nota”.*decimal=","'),
        ("text,label\na,x\n ,y\n,x\n", r"coluna “text”, nestas linhas: 3, 4 \(ao todo, 2\)"),
        ("text,label\na,x\nb,NA\nc,y\n", "coluna “label”, nestas linhas: 3"),
        ("text,label\na,x\nb,x\n", "uma classe só, “x”"),
        ("text,label\na,Bom\nb,bom \nc,ruim\n", "formas diferentes: “Bom”, “bom ”"),
        ("texto,label\na,x\nb,y\n", "chamada “text”.*texto, label"),
        (b"PK\x03\x04\x14\x00", "planilha do Excel"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"%PDF-1.7\n", "PDF"),
        (b"\x1f\x8b\x08\x00", "compactado"),
        (b"text,label\n\x00\x01,\x02\n", "não é texto"),
        ("text,label\na,x\nb,y\n".encode("utf-16"), 'UTF-16.*encoding="utf-16"'),
        ("text,label\nbom,x\nação,y\n".encode("latin-1"), "linha 3.*“ação,y”.*cp1252"),
    ],
)
def test_bad_csv_gets_a_sentence(write, content, sentence):
    path = write(content)
    # Columns are named only where the file has them: other faults come before.
    wanted = {"text": "text", "label": "label"} if b"label" in path.read_bytes() else {}
    with pytest.raises(CourseError, match=sentence):
        check_csv(path, **wanted)


def test_encoding_is_never_guessed_in_silence(write):
    latin = write("text,label\nação,x\ncafé,y\n", "latin.csv", encoding="cp1252")
    assert check_csv(latin, encoding="cp1252").options == {"encoding": "cp1252"}
    utf8 = write(GOOD, "utf8.csv")
    with pytest.raises(CourseError, match="está em UTF-8, e lê-lo como latin-1"):
        check_csv(utf8, encoding="latin-1")
    with pytest.raises(CourseError, match="não conhece a codificação utf-9"):
        check_csv(utf8, encoding="utf-9")
    with pytest.raises(CourseError, match="não está em ascii"):
        check_csv(latin, encoding="ascii")
    plain = write("text,label\na,x\nb,y\n")  # the same bytes in either encoding
    assert check_csv(plain, encoding="latin-1").rows == 2


def test_utf16_and_the_mark_of_excel(write):
    wide = write("text\tlabel\nação\tx\ncafé\ty\n", encoding="utf-16")
    assert check_csv(wide, label="label", sep="\t", encoding="utf-16").rows == 2
    with pytest.raises(CourseError, match="não está em utf-16"):
        check_csv(write(GOOD), encoding="utf-16")
    marked = write("text,label\nação,x\ncafé,y\n", encoding="utf-8-sig")
    assert check_csv(marked, text="text").columns == ("text", "label")


def test_missing_file_and_folder(tmp_path):
    for path in (tmp_path / "nada.csv", tmp_path):
        with pytest.raises(CourseError, match="Não consegui abrir"):
            check_csv(path)


def test_odd_but_harmless_is_noted(write):
    report = check_csv(write(",text\n0,bom\n1,InformaÃ§Ã£o\n"))
    assert len(report.notes) == 2
    assert "index=False" in repr(report) and "codificação errada" in repr(report)


def test_value_longer_than_the_reader_takes(write):
    with pytest.raises(CourseError, match="linha 2 .*mais de 131.072 caracteres"):
        check_csv(write("text,label\n" + "a" * 140_000 + ",x\n"))


RECORDS = [{"text": "bom", "label": "x"}, {"text": "ação", "label": "y", "nota": 3}]


def lines(*records):
    return "\n".join(json.dumps(record, ensure_ascii=False) for record in records) + "\n"


@pytest.mark.parametrize("content", [lines(*RECORDS), "\n" + lines(*RECORDS), json.dumps(RECORDS)])
def test_good_json_is_described_as_it_is_read(write, tmp_path, content):
    path = write(content, "dados.json")
    report = check_json(path, text="text", label="label")
    data = load("json", path, tmp_path)
    assert (report.rows, list(report.columns)) == (data.num_rows, data.column_names)
    assert report.missing == {"nota": 1} and report.labels.counts == {"x": 1, "y": 1}


def test_json_in_latin1(write, tmp_path):
    path = write(lines(*RECORDS), "dados.jsonl", encoding="latin-1")
    with pytest.raises(CourseError, match="linha 2.*cp1252"):
        check_json(path)
    report = check_json(path, encoding="latin-1")
    assert load("json", path, tmp_path, **report.options)["text"][1] == "ação"


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("", "está vazio"),
        ("[]", "está vazio"),
        ('{"a": 1}\n{"a": 2\n', 'linha 2 .*“{"a": 2”'),
        ('[{"a": 1}, {"a": 2}', "a lista não fecha"),
        ('[{"a": 1}, 2]', "registro 2 .*entre chaves"),
        ('{"a": 1}\n"solto"\n', "registro 2 .*entre chaves"),
        (json.dumps({"a": 1, "b": {"c": 2}}, indent=2), "um objeto JSON só, espalhado"),
        (json.dumps({"v": 1, "dados": RECORDS}, indent=2), 'field="dados"'),
        ('{"nota": 1}\n{"nota": null}\n{"nota": "dois"}\n', "“nota” muda de tipo.* 1 .* 3"),
        ('{"text": "a", "label": "x"}\n{"text": "b"}\n', "coluna “label”, nestas linhas: 2"),
        (lines(RECORDS[0], RECORDS[0]), "uma classe só"),
        (lines({"texto": "a", "label": "x"}), "chamada “text”"),
    ],
)
def test_bad_json_gets_a_sentence(write, content, sentence):
    path = write(content, "dados.jsonl")
    wanted = {"text": "text", "label": "label"} if '"label"' in content else {}
    with pytest.raises(CourseError, match=sentence):
        check_json(path, **wanted)


def test_records_inside_an_object_are_read_as_the_sentence_says(write, tmp_path):
    path = write(json.dumps({"v": 1, "dados": RECORDS}, indent=2), "dados.json")
    assert load("json", path, tmp_path, field="dados").num_rows == 2


def classes(*values):
    names = ["negativo", "neutro", "positivo"]
    features = Features({"text": Value("string"), "label": ClassLabel(names=names)})
    return Dataset.from_dict({"text": ["."] * len(values), "label": [*values]}, features=features)


def test_labels_of_every_kind_of_data():
    found = check_labels(classes(2, 0, 2))
    assert found.counts == {"negativo": 1, "positivo": 2}
    assert found.names == ["negativo", "positivo"]
    assert found.majority == pytest.approx(2 / 3)
    assert "66,7 %" in repr(found) and "66,7 %" in found._repr_html_()
    rows = [{"label": "b"}, {"label": "a"}, {"label": "b"}]
    for data in (rows, pandas.DataFrame(rows), Dataset.from_list(rows)):
        assert list(check_labels(data).counts.items()) == [("b", 2), ("a", 1)]
    # Without declared classes, -1 is a label as any other.
    assert check_labels([{"nota": -1}, {"nota": 1}], "nota").counts == {"-1": 1, "1": 1}


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        (classes(0, -1, 2), r"posições, contadas de zero: 1 \(ao todo, 1\)"),
        (classes(0, None, 2), "contadas de zero: 1"),
        (classes(1, 1), "uma classe só, “neutro”"),
        (classes(), "nenhum exemplo"),
        ([{"label": "a"}, {"label": " "}, {"label": "b"}], "contadas de zero: 1"),
        ([{"label": "a"}, {}, {"label": "b"}], "contadas de zero: 1"),
        (pandas.DataFrame({"label": ["a", None, "b"]}), "contadas de zero: 1"),
        (pandas.DataFrame({"label": [1.0, float("nan"), 2.0]}), "contadas de zero: 1"),
        (pandas.DataFrame({"label": ["a", pandas.NA, "b"]}), "contadas de zero: 1"),
        ([{"label": "Sim"}, {"label": "sim"}], "“Sim”, “sim”"),
        ([{"rotulo": "a"}], "chamada “label”.*rotulo"),
        ([], "chamada “label”"),
        (DatasetDict(train=classes(0, 1), test=classes(0, 1)), "Escolha uma delas: train, test"),
    ],
)
def test_bad_labels_get_a_sentence(data, sentence):
    with pytest.raises(CourseError, match=sentence):
        check_labels(data)


def test_large_file_is_checked_without_being_held(write):
    """Only counts are kept: three times the rows take no more memory."""
    peaks = []
    for rows in (20_000, 60_000):
        path = write("text,label\n" + "um texto qualquer,a\noutro texto,b\n" * (rows // 2))
        tracemalloc.start()
        assert check_csv(path, text="text", label="label").rows == rows
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.5 * peaks[0]
