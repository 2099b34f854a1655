// A video: its segments over time as a heat map for one file at a time, and the details of one segment.
"use strict";

(function () {
  const {element, breakable, nameOf, time, marked} = explorer;
  const LETTERS = " 0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  let lastSource = 0;

  // The approximate rank (from 0) and the score that a letter stands for.
  const rankOf = level => level >= explorer.index.levels ? 0 : Math.expm1(
    (1 - (level - .5) / (explorer.index.levels - 1)) * Math.log1p(explorer.index.mostRanks));
  const scoreOf = level => (level - 1) / (explorer.index.levels - 1);

  function strength(level, isScore) {
    if (!level) return 0;
    if (isScore) return scoreOf(level);
    // Makes the first tenth of a list stand out from the rest, and the first ranks stand out from the tenth.
    const rank = rankOf(level), longest = explorer.index.longest;
    return .02 + .49 * Math.max(0, 1 - Math.log1p(rank) / Math.log1p(longest)) + .49 * Math.exp(-8 * rank / longest);
  }

  function textOf(level, isScore) {
    if (!level) return "\u2013";
    if (isScore) return scoreOf(level).toFixed(2);
    const rank = rankOf(level) + 1;
    return rank < 2 ? "1" : "about " + Number(rank.toPrecision(2)).toLocaleString("en");
  }

  function kindAt(data, label, start) {
    const rating = data.ratings.find(([rated, at]) => rated === label && at === start);
    return rating ? (rating[2] ? "found" : "absent") : "unrated";
  }

  function columnsOf(data, seconds) {
    return Math.max(1, ...data.ratings.map(rating => Math.floor(rating[1] / seconds) + 1),
                    ...data.maps.map(rows => Math.max(0, ...rows.map(row => row.length))));
  }

  function cells(data, classNumber, columns, seconds) {
    const drawn = element("svg", {viewBox: "0 0 " + columns + " 1", preserveAspectRatio: "none", "aria-hidden": "true"});
    const made = element("div", {class: "cells"}, drawn);
    for (const [label, start, found] of data.ratings) {
      if (label !== data.classes[classNumber]) continue;
      const middle = 100 * (Math.floor(start / seconds) + .5) / columns;
      made.append(element("span", {class: "mark " + (found ? "found" : "absent"), style: "left:" + middle + "%"},
                          found ? "\u25cf" : "\u2715"));
    }
    made.append(element("div", {class: "cursor", style: "width:" + 100 / columns + "%"}));
    return made;
  }

  function axis(columns, seconds) {
    const made = element("div", {class: "axis", "aria-hidden": "true"});
    const step = Math.ceil(columns * seconds / 5 / 30) * 30;
    for (let start = 0; start < columns * seconds; start += step) {
      made.append(element("span", {style: "left:" + 100 * start / (columns * seconds) + "%"}, time(start)));
    }
    return made;
  }

  function youtube(data, start, text) {
    return element("a", {href: "https://www.youtube.com/watch?v=" + data.youtube + "&t=" + start + "s", target: "_blank",
                         rel: "noopener"}, text);
  }

  function segmentTable(data, sources, column, seconds) {
    const start = column * seconds;
    const rows = data.classes.map((label, row) => element(
      "tr", {}, element("th", {scope: "row"}, nameOf(label)), element("td", {}, marked(kindAt(data, label, start))),
      ...sources.map((source, number) => element("td", {class: "number"}, textOf(
        LETTERS.indexOf(data.maps[number][row][column] || " "), source.isScore)))));
    return element("table", {class: "segment-table"}, element("thead", {}, element(
      "tr", {}, element("th", {scope: "col"}, "class"), element("th", {scope: "col"}, "rating"),
      ...sources.map(source => element("th", {scope: "col", class: "number"}, source.isScore ? "score in " : "rank in ",
                                       breakable(source.name))))), element("tbody", {}, ...rows));
  }

  function make(video, data, startAt, chosen) {
    const index = explorer.index, seconds = index.seconds, columns = columnsOf(data, seconds);
    const sources = [...index.files.map(name => ({name, isScore: false})),
                     ...index.scores.map(name => ({name, isScore: true}))];
    const rows = data.classes.map((label, classNumber) => cells(data, classNumber, columns, seconds));
    const slider = element("input", {type: "range", id: "segment", min: 0, max: columns - 1, step: 1});
    const output = element("output", {for: "segment"}), detail = element("div", {class: "wide", tabindex: "0",
      role: "region", "aria-label": "The segment"}), link = element("span"), ramp = element("span");

    function select(column) {
      slider.value = column;
      const start = Number(slider.value) * seconds, span = time(start) + "\u2013" + time(start + seconds);
      output.textContent = span;
      slider.setAttribute("aria-valuetext", span);
      rows.forEach(row => { row.lastChild.style.left = 100 * slider.value / columns + "%"; });
      detail.replaceChildren(segmentTable(data, sources, Number(slider.value), seconds));
      link.replaceChildren(...data.youtube ? [youtube(data, start, "open at " + time(start) + " on YouTube")] : []);
    }

    function choose(number) {
      lastSource = number;
      rows.forEach(function (row, classNumber) {
        row.firstChild.replaceChildren(...[...data.maps[number][classNumber]].map((letter, column) => element("rect", {
          x: column, y: 0, width: 1.02, height: 1,
          "fill-opacity": strength(LETTERS.indexOf(letter), sources[number].isScore).toFixed(3)})));
      });
      ramp.replaceChildren(...sources[number].isScore ? ["score 0 ", element("span", {class: "ramp"}), " 1"]
        : ["last rank ", element("span", {class: "ramp"}), " first rank"]);
    }

    rows.forEach(row => row.addEventListener("click", function (event) {
      const box = row.getBoundingClientRect();
      select(Math.floor(columns * (event.clientX - box.left) / box.width));
    }));
    slider.addEventListener("input", () => select(slider.value));
    const first = lastSource < sources.length ? lastSource : 0;
    const switches = sources.map(function (source, number) {
      const button = element("input", {type: "radio", name: "source", value: number});
      button.checked = number === first;
      button.addEventListener("change", () => choose(number));
      return element("label", {}, button, source.isScore ? "scores of " : "", breakable(source.name));
    });
    choose(first);
    const [, firstFound] = data.ratings.find(rating => rating[2]) || [0, 0];
    select(Math.floor((startAt === undefined ? firstFound : Number(startAt) || 0) / seconds));
    const lines = data.classes.flatMap((label, classNumber) => [
      element("a", {class: "name" + (String(label) === chosen ? " chosen" : ""), href: "#class/" + label}, nameOf(label)),
      rows[classNumber]]);
    return [
      element("h2", {}, "Video " + video),
      ...data.youtube ? [element("p", {}, youtube(data, 0, "on YouTube"))] : [],
      element("fieldset", {}, element("legend", {}, "Shown"), ...switches),
      element("p", {class: "faint"}, ramp, " \u00a0 Ratings: ", marked("found"), " ", marked("absent")),
      element("div", {class: "map"}, element("span", {class: "corner"}), axis(columns, seconds), ...lines,
              element("label", {for: "segment", class: "name"}, "Segment ", output),
              element("div", {class: "slider"}, slider)),
      element("p", {}, link), detail];
  }

  explorer.views.video = function (video, start, label) {
    const number = explorer.numberOf(video || "");
    if (number === undefined) throw new Error("There is no page for the video " + video + ": it has no rated segment.");
    return explorer.load("video/" + number).then(data => (
      {title: "Video " + video, elements: make(video, data, start, label)}));
  };
})();
