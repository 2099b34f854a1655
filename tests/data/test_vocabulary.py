"""Names of classes: both published forms, files saved by editors, and malformed lines."""
import csv
import itertools
import unicodedata

import pytest

from src.common.errors import InputError
from src.data import annotations
from src.data import synthetic
from src.data import vocabulary

ALL = ("Index,TrainVideoCount,KnowledgeGraphId,Name,WikiUrl,Vertical1,Vertical2,Vertical3,WikiDescription\n"
       "0,788288,/m/03bt1gh,Game,https://en.wikipedia.org/wiki/Game,Games,,,\"A game is\n\na form of \"\"play\"\".\"\n"
       "271,5752,/m/0lwkh,\"Nike, Inc.\",\"https://en.wikipedia.org/wiki/Nike,_Inc.\",Shopping,,,\n"
       "12,5,/m/01,,https://en.wikipedia.org/wiki/None,Shopping,,,\n"
       "9,5,/m/02,\" Pok\u00e9mon  \u001b[1m\"\"Red\"\"\",,,,,\n")
RATED = ("Index,KnowledgeGraphId,Name,PositiveSegmentCount,TotalSegmentCount\n"
         "3,/m/01jddz,Concert,181,240\n7,/m/0k4j,Car,159,246\n")
NAMES = {0: "Game", 271: "Nike, Inc.", 9: "Pok\u00e9mon [1m\"Red\""}


@pytest.mark.parametrize("content,names", [(ALL, NAMES), (RATED, {3: "Concert", 7: "Car"})])
@pytest.mark.parametrize("mark,end", itertools.product(["", "\ufeff"], ["\n", "\r\n"]))
def test_both_published_forms_are_read(tmp_path, content, names, mark, end):
    path = tmp_path / "vocabulary.csv"
    path.write_bytes((mark + content.replace("\n", end)).encode())
    assert vocabulary.read(str(path)) == names


@pytest.mark.parametrize("name, shown", [
    ("\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",) * 2,  # Persian, with a zero-width non-joiner
    (unicodedata.normalize("NFD", "Caf\u00e9 \u0160koda"), "Caf\u00e9 \u0160koda"),
    ("Donau\u00addampf\u00adschiff", "Donaudampfschiff"),  # soft hyphens
    ("\U0001f468\u200d\U0001f469\u200d\U0001f467 family",) * 2,
    ("\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",) * 2,  # the flag of England
    ("\U0001fae0 new emoji",) * 2,  # unknown to the Unicode of this Python
    ("right \u202eto left", "right to left"), ("a\u00a0\u2028b\tc\u001b", "a b c")])
def test_names_are_written_in_one_way(tmp_path, name, shown):
    path = tmp_path / "vocabulary.csv"
    path.write_text('Index,Name\n4,"%s"\n' % name, encoding="utf-8")
    assert vocabulary.read(str(path)) == {4: shown}
    for spelled in name, shown:
        (tmp_path / "labels.csv").write_text("cats,%s\n" % spelled, encoding="utf-8")
        found = annotations.read_labels(str(tmp_path / "labels.csv"), 5, vocabulary.labels_of({4: shown}))
        assert found[b"cats"][1].tolist() == [4]


def test_a_class_without_a_name_keeps_its_number():
    assert [vocabulary.name_of(NAMES, label) for label in (0, 12, 387)] == ["Game", "class 12", "class 387"]


@pytest.mark.parametrize("content,told", [
    ("3,/m/01jddz,Concert,181,240\n", "line 1: there is no header with the columns Index and Name"),
    ("", "line 1: there is no header"),
    ("Index,Name\n", "holds no class: fetch the file again."),
    ("Index,Name\n1,a\nx,b\n", 'line 3: "x" is no class: correct the line'),
    ("Index,Name\n1,a\n-2,b\n", 'line 3: "-2" is no class'),
    ("Index,Name\n1,a,b\n", "line 2: 3 columns, where the header has 2"),
    ("Index,Name\n1,a\n\n1,b\n", "line 4: class 1 occurs twice"),
    ('Index,Name\n1,a\n2,"b\n3,c\n4,d\n', "line 3: it is no line of a CSV"),
    ('Index,Name\n2,"b"c\n', "line 2: it is no line of a CSV"),
    ("Index,Name\n2,\0\n", "line 2: it is no line of a CSV"),
    ("Index,Name\n1,Caf\u00e9\n".encode("cp1252"), "line 2: it is not UTF-8"),
    (RATED.encode("utf-16"), "line 1: it is not UTF-8")])
def test_malformed_files_get_a_sentence(tmp_path, content, told):
    path = tmp_path / "vocabulary.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(InputError) as error:
        vocabulary.read(str(path))
    assert str(error.value).startswith(str(path)) and told in str(error.value)


def test_the_file_is_looked_for_here_and_in_the_datas_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pattern = "data/3/frame/validate/validate*"
    (tmp_path / "data" / "3" / "frame" / "validate").mkdir(parents=True)
    assert vocabulary.find("", pattern) == {} == vocabulary.find("")
    with pytest.raises(InputError, match="^none.csv does not exist: check the path.$"):
        vocabulary.find("none.csv", pattern)
    (tmp_path / "data" / "vocabulary.csv").write_text("Index,Name\n1,of the data\n")
    for given in pattern, str(tmp_path / pattern):
        assert vocabulary.find("", given) == {1: "of the data"}
    (tmp_path / "vocabulary.csv").write_text("Index,Name\n1,here\n")
    assert vocabulary.find("", pattern) == vocabulary.find("") == {1: "here"}
    assert vocabulary.find("data/vocabulary.csv") == {1: "of the data"}


def test_synthetic_classes_have_names_of_their_own_by_theme():
    world = synthetic.create_world(range(4000), 3862, seed=0)
    names, themes = zip(*synthetic.titles(world))
    assert len(set(names)) == 3862
    for theme in world.themes:
        assert len({themes[column] for column in theme}) == 1
    assert all(name.startswith(theme + ": ") for name, theme in zip(names, themes))
    assert next(csv.reader(["x,%s" % names[0]])) == ["x", names[0]]  # no quotes are needed
