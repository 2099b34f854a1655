"""The pages in a real browser: what people see, and what they can do with mouse and keyboard."""
import json
import os
import shutil

import numpy as np
import pytest

from src.evaluation import ratings
from src.prediction import video_csv
from src.submission import ranked_csv
from tests import browser
from tests.programs import runner

NASTY = '<img src=x onerror="document.title=1"><script>document.title=1</script>'
VIDEOS = [b"abcd", b"ABCD", b"<b>x</b>"]
IDS = np.array([b"%s:%d" % (video, start) for video in VIDEOS for start in range(0, 300, 5)])
POSITIVES = {3: 12, 8: 40, 12: 0, 40: 5}  # of 60 ratings


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """Pages of two files: `blend` has an AP of 1 in each class with positives, `one` less."""
    folder, random = tmp_path_factory.mktemp("pages"), np.random.RandomState(0)
    rated = {label: IDS[random.permutation(len(IDS))[:60]] for label in POSITIVES}
    for name in "one", "blend":
        rows = []
        for label, ids in rated.items():
            best = ids[:POSITIVES[label]] if name == "blend" else ids[::-1]
            rows.append((label, np.concatenate([best, np.setdiff1d(IDS, best)])))
        ranked_csv.write(str(folder / (name + ".csv")), rows)
    ratings.write_cache(str(folder / "labels.csv"), ratings.create(*zip(*[
        (name, label, index < POSITIVES[label]) for label, ids in rated.items() for index, name in enumerate(ids)])))
    (folder / "vocabulary.csv").write_text('Index,Name\n3,"%s"\n8,"Nike, Inc."\n40,Concert\n'
                                           % NASTY.replace('"', '""'))
    with video_csv.writing(str(folder / "scores.csv")) as stream:
        for start in range(0, 300, 5):
            stream.write(video_csv.lines(np.array([b"abcd:%d" % start]), np.array([[8]]), np.array([[start / 300]])))
    (folder / "youtube.csv").write_text("abcd,dQw4w9WgXcQ\n")
    runner.succeed("explore", output_dir=folder / "explore", label_cache=folder / "labels.csv",
                   input_files="%s/one.csv,%s/blend.csv" % (folder, folder), vocabulary_file=folder / "vocabulary.csv",
                   segment_scores=folder / "scores.csv", video_ids_file=folder / "youtube.csv")
    return "file://%s/explore/index.html" % folder


@pytest.fixture(scope="module")
def started():
    with browser.Browser() as found:
        yield found


@pytest.fixture
def page(started, url):
    """The browser at the table of classes; checks that no test causes an error or uses the network."""
    started.look(1280)
    started.open("about:blank", "true")
    started.open(url, "document.querySelector('#class-table') !== null")
    del started.complaints[:]
    yield started
    assert not started.complaints
    assert started.evaluate("performance.getEntriesByType('resource').every(one => one.name.startsWith('file:'))")


def texts(page, selector):
    """The texts of the visible elements."""
    return page.evaluate("[...document.querySelectorAll(%r)].filter(one => one.offsetParent).map(one => one.innerText)"
                         % selector)


def go(page, address, heading):
    """Follows an address to the view with that heading."""
    page.evaluate("location.hash = %r" % address)
    page.wait_for("document.querySelector('h2') && document.querySelector('h2').innerText === %s" % json.dumps(heading))


def names(page):
    return texts(page, "#class-table tbody th")


def test_classes_are_searched_and_sorted(page):
    assert names(page) == ["Nike, Inc.", NASTY, "Concert"]  # by positive ratings; those without are left out
    page.click("#positive")
    assert names(page) == ["Nike, Inc.", NASTY, "Concert", "class 12"]
    aps = texts(page, "#class-table tbody tr td:nth-child(4)")
    assert aps == ["1.0000"] * 3 + ["\u2013"]
    page.click("#class-table thead th:nth-child(7) button")
    assert texts(page, "#class-table tbody tr td:nth-child(7)") == ["40", "12", "8", "3"]
    page.click("#class-table thead th:nth-child(5) button")
    gains = [float(text.split("+")[1]) for text in texts(page, "#class-table tbody tr td:nth-child(5)")[:3]]
    assert gains == sorted(gains, reverse=True) and gains[-1] > 0 and names(page)[-1] == "class 12"
    page.click("#search")
    page.type("nik inc")
    assert names(page) == ["Nike, Inc."] and texts(page, "[role=status]") == ["1 of 4 classes"]


@pytest.mark.parametrize("name", ["a long name with spaces that somebody gave to the list of the first model, May",
                                  "along" * 20])
def test_a_long_file_name_leaves_the_columns_on_the_page(started, tmp_path, name):
    ids = np.array([b"abcd:%d" % start for start in range(0, 300, 5)])
    ranked_csv.write(str(tmp_path / (name + ".csv")), [(3, ids)])
    (tmp_path / "labels.csv").write_text("abcd:0,3,1\n")
    runner.succeed("explore", output_dir=tmp_path / "explore", label_cache=tmp_path / "labels.csv",
                   input_files=tmp_path / (name + ".csv"))
    for width, columns in (1280, 5), (400, 3):
        started.look(width)
        started.open("file://%s/explore/index.html" % tmp_path, "document.querySelector('#class-table .ap') !== null")
        rights = started.evaluate("[...document.querySelectorAll('#class-table tbody tr > *, footer td:last-child')]"
                                  ".map(one => one.getBoundingClientRect().right)")
        assert len(rights) == 6 and max(rights[:columns] + rights[-1:]) <= width - 15


def test_the_keyboard_reaches_a_class_and_its_video(page):
    page.evaluate("document.querySelector('#class-table thead th button').focus()")
    page.press("Enter")  # sorts by name
    assert names(page) == [NASTY, "Concert", "Nike, Inc."]
    page.evaluate("document.querySelector('#class-table a[href$=\"/40\"]').focus()")
    page.press("Enter")
    page.wait_for("document.querySelector('.lists') !== null")
    assert texts(page, "h2")[0] == "Concert" and page.evaluate("document.activeElement.id") == "view"
    page.evaluate("document.querySelector('.lists a').focus()")
    page.press("Enter")
    page.wait_for("document.querySelector('.map') !== null")
    assert texts(page, "h2")[0].startswith("Video ")
    page.evaluate("document.querySelector('#segment').focus()")
    before = page.evaluate("Number(document.querySelector('#segment').value)")
    page.press("ArrowRight" if before < 59 else "ArrowLeft")
    after = page.evaluate("Number(document.querySelector('#segment').value)")
    assert abs(after - before) == 1
    assert texts(page, "output")[0].startswith("%d:%02d" % divmod(5 * after, 60))


def test_a_class_shows_its_lists_side_by_side(page):
    go(page, "#class/40", "Concert")
    assert texts(page, ".lists h3") == ["one", "blend"]
    assert texts(page, ".lists p")[1] == "AP 1.0000, 180 segments"
    marks = texts(page, ".lists section:nth-child(2) .mark")
    assert marks[:5] == ["\u25cf found"] * 5 and "\u25cf found" not in marks[5:] and len(marks) == len(IDS)
    assert set(marks[5:]) == {"\u2715 not found", "not rated"}
    tops = page.evaluate("[...document.querySelectorAll('.lists section')].map(one => one.getBoundingClientRect().top)")
    assert tops[0] == tops[1]
    curve = page.evaluate("document.querySelectorAll('polyline')[1].getAttribute('points').split(' ').length")
    assert curve == 50
    seen = "[...document.querySelectorAll('polyline')].map(one => getComputedStyle(one).visibility)"
    page.click(".legend li:nth-child(2) input")
    assert page.evaluate(seen) == ["visible", "hidden"]
    page.click("#rated")
    assert len(texts(page, ".lists section:nth-child(2) .mark")) == 60
    go(page, "#class/12", "class 12")
    assert texts(page, ".lists p") == ["180 segments"] * 2  # no AP, as nothing is positive


def test_a_video_shows_each_file_and_the_ratings(page):
    go(page, "#video/abcd/100/8", "Video abcd")
    shown = "[...document.querySelectorAll('.cells svg')].map(one => [...one.children].map(" \
            "rect => Number(rect.getAttribute('fill-opacity'))))"
    row = texts(page, ".map .name").index("Nike, Inc.")
    by_rank = page.evaluate(shown)
    assert texts(page, "fieldset label") == ["one", "blend", "scores of scores"]
    page.click("fieldset label:nth-of-type(3)")
    by_score = page.evaluate(shown)
    assert by_score[row] == pytest.approx([start / 300 for start in range(0, 300, 5)], abs=1 / 60)
    assert by_rank[row] != by_score[row]
    assert len(texts(page, ".cells .mark")) == page.evaluate(
        "explorer.load('video/' + explorer.numberOf('abcd')).then(data => data.ratings.length)")
    assert texts(page, "output") == ["1:40\u20131:45"]
    page.click(".cells")  # in the middle
    assert texts(page, "output") == ["2:30\u20132:35"]
    assert page.evaluate("[...document.querySelectorAll('main a')].map(one => one.href).filter("
                         "one => one.includes('youtube'))") == [
        "https://www.youtube.com/watch?v=dQw4w9WgXcQ&t=%ds" % start for start in (0, 150)]
    go(page, "#video/ABCD", "Video ABCD")
    assert "youtube" not in page.evaluate("document.querySelector('main').innerHTML")


def test_what_data_hold_is_text(page):
    assert names(page)[1] == NASTY
    go(page, "#class/3", NASTY)
    go(page, "#video/%3Cb%3Ex%3C%2Fb%3E", "Video <b>x</b>")
    assert NASTY in texts(page, ".map .name")
    assert page.evaluate("document.querySelectorAll('main img, main script, main b').length") == 0
    assert page.evaluate("document.title") == "Video <b>x</b>"


@pytest.mark.parametrize("address", ["#class/99", "#video/nobody", "#class/%E0%A4%A", "#nothing", "#video"])
def test_an_address_that_leads_nowhere_gets_a_sentence_or_the_table(page, address):
    page.evaluate("location.hash = %r" % address)
    page.wait_for("document.querySelector('[role=alert], #class-table') !== null")
    page.evaluate("location.hash = '#class/40'")
    page.wait_for("document.querySelector('.lists') !== null")


def test_data_that_are_missing_get_a_sentence(page, url, tmp_path):
    shutil.copytree(os.path.dirname(url[len("file://"):]), str(tmp_path / "pages"))
    for name in "class_40.js", "index.js":
        (tmp_path / "pages" / "data" / name).unlink()
        page.open("about:blank", "true")
        page.open("file://%s/pages/index.html#class/40" % tmp_path, "document.querySelector('[role=alert]') !== null")
        assert texts(page, "[role=alert]") == ["data/%s is missing: write the pages again." % name]
    del page.complaints[:]  # the browser's own, about the same files


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("address,seen", [("#classes", "#class-table"), ("#class/40", ".lists"),
                                          ("#video/abcd/100/8", ".map")])
def test_views_fit_a_phone_and_are_legible(page, address, seen, dark):
    page.look(400, dark=dark)
    page.evaluate("location.hash = %r" % address)
    page.wait_for("document.querySelector(%r) !== null" % seen)
    assert page.evaluate("document.documentElement.scrollWidth") == 400
    # Text contrasts with its background by 4.5 to 1 or more, WCAG's level AA.
    assert page.evaluate(CONTRAST) == []


CONTRAST = """(() => {
  const parse = text => text.match(/[0-9.]+/g).map(Number);
  const luminance = rgb => rgb.slice(0, 3).map(value => value / 255).map(
    value => value <= .03928 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4).reduce(
    (sum, value, index) => sum + value * [.2126, .7152, .0722][index], 0);
  const behind = one => {
    for (; one; one = one.parentElement) {
      const colour = parse(getComputedStyle(one).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  return [...document.querySelectorAll('body *')].filter(one => one.offsetParent && !one.closest('.cells')
      && [...one.childNodes].some(child => child.nodeType === 3 && child.data.trim())).filter(one => {
    const both = [parse(getComputedStyle(one).color), behind(one)].map(luminance);
    return (Math.max(...both) + .05) / (Math.min(...both) + .05) < 4.5;
  }).map(one => one.outerHTML.slice(0, 200));
})()"""
