// A class: precision over rank, its best segments in each file, and the positive ratings that no file ranks high.
"use strict";

(function () {
  const {element, breakable, nameOf, segmentLink, marked} = explorer;
  const HEIGHT = 240, LEFT = 44, RIGHT = 14, TOP = 10, BOTTOM = 38;
  const DASHES = ["", "7 4", "2 3", "10 3 2 3"], COLOURS = 7;

  const splitIds = text => text ? text.split(" ") : [];
  const lineStyle = file => "stroke:var(--series-" + file % COLOURS + ");stroke-dasharray:"
    + (DASHES[(file % COLOURS + Math.floor(file / COLOURS)) % DASHES.length] || "none");

  // [rank, precision] at each rated segment of a list. In `points`, segments rated negative have negative ranks.
  function precisions(points) {
    let found = 0;
    return points.map(function (rank, before) {
      found += rank > 0 ? 1 : 0;
      return [Math.abs(rank), found / (before + 1)];
    });
  }

  function chart(curves) {
    const width = Math.max(300, Math.min(760, document.documentElement.clientWidth - 34));
    const most = Math.max(10, ...curves.map(curve => curve.length ? curve[curve.length - 1][0] : 1));
    const x = rank => LEFT + (width - LEFT - RIGHT) * Math.log(rank) / Math.log(most);
    const y = share => TOP + (HEIGHT - TOP - BOTTOM) * (1 - share);
    const drawn = element("svg", {width, height: HEIGHT, viewBox: "0 0 " + width + " " + HEIGHT, role: "img",
                                  "aria-label": "Precision over rank in each file"});
    for (const share of [0, .25, .5, .75, 1]) {
      drawn.append(element("line", {class: "grid", x1: LEFT, x2: width - RIGHT, y1: y(share), y2: y(share)}),
                   element("text", {x: LEFT - 6, y: y(share) + 4, "text-anchor": "end"}, String(share)));
    }
    for (let rank = 1; rank <= most; rank *= 10) {
      drawn.append(element("line", {class: "grid", x1: x(rank), x2: x(rank), y1: y(0), y2: y(1)}),
                   element("text", {x: x(rank), y: HEIGHT - 20, "text-anchor": "middle"}, rank.toLocaleString("en")));
    }
    drawn.append(element("text", {x: (LEFT + width) / 2, y: HEIGHT - 4, "text-anchor": "middle"}, "rank"));
    curves.forEach((curve, file) => drawn.append(element("polyline", {
      class: "curve", style: lineStyle(file), points: curve.map(point => x(point[0]) + "," + y(point[1])).join(" ")})));
    return drawn;
  }

  // The files with samples of their lines; each box shows or hides a line.
  function legend(index, row, drawn) {
    const lines = drawn.querySelectorAll(".curve");
    return element("ul", {class: "legend"}, ...index.files.map(function (name, file) {
      const sample = element("svg", {width: 36, height: 10, "aria-hidden": "true"},
                             element("line", {class: "curve", style: lineStyle(file), x1: 0, x2: 36, y1: 5, y2: 5}));
      const box = element("input", {type: "checkbox", checked: ""});
      box.addEventListener("change", () => { lines[file].style.visibility = box.checked ? "" : "hidden"; });
      return element("li", {}, element("label", {}, box, sample, breakable(name), " " + apOf(row, file)));
    }));
  }

  function apOf(row, file) {
    return row[4 + file] === null ? "" : "AP " + row[4 + file].toFixed(4);
  }

  function list(index, row, data, file, kindOf) {
    const items = splitIds(data.heads[file]).map(function (segment, rank) {
      const kind = kindOf.get(segment) || "unrated";
      return element("li", {class: "is-" + kind}, element("span", {class: "rank"}, String(rank + 1)),
                     element("span", {class: "segment"}, segmentLink(segment, row[0])), marked(kind));
    });
    const length = data.lengths[file];
    return element(
      "section", {}, element("h3", {}, breakable(index.files[file])),
      element("p", {class: "faint"}, !length ? "does not rank this class" : [
        ...apOf(row, file) ? [apOf(row, file)] : [],
        length > items.length ? "the first " + items.length + " of " + length.toLocaleString("en")
          : length + " segments"].join(", ")),
      element("ol", {}, ...items));
  }

  function missed(index, row, data) {
    const rows = data.missed.map(([segment, rank, file]) => element(
      "tr", {}, element("td", {}, segmentLink(segment, row[0])),
      element("td", {class: "number"}, rank === null ? "in no file" : rank.toLocaleString("en")),
      element("td", {}, file === null ? "" : breakable(index.files[file]))));
    const headings = ["segment", "best rank", "in"].map((text, column) => element(
      "th", {scope: "col", class: column === 1 ? "number" : null}, text));
    const left = data.numMissed - data.missed.length;
    return [
      element("h3", {}, "Found by people, but in no file among the first " + index.head + ": " + data.numMissed),
      ...rows.length ? [element("table", {id: "missed"}, element("thead", {}, element("tr", {}, ...headings)),
                                element("tbody", {}, ...rows))] : [],
      ...left ? [element("p", {}, "and " + left + " more")] : []];
  }

  explorer.views.class = function (label) {
    const index = explorer.index, row = explorer.rowOf(Number(label));
    if (!row) throw new Error("There is no class " + label + ".");
    return explorer.load("class/" + row[0]).then(function (data) {
      const kindOf = new Map([...splitIds(data.found).map(segment => [segment, "found"]),
                              ...splitIds(data.absent).map(segment => [segment, "absent"])]);
      const curves = data.points.map(precisions);
      const lists = element("div", {class: "lists wide", tabindex: "0", role: "region", "aria-label": "Lists"},
                            ...index.files.map((_, file) => list(index, row, data, file, kindOf)));
      const rated = element("input", {type: "checkbox", id: "rated"});
      rated.addEventListener("change", () => lists.classList.toggle("only-rated", rated.checked));
      const drawn = chart(curves);
      const line = curves.some(curve => curve.length)
        ? [element("h3", {}, "Precision over rank"),
           element("p", {class: "faint"}, "The share of the rated segments down to each rank in which people found the class."),
           drawn, legend(index, row, drawn)]
        : [element("p", {}, "No file ranks a segment that was rated for this class.")];
      return {title: nameOf(row[0]), elements: [
        element("h2", {}, nameOf(row[0])),
        element("p", {class: "faint"}, "class " + row[0] + ", found in " + row[3] + " of " + row[2] + " rated segments"),
        ...line,
        element("h3", {}, "Best segments"),
        element("div", {class: "tools"}, marked("found"), marked("absent"), marked("unrated"),
                element("label", {}, rated, "only rated ones")),
        lists, ...missed(index, row, data)]};
    });
  };
})();
